package forward

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/wire/rtp"
)

// What judge allocates would be allocated for every packet of every call.
func TestJudgeAllocatesNothing(t *testing.T) {
	u, err := NewUserspace(16, func(_, _ netip.AddrPort) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Release)
	peer, other := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.2:4000")
	there := sockaddr{size: unix.SizeofSockaddrInet4}
	l := &leg{track: new(Track)}
	l.route.Store(&route{media: way{to: there}, Leg: Leg{From: peer, To: other, Exact: netip.MustParseAddrPort("192.0.2.3:1"), Clock: 8000}, scale: rtp.Scale(8000)})
	s := &socket{}
	s.leg.Store(l)
	h := rtp.Header{Sequence: 1}
	packet := append(h.Append(nil), make([]byte, 160)...)
	now := uint64(1)
	for name, c := range map[string]struct {
		from netip.AddrPort
		b    []byte
		want Verdict
	}{
		"forwarded":    {peer, packet, Forwarded},
		"wrong source": {other, packet, WrongSource},
		"refused":      {netip.MustParseAddrPort("192.0.2.3:1"), packet, WrongSource},
		"garbage":      {peer, []byte("garbage"), NotRTP},
	} {
		if n := testing.AllocsPerRun(100, func() {
			now += 20e6
			if v, _ := u.judge(s, c.from, c.b, now); v != c.want {
				t.Fatalf("%s: %v", name, v)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	peer := netip.MustParseAddrPort("192.0.2.1:4000")
	u, s, l := &Userspace{}, &socket{}, &leg{track: new(Track)}
	l.route.Store(&route{media: way{to: sockaddr{size: 1}}, Leg: Leg{From: peer, To: peer, Clock: 8000}, scale: rtp.Scale(8000)})
	s.leg.Store(l)
	packet := append(rtp.Header{}.Append(nil), make([]byte, 160)...)
	b.ReportAllocs()
	now, n := uint64(0), uint16(0)
	for b.Loop() {
		n++
		now += 20e6
		packet[2], packet[3] = byte(n>>8), byte(n)
		if v, _ := u.judge(s, peer, packet, now); v != Forwarded {
			b.Fatal(v)
		}
	}
}
