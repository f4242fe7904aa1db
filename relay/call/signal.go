package call

import (
	"net/netip"

	"github.com/lindero/lindero/wire/sdp"
)

// signal takes what the m= line d says about the stream.
func (t *turn) signal(st *stream, d *sdp.Media) {
	h, other := st.halves[t.x], st.halves[1-t.x]
	if h == nil {
		return
	}
	st.kind, st.proto = d.Kind, d.Proto
	if h.refused = d.Port == 0 || !relayable(d); h.refused {
		h.rtp.refuse()
		h.rtcp.refuse()
		return
	}
	a := d.Address()
	h.quiet = d.Direction != sdp.SendRecv || a.Held()
	h.any, h.proto, h.named = d.UDPTL(), d.Proto, a.Addr
	h.codec, h.clock = "", 8000
	if codec, ok := d.Codec(d.Formats[0]); ok {
		h.codec, h.clock = codec.Name, codec.Clock
	}
	h.events = eventsOf(d, h.clock)
	switch mux := d.Mux && d.RTP(); {
	case t.offer:
		offerMux(h, other, mux, t.m.Mux)
	default:
		answerMux(other, h, mux)
	}
	h.rtp.signal(t.claim(netip.AddrPortFrom(a.Addr, d.Port), a.Held()))
	if !h.any {
		h.rtcp.signal(t.claim(d.RTCPAddr(), a.Held()))
	}
}

// claim is what the message says of an end that the SDP puts at addr.
func (t *turn) claim(addr netip.AddrPort, held bool) claim {
	m := &t.m
	if m.Source && m.ReceivedFrom.IsValid() {
		addr = netip.AddrPortFrom(m.ReceivedFrom, addr.Port())
	}
	addr, _ = t.r.usable(t.call, addr, t.fork.sides[t.x].face) // what is not is ignored; Refuse has been here before
	return claim{
		addr: addr, held: held, received: m.ReceivedFrom.Unmap(),
		trust:      m.Trust || t.r.cfg.Addresses == Trust && !m.Source,
		asymmetric: m.Asymmetric, follows: m.Handover,
	}
}
