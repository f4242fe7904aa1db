// Package call keeps the calls of a relay: which tags they have, which ports
// each side was lent, where each side says it is and where it proved to be. It
// rewrites the SDP of offers and answers and tells the forwarding table what
// follows. It moves no packet (relay/forward does) and reads no NG message
// (package relay does).
//
//	Call → 2 sides, each with the tags that spoke for it → streams (m= lines)
//	     → a half for each side: a lent pair of ports → ends (RTP, RTCP) → forward.Leg
//
// Locks: Registry.mu and Call.mu. Whoever holds Call.mu may take Registry.mu,
// never the other way. Both are held over calls to the table and to pools, and
// neither over a wait for packets.
package call

import (
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/ports"
)

// An Interface is a network the relay stands in, by the name NG calls it.
type Interface struct {
	Name      string
	Bind      netip.Addr // media sockets are here
	Advertise netip.Addr // and SDP says they are here; differs behind a 1:1 NAT
	Pool      *ports.Pool
}

// A Call is two sides and the streams between them.
type Call struct {
	ID      string
	created time.Time

	mu         sync.Mutex // guards the fields below
	ended      bool
	answered   bool
	lastSignal time.Time
	branch     string // of the last offer
	sides      [2]side
	tags       map[string]*monologue
	streams    []*stream // by index of the m= line
}

// A side is one of the two parties of a call, whoever speaks for it now.
type side struct {
	face *Interface
	tag  string // of the monologue heard last
}

// A monologue is what one SIP tag said (rtpengine's word). Forks give a side
// several; the last to speak has the side's ports.
type monologue struct {
	side    int
	created time.Time
}

// A stream is one m= line. Its halves are nil until ports were lent for it.
type stream struct {
	kind, proto string
	halves      [2]*half
}

// A half is one side's part of a stream.
type half struct {
	pool      *ports.Pool
	pair      ports.Pair
	rtp, rtcp end
	refused   bool // port 0
	quiet     bool // on hold, or one way
	mux       bool // its SDP offers or accepts RTP and RTCP on one port
	any       bool // no RTP: T.38
	codec     string
	clock     uint32
}

// programme tells the table how a stream's packets go now.
func (r *Registry) programme(s *stream) error {
	if s.halves[0] == nil || s.halves[1] == nil {
		return nil
	}
	for x, h := range s.halves {
		other := s.halves[1-x]
		rtp := h.rtp.leg(&other.rtp)
		rtp.Clock = h.clock
		switch {
		case h.any || other.any:
			rtp.Flags = forward.Any
		case h.mux && other.mux:
			rtp.Flags = forward.Mux
		}
		rtcp := h.rtcp.leg(&other.rtcp)
		rtcp.Flags = forward.RTCP
		for _, leg := range []forward.Leg{rtp, rtcp} {
			if err := r.table.Put(leg); err != nil {
				return err
			}
		}
	}
	return nil
}

// onHold says whether any stream is silent by agreement.
func (c *Call) onHold() bool {
	for _, s := range c.streams {
		for _, h := range s.halves {
			if h != nil && !h.refused && h.quiet {
				return true
			}
		}
	}
	return false
}

// ends yields every end of the call.
func (c *Call) ends() iter.Seq[*end] {
	return func(yield func(*end) bool) {
		for _, s := range c.streams {
			for _, h := range s.halves {
				if h != nil && (!yield(&h.rtp) || !yield(&h.rtcp)) {
					return
				}
			}
		}
	}
}
