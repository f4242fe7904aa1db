// Package ng is rtpengine's NG protocol: how an edge asks a relay for ports and
// has SDP rewritten. It encodes and decodes bencode, turns dictionaries into
// Command and Reply values, and holds a client that never blocks its caller and
// a server loop that answers duplicates with the reply already given. It knows
// neither SIP nor SDP and lends no port: anchoring is the edge's business,
// handling commands the relay's.
//
// # Protocol
//
// One datagram is one message, in both directions:
//
//	cookie SP bencoded-dictionary
//
// The cookie is any text without a space. The reply bears the cookie of its
// command; a command that is repeated with the same cookie from the same address
// is a retransmission and gets the same reply without being run again.
//
//	edge                                          relay
//	  | offer  call-id from-tag sdp direction …     |   lends ports, rewrites the SDP
//	  |-------------------------------------------->|
//	  |<--------------------------- ok sdp ---------|
//	  | answer call-id from-tag to-tag sdp …        |   joins the two sides
//	  |-------------------------------------------->|
//	  |<--------------------------- ok sdp ---------|
//	  | delete call-id from-tag [to-tag]            |   counts, and rests the ports
//	  |-------------------------------------------->|
//	  |<--------------------------- ok totals … ----|
//
// In offer, from-tag belongs to whoever made the SDP. In answer, from-tag is
// still the offerer's and to-tag is the one whose SDP this is. A SIP request
// that brings the answer to an offer made in a response (INVITE without SDP)
// therefore swaps the tags of its headers.
package ng

// Names of commands, the value of [KeyCommand].
const (
	Ping   = "ping"   // are you there? Answered by result pong.
	Offer  = "offer"  // an SDP offer: call-id, from-tag and sdp are required
	Answer = "answer" // its answer: call-id, from-tag, to-tag and sdp are required
	Delete = "delete" // the call is over: call-id; with from-tag or to-tag only that side's dialogue
	Query  = "query"  // counters of one call: call-id
	List   = "list"   // the call-ids of live calls: limit
)

// Keys of a command. The spelling is rtpengine's.
const (
	KeyCommand           = "command"            // string: one of the names above
	KeyCallID            = "call-id"            // string: the SIP Call-ID
	KeyFromTag           = "from-tag"           // string: tag of the offerer
	KeyToTag             = "to-tag"             // string: tag of the answerer
	KeyViaBranch         = "via-branch"         // string: of the transaction; a delete that has one ends only the call whose last offer had it
	KeySDP               = "sdp"                // string: the body as it came
	KeyDirection         = "direction"          // list of two interface names: the sender's side, the receiver's side
	KeyReceivedFrom      = "received-from"      // list: "IP4" or "IP6", and the address the signalling came from
	KeyReplace           = "replace"            // list: "origin", "session-connection": what else in the SDP names our address
	KeyFlags             = "flags"              // list: "trust-address": believe the SDP's address rather than received-from
	KeyICE               = "ICE"                // string: "remove": take ICE attributes away
	KeyTransportProtocol = "transport-protocol" // string: "RTP/AVP" and its kin
	KeyLimit             = "limit"              // integer: how many call-ids list may return
)

// Keys and values of a reply.
const (
	KeyResult      = "result"       // string: ok, pong, error or load limit
	KeyErrorReason = "error-reason" // string: why, when the result is a refusal
	KeyWarning     = "warning"      // string: ok, but
	KeyTotals      = "totals"       // dictionary of counters, in delete and query
	KeyTags        = "tags"         // dictionary of tags, in delete and query
	KeyCalls       = "calls"        // list of call-ids, in list

	ResultOK        = "ok"
	ResultPong      = "pong"
	ResultError     = "error"
	ResultLoadLimit = "load limit" // not now: another relay may, and this one later
)

// Flags and values that a command may carry.
const (
	FlagTrustAddress = "trust-address" // in flags: the SDP's address may be sent to although signalling came from another
	ReplaceOrigin    = "origin"
	ReplaceSession   = "session-connection"
	ICERemove        = "remove"
)

// MaxDatagram is the longest message that is read or written, in bytes: the
// largest payload of a UDP datagram over IPv4.
const MaxDatagram = 65507
