package shield

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/frame"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// A generator makes worlds and packets for the differential test. Addresses are
// drawn from few networks, so that packets, lists, sources and buckets meet.
type generator struct{ *rand.Rand }

func (g generator) one(in int) bool { return g.IntN(in) == 0 }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// odd are addresses that rules single out.
func odd() []string {
	return []string{
		"0.0.0.0", "0.255.1.1", "127.0.0.1", "223.255.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::2", "::ffff:198.18.0.1", "0:0:c612:1::", "0:1::", "64:ff9b::198.18.0.1", "ff02::1", "feff::1", "fe80::1",
	}
}

func (g generator) addr() netip.Addr {
	switch g.IntN(20) {
	case 0:
		return netip.MustParseAddr(pick(g, odd()...))
	case 1:
		v := g.Uint32()
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	case 2:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], g.Uint64())
		binary.BigEndian.PutUint64(b[8:], g.Uint64())
		return netip.AddrFrom16(b)
	case 3, 4, 5, 6:
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(g.IntN(2)), 5: byte(g.IntN(2)), 7: byte(g.IntN(3)), 15: byte(g.IntN(4))}
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte{198, 18, byte(g.IntN(3)), byte(g.IntN(12))})
}

func (g generator) prefix() netip.Prefix {
	a := g.addr().Unmap()
	bits := a.BitLen() - g.IntN(a.BitLen()/2)
	if g.one(20) {
		bits = g.IntN(a.BitLen() + 1)
	}
	p, _ := a.Prefix(bits)
	return p
}

func (g generator) country() geo.Country { return pick(g, geo.All()[:6]...) }

func (g generator) budget(most uint32) policy.Budget {
	switch g.IntN(8) {
	case 0:
		return policy.Budget{Unlimited: true}
	case 1:
		return policy.Budget{} // the default
	case 2:
		return policy.Budget{Burst: 1 + g.Uint32N(5)}
	case 3:
		return policy.Budget{Rate: g.Uint32N(policy.MaxRate + 1), Burst: 1 + g.Uint32N(most)}
	}
	return policy.Budget{Rate: g.Uint32N(40), Burst: 1 + g.Uint32N(30)}
}

func (g generator) countries() policy.Countries {
	c := policy.Countries{
		Default: pick(g, "", policy.Allow, policy.Allow, policy.Deny),
		Unknown: pick(g, "", policy.Allow, policy.Allow, policy.Deny),
	}
	for i, country := range geo.All()[:6] {
		switch {
		case i == 0 || g.one(3):
			c.Allow = append(c.Allow, country)
		case g.one(3):
			c.Deny = append(c.Deny, country)
		}
	}
	return c
}

func (g generator) policy(t testing.TB) *policy.Compiled {
	t.Helper()
	d := policy.Document{
		Countries: g.countries(),
		Services:  map[string]policy.Countries{},
		Budgets: policy.Budgets{
			Unknown: g.budget(policy.MaxUnknownBurst), Known: g.budget(policy.MaxBurst), Registered: g.budget(policy.MaxBurst),
			Carrier: g.budget(policy.MaxBurst), Neighbourhood: g.budget(policy.MaxBurst), Strangers: g.budget(policy.MaxBurst),
			HalfOpen: 1 + g.Uint32N(2),
		},
	}
	for _, s := range []string{"sip", "web", "media"} {
		if g.one(3) {
			d.Services[s] = g.countries()
		}
	}
	seen := map[netip.Prefix]bool{}
	for range g.IntN(30) {
		p := g.prefix()
		if list := pick(g, &d.Allow, &d.Deny, &d.Carriers); !seen[p] && p.Bits() > 4 {
			*list = append(*list, policy.Prefix{Prefix: p})
		}
		seen[p] = true
	}
	c, err := policy.Compile(d, g.Uint64(), time.Now())
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	return c
}

