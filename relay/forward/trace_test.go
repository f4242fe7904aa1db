package forward_test

import (
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp"
)

// A trace is what happens to a table, made up once so that it can happen to two.
type trace []any

// What happens: these, a forward.Leg that is put, or a forgotten local address
// whose leg is deleted.
type (
	datagrams struct {
		from    int // party
		to      netip.AddrPort
		packets [][]byte
	}
	forgotten struct{ local netip.AddrPort }
)

// A dreamer makes traces up.
type dreamer struct {
	*rand.Rand
	parties []*net.UDPConn
	locals  []netip.AddrPort
	legs    map[netip.AddrPort]forward.Leg
	streams map[int]*rtp.Header // by party
}

func (d *dreamer) dream(steps int) trace {
	var t trace
	for range steps {
		switch n := d.IntN(100); {
		case n < 12:
			leg := d.leg()
			d.legs[leg.Local] = leg
			t = append(t, leg)
		case n < 15:
			local := d.local()
			delete(d.legs, local)
			t = append(t, forgotten{local})
		default:
			t = append(t, d.datagrams())
		}
	}
	return t
}

func (d *dreamer) local() netip.AddrPort { return d.locals[d.IntN(len(d.locals))] }

// party is one of the family of near.
func (d *dreamer) party(near netip.AddrPort) int {
	for {
		i := d.IntN(len(d.parties))
		if addr(d.parties[i]).Addr().Is4() == near.Addr().Is4() {
			return i
		}
	}
}

func (d *dreamer) leg() forward.Leg {
	at := d.IntN(len(d.locals))
	l := forward.Leg{Local: d.locals[at], Via: d.local(), Clock: []uint32{0, 8000, 16000, 48000, 90000}[d.IntN(5)]}
	l.From = addr(d.parties[d.party(l.Local)])
	switch d.IntN(8) {
	case 0:
		l.Exact = addr(d.parties[d.party(l.Local)])
	case 1:
		l.From, l.Learn = netip.AddrPort{}, addr(d.parties[d.party(l.Local)]).Addr()
	}
	l.Flags = []forward.Flags{0, 0, 0, 0, forward.RTCP, forward.Mux, forward.Mux, forward.Any}[d.IntN(8)]
	switch d.IntN(8) {
	case 0: // held
	case 1, 2: // another leg's local side, of the same family; never back, so that nothing goes round
		for _, next := range d.locals[at+1:] {
			if n, ok := d.legs[next]; ok && next.Addr().Is4() == l.Via.Addr().Is4() && n.From.IsValid() {
				l.To = next
				d.legs[next] = n
				break
			}
		}
	default:
		l.To = addr(d.parties[d.party(l.Via)])
	}
	// A leg that another goes to hears it, sometimes.
	for _, before := range d.locals[:at] {
		if b, ok := d.legs[before]; ok && b.To == l.Local && d.IntN(2) == 0 {
			l.From, l.Exact, l.Learn = b.Via, netip.AddrPort{}, netip.Addr{}
		}
	}
	return l
}

func (d *dreamer) datagrams() datagrams {
	g := datagrams{to: d.local()}
	g.from = d.party(g.to)
	leg := d.legs[g.to]
	if d.IntN(8) > 0 { // mostly who should
		for i, p := range d.parties {
			if addr(p) == leg.From || addr(p) == leg.Exact {
				g.from = i
			}
		}
	}
	burst := 1
	if leg.From.IsValid() && !leg.Exact.IsValid() && !leg.Learn.IsValid() {
		burst += d.IntN(12)
	}
	for range burst {
		g.packets = append(g.packets, d.packet(g.from))
	}
	return g
}

// packet is the next of a party's stream, or something else.
func (d *dreamer) packet(from int) []byte {
	h := d.streams[from]
	if h == nil {
		h = &rtp.Header{Sequence: uint16(d.Uint32()), Timestamp: d.Uint32(), SSRC: d.Uint32(), PayloadType: 8}
		d.streams[from] = h
	}
	h.Sequence++
	h.Timestamp += 160
	h.Marker = d.IntN(20) == 0
	switch d.IntN(24) {
	case 0:
		h.Sequence += uint16(d.IntN(6)) // lost
	case 1:
		h.Sequence -= uint16(d.IntN(70)) // late or twice
	case 2:
		h.Sequence += uint16(d.Uint32()) // a new beginning
	case 3:
		h.SSRC = d.Uint32()
	case 4:
		h.PayloadType = uint8(d.IntN(128))
	case 5:
		h.Timestamp = d.Uint32()
	case 6:
		return d.other(h)
	case 7:
		return d.bent(h)
	case 8:
		h.PayloadType = 0
	}
	return d.filled(h.Append(nil), d.IntN(400))
}

func (d *dreamer) filled(b []byte, n int) []byte {
	for range n {
		b = append(b, byte(d.Uint32()))
	}
	return b
}

// other is no RTP.
func (d *dreamer) other(h *rtp.Header) []byte {
	switch d.IntN(6) {
	case 0:
		return rtp.AppendRR(nil, h.SSRC, rtp.Report{SSRC: d.Uint32(), LastSR: d.Uint32()})
	case 1:
		return rtp.AppendCNAME(rtp.AppendSR(nil, rtp.SenderInfo{SSRC: h.SSRC, NTP: d.Uint64()}), h.SSRC, "a")
	case 2:
		return d.filled([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 12)
	case 3:
		return d.filled([]byte{22, 254, 253}, 20)
	case 4:
		return d.filled(h.Append(nil), 2500) // arrives in fragments, and is too long
	default:
		return d.filled(nil, d.IntN(30))
	}
}

// bent is RTP with what few senders send, or a mistake in it.
func (d *dreamer) bent(h *rtp.Header) []byte {
	b := d.filled(h.Append(nil), d.IntN(40))
	switch d.IntN(7) {
	case 0:
		b[0] |= byte(1 + d.IntN(15)) // CSRCs, which may not fit
	case 1:
		b[0] |= 0x10 // an extension as long as chance has it
	case 2:
		b = append(h.Append(nil), 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 5)
		b[0] |= 0x10
	case 3:
		b[0] |= 0x20 // padding
		b[len(b)-1] = byte(d.IntN(len(b) + 3))
	case 4:
		b[0] = b[0]&0x3f | byte(d.IntN(4))<<6
	case 5:
		b = b[:d.IntN(13)]
	case 6:
		b[0] |= 0x3f
	}
	return b
}
