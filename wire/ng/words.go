package ng

// Names of commands, the value of [KeyCommand].
const (
	Ping           = "ping"            // are you there? Answered by result pong.
	Offer          = "offer"           // an SDP offer: call-id, from-tag and sdp are required
	Answer         = "answer"          // its answer: call-id, from-tag, to-tag and sdp are required
	Delete         = "delete"          // the call is over: call-id; with from-tag or to-tag only that side's dialogue
	Query          = "query"           // counters of one call: call-id
	List           = "list"            // the call-ids of live calls: limit
	Statistics     = "statistics"      // counters of the relay, in dictionary "statistics"
	BlockMedia     = "block media"     // nothing of the selected party reaches the other: call-id
	UnblockMedia   = "unblock media"   // the opposite
	SilenceMedia   = "silence media"   // the selected party's audio becomes silence
	UnsilenceMedia = "unsilence media" // the opposite
	BlockDTMF      = "block DTMF"      // events (RFC 4733) of the selected party are not passed on
	UnblockDTMF    = "unblock DTMF"    // the opposite
	PlayDTMF       = "play DTMF"       // an event as if the selected party had sent it: code
)

// Names of rtpengine's commands that need a voice, a recorder or a third party
// in the call. No Lindero relay does them; they are named so that it can say so.
const (
	StartRecording   = "start recording"
	StopRecording    = "stop recording"
	PauseRecording   = "pause recording"
	StartForwarding  = "start forwarding"
	StopForwarding   = "stop forwarding"
	PlayMedia        = "play media"
	StopMedia        = "stop media"
	Publish          = "publish"
	SubscribeRequest = "subscribe request"
	SubscribeAnswer  = "subscribe answer"
	Unsubscribe      = "unsubscribe"
	Connect          = "connect"
)

// Keys of a command as we write them. rtpengine reads each in several spellings,
// and so does ParseCommand: a space or an underscore is a hyphen, and case does
// not matter.
const (
	KeyCommand           = "command"            // string: one of the names above
	KeyCallID            = "call-id"            // string: the SIP Call-ID
	KeyFromTag           = "from-tag"           // string: tag of the offerer
	KeyToTag             = "to-tag"             // string: tag of the answerer
	KeyFromTags          = "from-tags"          // list
	KeyViaBranch         = "via-branch"         // string: of the transaction; a delete that has one ends only the call whose last offer had it
	KeyLabel             = "label"              // string
	KeyToLabel           = "to-label"           // string
	KeySetLabel          = "set-label"          // string
	KeyAddress           = "address"            // string
	KeyAll               = "all"                // string: all, offer-answer, …
	KeySDP               = "sdp"                // string: the body as it came
	KeyDirection         = "direction"          // list of two interface names: the sender's side, the receiver's side
	KeyInterface         = "interface"          // string
	KeyReceivedFrom      = "received-from"      // list: "IP4" or "IP6", and the address the signalling came from
	KeyMediaAddress      = "media-address"      // string
	KeyAddressFamily     = "address-family"     // string: IP4 or IP6
	KeyReplace           = "replace"            // list: "origin", "session-connection": what else in the SDP names our address
	KeyFlags             = "flags"              // list: "trust-address": believe the SDP's address rather than received-from
	KeyRTCPMux           = "rtcp-mux"           // list: offer, require, demux, accept, reject
	KeyICE               = "ICE"                // string: "remove": take ICE attributes away
	KeyICELite           = "ICE-lite"           // string
	KeyDTLS              = "DTLS"               // list
	KeySDES              = "SDES"               // list
	KeyOSRTP             = "OSRTP"              // list
	KeyBundle            = "BUNDLE"             // list
	KeyT38               = "T.38"               // list
	KeyCodec             = "codec"              // dictionary of lists: strip, except, offer, …
	KeyTransportProtocol = "transport-protocol" // string: "RTP/AVP" and its kin
	KeyEndpointLearning  = "endpoint-learning"  // string
	KeyDropTraffic       = "drop-traffic"       // string: start or stop
	KeyTOS               = "TOS"                // integer
	KeyCode              = "code"               // integer or string: the event of play DTMF
	KeyDuration          = "duration"           // integer: milliseconds
	KeyPause             = "pause"              // integer: milliseconds
	KeyVolume            = "volume"             // integer: dB
	KeyDTMFSecurity      = "DTMF-security"      // string
	KeyDeleteDelay       = "delete-delay"       // integer: seconds
	KeyLimit             = "limit"              // integer: how many call-ids list may return
	KeySupports          = "supports"           // list: "load limit"
	KeyMessageType       = "sip-message-type"   // string: request or reply
	KeyRTPPFlags         = "rtpp-flags"         // string: everything else, as a script wrote it (Kamailio, when asked)
)