func (g generator) table(t testing.TB) *geo.Table {
	t.Helper()
	if g.one(6) {
		return nil
	}
	entries := map[netip.Prefix]geo.Country{}
	for range g.IntN(40) {
		if p := g.prefix(); p.Addr().Is4() || p.Bits() <= 64 {
			entries[p] = g.country()
		}
	}
	table, err := geo.Compile(entries)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func usualPorts() []judge.Port {
	return []judge.Port{
		{First: 5060, Last: 5060, Service: policy.SIP}, {TCP: true, First: 5060, Last: 5061, Service: policy.SIP},
		{TCP: true, First: 443, Last: 443, Service: policy.Web}, {First: 443, Last: 443, Service: policy.Web},
		{First: 3478, Last: 3478, Service: policy.TURN}, {TCP: true, First: 3478, Last: 3478, Service: policy.TURN},
		{First: 30000, Last: 30009, Service: policy.RTP},
	}
}

// scene changes everything.
func (g generator) scene(t testing.TB, w *twins) {
	t.Helper()
	w.setPolicy(t, g.policy(t))
	w.setTable(t, g.table(t))
	ports := usualPorts()
	for range g.IntN(3) {
		i := g.IntN(len(ports))
		ports = append(ports[:i], ports[i+1:]...)
	}
	w.setPorts(t, ports)
	for port := range uint16(10) {
		w.setLeg(30000+port, g.one(2))
	}
}

// between changes what changes between packets.
func (g generator) between(t testing.TB, w *twins) {
	t.Helper()
	if g.one(500) {
		w.clock(w.now + judge.Millis(g.Uint64N(70_000)))
	}
	switch g.IntN(40) {
	case 1:
		w.setLeg(30000+uint16(g.IntN(10)), g.one(2))
	case 2, 3, 4:
		s := judge.Source{
			Class:  pick(g, policy.Known, policy.Known, policy.Registered, policy.Carrier, policy.Ban),
			Proven: g.one(2),
		}
		if !g.one(3) {
			s.Until = w.now.Seconds() + g.Uint32N(20)
		}
		w.put(t, judge.KeyOf(g.addr()), s)
	case 5, 6:
		w.drop(t, judge.KeyOf(g.addr()))
	case 7, 8, 9, 10, 11, 12, 13, 14: // the clock is jiffies, it stands still now and then
		w.clock(w.now + judge.Millis(g.Uint64N(200)))
	}
}

// frame is a packet such as a phone, a scanner or nobody sends.
func (g generator) frame() []byte {
	f := frame.Frame{
		Source: g.addr(), Protocol: pick(g, frame.UDP, frame.UDP, frame.TCP, frame.TCP, frame.ICMP, frame.NoNext),
		Payload: make([]byte, g.IntN(40)), SourcePort: uint16(g.Uint32()),
		Flags: pick(g, frame.SYN, frame.SYN, frame.SYN, frame.ACK, frame.ACK, frame.SYN|frame.ACK, uint8(g.Uint32())),
	}
	if f.Protocol == frame.ICMP && !g.one(4) || f.Protocol == frame.NoNext && !g.one(4) {
		f.Protocol = frame.UDP
	}
	f.Port = pick[uint16](g, 5060, 5060, 5060, 443, 3478, 30000, 30001)
	if f.Protocol == frame.TCP {
		f.Port = pick[uint16](g, 5060, 5060, 5061, 443)
	}
	if g.one(8) {
		f.Port = pick[uint16](g, 30000, 30009, 30010, 5061, 22, uint16(g.Uint32()))
	}
	f.Destination = destination(f.Source)
	for range g.IntN(4) - 1 {
		f.Tags = append(f.Tags, frame.Tag{Type: pick(g, 0, frame.ProviderVLAN), ID: uint16(g.Uint32())})
	}
	if g.one(8) {
		f.Fragment = &frame.Fragment{Offset: pick[uint16](g, 0, 0, 1, 185, 0x1fff), More: g.one(2), ID: g.Uint32()}
	}
	if g.one(6) {
		f.Options = make([]byte, g.IntN(41))
		for range pick(g, 1, 2, 3, 8, 9) {
			f.Extensions = append(f.Extensions, frame.Extension{
				Type: pick(g, frame.HopByHop, frame.Routing, frame.Authentication, frame.Destination, frame.Mobility, frame.FragmentHeader),
				Data: make([]byte, g.IntN(3)*8),
			})
		}
	}
	if g.one(10) {
		f.Trailer = make([]byte, g.IntN(20))
	}
	b := f.Bytes()
	if g.one(6) {
		b = g.mutate(b)
	}
	return b
}

func destination(source netip.Addr) netip.Addr {
	if source.Is4() {
		return netip.MustParseAddr("192.0.2.1")
	}
	return netip.MustParseAddr("2001:db8::1")
}

// mutate breaks a frame: bits turned, cut, grown, or bytes that matter replaced.
func (g generator) mutate(b []byte) []byte {
	for range 1 + g.IntN(3) {
		switch g.IntN(4) {
		case 0:
			b[12+g.IntN(len(b)-12)] ^= 1 << g.IntN(8)
		case 1:
			b[12+g.IntN(len(b)-12)] = pick[byte](g, 0, 1, 6, 17, 44, 51, 59, 60, 0xff, byte(g.Uint32()))
		case 2:
			b = b[:14+g.IntN(len(b)-13)]
		case 3:
			b = append(b, make([]byte, g.IntN(30))...)
		}
	}
	return b
}

// question is a packet that somebody might ask about, and its frame.
func (g generator) question() (judge.Packet, []byte) {
	a := g.addr()
	for a.Is4In6() {
		a = g.addr() // people mean the IPv4 address
	}
	p := judge.Packet{Source: a, Service: pick(g, policy.SIP, policy.Web, policy.TURN, policy.RTP)}
	f := frame.Frame{Source: a, Destination: destination(a), Payload: []byte("question")}
	f.Port = map[policy.Service]uint16{policy.SIP: 5060, policy.Web: 443, policy.TURN: 3478, policy.RTP: 30000}[p.Service]
	p.Port = f.Port
	if p.Service == policy.Web || p.Service == policy.SIP && g.one(3) {
		p.TCP, p.Opens = true, true
		f.Protocol, f.Flags = frame.TCP, frame.SYN
	}
	return p, f.Bytes()
}
