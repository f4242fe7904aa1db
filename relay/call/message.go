package call

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/wire/sdp"
)

// A Message is an offer or an answer. The words are those of rtpengine's NG.
type Message struct {
	CallID  string
	FromTag string // of the offerer
	ToTag   string // of the answerer
	Branch  string // of the transaction, may be empty
	Label   string // a name for who made the SDP
	SDP     []byte

	Direction    [2]string  // interfaces on the side of who made the SDP, and on the other; empty: the first one
	Family       Family     // of the addresses in the SDP for the other side
	MediaAddress netip.Addr // stands in that SDP for our own

	ReceivedFrom netip.Addr // where the signalling came from; zero for our own network
	Trust        bool       // believe the SDP's address over ReceivedFrom
	Source       bool       // believe ReceivedFrom over the SDP's address
	Asymmetric   bool       // the sender does not send from where it receives
	Handover     bool       // its source may move to another port in the middle
	Drop, Undrop bool       // from now on nothing is forwarded in the call, or again

	Replace   Replace
	Mux       Mux
	Codecs    Codecs
	RTCP      RTCPAttribute
	Transport string // RTP/AVP or RTP/AVPF towards the other side, or "accept" in an answer; "": as it is
	Loop      bool   // mark the SDP as ours, and leave one alone that is
	KeepHold  bool   // leave sendrecv beside the address of hold
	NoEvents  bool   // block telephone events from who made the SDP
}

// Replace says what else of the SDP is to be ours.
type Replace struct {
	Origin bool // the address in o=
	Zero   bool // the address of hold, c=0.0.0.0
	User   bool // the user name in o= stays what it was in the side's first SDP
	Name   bool // so does s=
	// The version in o= grows by one with each SDP to that side that differs from the
	// one before; with Force, with every one.
	Version, Force bool
}

// RTCPAttribute says what is done about a=rtcp.
type RTCPAttribute uint8

// What is done: it is rewritten where it was and wherever it says more than its
// absence would; written everywhere, with an address; or taken away.
const (
	RTCPAsNeeded RTCPAttribute = iota
	RTCPFull
	RTCPNone
)

// Protocols of [Message.Transport].
const (
	transportAccept = "accept"
	avp             = "RTP/AVP"
	avpf            = "RTP/AVPF"
)

// check parses the SDP of a message that can be served, and says of which family
// its addresses are.
func check(m Message) (*sdp.Session, Family, error) {
	switch {
	case m.CallID == "":
		return nil, 0, errors.New("no call-id in message")
	case m.FromTag == "":
		return nil, 0, errors.New("no from-tag in message")
	case len(m.SDP) == 0:
		return nil, 0, errors.New("no SDP body in message")
	case m.Transport != "" && m.Transport != transportAccept && m.Transport != avp && m.Transport != avpf:
		return nil, 0, fmt.Errorf("transport-protocol %s: this relay carries plain RTP, SRTP and DTLS end at the edge", m.Transport)
	}
	s, err := sdp.Parse(m.SDP)
	if err != nil {
		return nil, 0, err
	}
	family, err := streams(s)
	return s, family, err
}

// streams checks the m= lines.
func streams(s *sdp.Session) (family Family, err error) {
	media, secure, proto := 0, false, ""
	for i := range s.Media {
		d := &s.Media[i]
		switch {
		case d.Port == 0 || !relayable(d):
			if d.Port != 0 {
				secure, proto = secure || d.Secure(), d.Proto
			}
			continue
		case d.Address() == nil:
			return 0, fmt.Errorf("stream %d has no connection address", i+1)
		}
		if family == AnyFamily {
			family = FamilyOf(d.Address().Addr)
		}
		media++
	}
	switch {
	case len(s.Media) == 0:
		return 0, errors.New("no m= line in SDP")
	case media > maxStreams:
		return 0, fmt.Errorf("%d streams; at most %d are relayed", media, maxStreams)
	case media == 0 && secure:
		return 0, fmt.Errorf("%s only: this relay carries plain RTP, SRTP and DTLS end at the edge", proto)
	case media == 0 && proto != "":
		return 0, fmt.Errorf("%s is not relayed", proto)
	}
	return family, nil
}

func relayable(d *sdp.Media) bool { return d.RTP() || d.UDPTL() }
