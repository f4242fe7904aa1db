package call

import (
	"net/netip"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/ports"
)

// A stream is one m= line. Its halves are nil until ports were lent for it.
type stream struct {
	kind, proto string
	halves      [2]*half
}

// A half is one side's part of a stream.
type half struct {
	face      *Interface
	pair      ports.Pair
	rtp, rtcp end
	refused   bool // port 0
	quiet     bool // on hold, or one way
	mux       mux
	any       bool // no RTP: T.38
	proto     string
	named     netip.Addr // in its SDP
	codec     string
	clock     uint32
	events    events   // telephone events it takes
	player    *player  // plays to the other half; nil: nobody does
	history   *history // of what comes to RTP; nil: nothing yet
}

// programme tells the table how a stream's packets go now.
func (r *Registry) programme(c *Call, f *fork, s *stream) error {
	return r.programmeBy(r.table.Put, c, f, s)
}

func (r *Registry) programmeBy(put func(forward.Leg) error, c *Call, f *fork, s *stream) error {
	if s.halves[0] == nil || s.halves[1] == nil {
		return nil
	}
	for x, h := range s.halves {
		other := s.halves[1-x]
		for _, leg := range []forward.Leg{h.rtpLeg(other), h.rtcpLeg(other)} {
			rules := f.sides[x].rules
			rules.Block = rules.Block || c.dropped
			switch {
			case leg.Flags&forward.RTCP != 0:
			case leg.Flags&forward.Any != 0 && (rules.Block || rules.Silence):
				leg.To = netip.AddrPort{} // only RTP is treated; fax has nowhere to go
			default:
				leg.Treat = treatment(rules, h, other)
			}
			if err := put(leg); err != nil {
				return err
			}
		}
	}
	return nil
}

// rtpLeg is the way of what comes to h's RTP port. Where that may be RTCP too and
// the other side wants the two apart, they part here.
func (h *half) rtpLeg(other *half) forward.Leg {
	l := h.rtp.leg(&other.rtp)
	l.Clock = h.clock
	switch {
	case h.any || other.any:
		l.Flags |= forward.Any
	case h.mux.hears():
		l.Flags |= forward.Mux
		if !other.mux.agreed {
			l.RTCPVia, l.RTCPTo = other.rtcp.local, other.rtcp.to()
		}
	}
	return l
}

// rtcpLeg is the way of what comes to h's RTCP port; to one port with RTP, if the
// other side wants it so.
func (h *half) rtcpLeg(other *half) forward.Leg {
	to := &other.rtcp
	if other.mux.agreed {
		to = &other.rtp
	}
	l := h.rtcp.leg(to)
	if l.Flags&forward.Follow != 0 {
		l.Learn = netip.Addr{} // it follows when RTP has moved, not by itself
	}
	l.Flags = forward.RTCP
	return l
}

// programmeAll does it for every stream of a fork.
func (r *Registry) programmeAll(c *Call, f *fork) error {
	for _, s := range f.streams {
		if err := r.programme(c, f, s); err != nil {
			return err
		}
	}
	return nil
}