// Keys and values of a reply.
const (
	KeyResult      = "result"       // string: ok, pong, error or load limit
	KeyErrorReason = "error-reason" // string: why, when the result is error
	KeyMessage     = "message"      // string: why, when the result is load limit
	KeyWarning     = "warning"      // string: ok, but
	KeyTotals      = "totals"       // dictionary of counters, in delete and query
	KeyTags        = "tags"         // dictionary of tags, in delete and query
	KeySSRC        = "SSRC"         // dictionary of sources, in delete and query
	KeyCalls       = "calls"        // list of call-ids, in list
	KeyStatistics  = "statistics"   // dictionary, in statistics

	ResultOK        = "ok"
	ResultPong      = "pong"
	ResultError     = "error"
	ResultLoadLimit = "load limit" // not now: another relay may, and this one later
)

// Flags that change what a relay does.
const (
	FlagTrustAddress     = "trust-address"        // the SDP's address may be sent to although signalling came from another
	FlagSIPSourceAddress = "sip-source-address"   // the opposite: ReceivedFrom is where the sender is
	FlagSymmetric        = "symmetric"            // learn where packets come from: the normal case
	FlagAsymmetric       = "asymmetric"           // learn nothing: packets go where the SDP says, wherever they come from
	FlagStrictSource     = "strict-source"        // drop what comes from elsewhere
	FlagMediaHandover    = "media-handover"       // learn again when the source changes
	FlagPortLatching     = "port-latching"        // keep our ports although the peer's changed
	FlagNoPortLatching   = "no-port-latching"     // other ports when the peer's change
	FlagNATWait          = "nat-wait"             // send nothing to who has sent nothing
	FlagPierceNAT        = "pierce-nat"           // send empty packets until something comes
	FlagReset            = "reset"                // forget what was learned of the peer's abilities
	FlagOriginalSendrecv = "original-sendrecv"    // leave sendrecv and its kin as they came
	FlagGenerateMid      = "generate-mid"         // add a=mid
	FlagNoRTCPAttribute  = "no-rtcp-attribute"    // no a=rtcp
	FlagFullRTCP         = "full-rtcp-attribute"  // a=rtcp with its address
	FlagLoopProtect      = "loop-protect"         // mark the SDP, and leave one with our mark alone
	FlagInjectDTMF       = "inject-dtmf"          // play DTMF may come
	FlagBlockDTMF        = "block-dtmf"           // events are not passed on
	FlagRejectICE        = "reject-ice"           // answer as if we knew no ICE
	FlagTrickleICE       = "trickle-ice"          //
	FlagStripExtmap      = "strip-extmap"         // no header extensions
	FlagSingleCodec      = "single-codec"         // only the first codec of an answer
	FlagReuseCodecs      = "reuse-codecs"         //
	FlagUnidirectional   = "unidirectional"       //
	FlagBidirectional    = "bidirectional"        //
	FlagDirectional      = "directional"          // tags in block and silence were set by hand
	FlagEgress           = "egress"               // block: what goes to the party rather than comes from it
	FlagBlockEgress      = "block-egress"         //
	FlagInactive         = "inactive"             //
	FlagFatal            = "fatal"                // delete of an unknown call is an error
	FlagToTag            = "to-tag"               // delete: to-tag matters
	FlagFragment         = "fragment"             // the SDP is a fragment for trickle ICE
	FlagProvisional      = "provisional"          //
	FlagNewBranch        = "new-branch"           //
	FlagAllowNoCodec     = "allow-no-codec-media" //
)

// Values of options.
const (
	AllNone              = "none"
	AllParties           = "all"
	AllOfferAnswer       = "offer-answer"
	AllExceptOfferAnswer = "except-offer-answer"
	AllFlows             = "flows"

	FamilyIPv4 = "IP4"
	FamilyIPv6 = "IP6"

	TransportAccept = "accept"

	ReplaceOrigin      = "origin"
	ReplaceOriginFull  = "origin-full"
	ReplaceSession     = "session-connection"
	ReplaceSessionName = "session-name"
	ReplaceUsername    = "username"
	ReplaceVersion     = "sdp-version"
	ReplaceForceVer    = "force-increment-sdp-ver"
	ReplaceZeroAddress = "zero-address"

	MuxOffer   = "offer"   // offer it whether or not it was offered
	MuxRequire = "require" // the same, and pretend that it was accepted already
	MuxDemux   = "demux"   // take it ourselves, do not offer it on
	MuxAccept  = "accept"  // take it, and offer it on when it was offered
	MuxReject  = "reject"  // refuse it

	ICERemove     = "remove"
	ICEForce      = "force"
	ICEDefault    = "default"
	ICEOptional   = "optional"
	ICEForceRelay = "force-relay"

	LearnOff       = "off"
	LearnImmediate = "immediate"
	LearnDelayed   = "delayed"
	LearnHeuristic = "heuristic"

	DropStart = "start"
	DropStop  = "stop"

	SupportsLoadLimit = "load limit" // result "load limit" is understood; others get error
)
