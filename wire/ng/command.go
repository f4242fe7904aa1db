package ng

import (
	"net/netip"
	"slices"
	"time"
)

// A Command is what an edge or a SIP proxy asks of a relay. Fields that are empty
// are not sent. What is parsed from another's dictionary is canonical: names of
// flags and options are in lower case with hyphens, whichever of rtpengine's
// spellings ("trust address", "trust_address", "SIP-source-address") was used.
type Command struct {
	Name string // one of the names in ng.go

	// The call, and who in it is meant.
	CallID    string
	FromTag   string // of the offerer, also in an answer; of who is blocked, silenced or plays
	ToTag     string
	FromTags  []string
	ViaBranch string
	Label     string     // a name for the party in offer and answer; elsewhere it selects one
	ToLabel   string     // selects the other party
	SetLabel  string     // a name for the party in commands where Label selects
	Address   netip.Addr // selects the party whose SDP names this address
	All       string     // one of AllNone (or ""), AllParties, AllOfferAnswer, AllExceptOfferAnswer, AllFlows

	// What is said about an offer or answer.
	SDP []byte
	// Direction names the interface on the side of the SDP's sender, then the
	// one on the side of its receiver. One of them may be empty.
	Direction    [2]string
	Interface    string     // of commands that have only one side
	ReceivedFrom netip.Addr // where the signalling of the SDP's sender came from
	MediaAddress netip.Addr // stands for the relay's own address in the SDP that comes back
	Family       string     // FamilyIPv4 or FamilyIPv6: of the address in the SDP that comes back
	Transport    string     // transport-protocol, "" leaves it; TransportAccept goes along with an answer's
	Replace      []string   // ReplaceOrigin, ReplaceSession and so on
	Flags        []string   // FlagTrustAddress and so on
	Mux          []string   // MuxOffer and so on
	ICE          string     // ICERemove and so on
	ICELite      string     // forward, backward, both or off
	DTLS         []string   // off, passive, active
	SDES         []string   // off, pad, no-SUITE and so on, as written
	OSRTP        []string
	Bundle       []string
	T38          []string
	Codec        Codec
	Learning     string // LearnImmediate and so on; "" leaves it to the relay
	DropTraffic  string // DropStart, DropStop
	TOS          *int   // of what is sent from now on: negative leaves it, above 255 is the relay's own; nil: not said

	// DTMF.
	Digit        string // of play DTMF: one of 0-9 * # A-D; Event numbers it
	Duration     time.Duration
	Pause        time.Duration
	Volume       *int   // dB below full scale, 0 to 63; nil: not said
	DTMFSecurity string // of block DTMF: "" or "drop", silence, tone, random, zero, dtmf, off

	// The rest.
	DeleteDelay *time.Duration // of delete; nil leaves it to the relay
	Limit       int            // of List; 0 leaves it to the relay
	Supports    []string       // SupportsLoadLimit: what the sender of the command understands
	MessageType string         // "request" or "reply": the SIP message behind the command; ""

	// Unsupported is what the command asks for that no Lindero relay does and
	// that somebody would miss, as option or option=value: transcoding, recording,
	// music, attributes in the SDP, and options nobody knows. It is not sent.
	Unsupported []string
}

// Codec is what a command does to the list of codecs in an SDP, by name (PCMU),
// name and rate (opus/48000) or "all". What needs a transcoder is in Unsupported.
type Codec struct {
	Strip  []string // taken out
	Except []string // left in though Strip has all
	Offer  []string // the same, and put first in this order
	Ignore []string
}

// Has says whether flag, in its canonical spelling, is among the flags.
func (c Command) Has(flag string) bool { return slices.Contains(c.Flags, flag) }

// HasMux says whether option (MuxOffer and so on) is among those of rtcp-mux.
func (c Command) HasMux(option string) bool { return slices.Contains(c.Mux, option) }

// Replaces says whether part (ReplaceOrigin and so on) is to be replaced.
func (c Command) Replaces(part string) bool { return slices.Contains(c.Replace, part) }

// understands says whether the sender of c said that it knows feature.
func (c *Command) understands(feature string) bool {
	return slices.ContainsFunc(c.Supports, func(s string) bool { return canonical(s) == canonical(feature) })
}

// events are the digits in the order of their events (RFC 4733, 3.2).
const events = "0123456789*#ABCD"

// Event is the telephone event of Digit (RFC 4733, section 3.2), and false when
// the command has none.
func (c Command) Event() (uint8, bool) {
	if len(c.Digit) == 1 {
		for i := range len(events) {
			if events[i] == c.Digit[0] {
				return uint8(i), true
			}
		}
	}
	return 0, false
}
