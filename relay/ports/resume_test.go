package ports_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/ports"
)

func pairAt(port uint16) ports.Pair {
	return ports.Pair{RTP: netip.AddrPortFrom(ours, port), RTCP: netip.AddrPortFrom(ours, port+1)}
}

// counts checks what the pairs of p do.
func counts(t *testing.T, p *ports.Pool, free, lent, resting int) {
	t.Helper()
	if f, l, r := p.Counts(); f != free || l != lent || r != resting {
		t.Errorf("%d free, %d lent, %d resting, want %d, %d, %d", f, l, r, free, lent, resting)
	}
}

func TestResume(t *testing.T) {
	s := newSockets(t, 30005) // the RTCP port of a pair is somebody else's
	p := ports.NewPool(ours, 30000, 30009, rest, s)
	live := map[uint16]bool{}
	p.Watch(func(port uint16, lent bool) { live[port] = lent })
	refused := map[uint16]bool{}
	p.Resume([]ports.Pair{pairAt(30002), pairAt(30004), pairAt(30008), pairAt(30008), pairAt(40000)}, func(pair ports.Pair, why error) {
		refused[pair.RTP.Port()] = why != nil
	})
	if len(refused) != 3 || !refused[30004] || !refused[30008] || !refused[40000] { // 30008 the second time
		t.Errorf("refused %v", refused)
	}
	if len(live) != 4 || !live[30002] || !live[30003] || !live[30008] || !live[30009] {
		t.Errorf("live %v", live)
	}
	counts(t, p, 2, 2, 1)
	for range 2 {
		if pair, err := p.Lend(); err != nil || pair.RTP.Port() != 30000 && pair.RTP.Port() != 30006 {
			t.Errorf("lent %v %v", pair, err)
		}
	}
	p.Sweep(begin)
	counts(t, p, 1, 4, 0)
	p.Return(pairAt(30002), begin)
	counts(t, p, 1, 3, 1)
}

// Pairs rest for what is left of their time.
func TestRestGoesOn(t *testing.T) {
	s := newSockets(t, 30006)
	p := ports.NewPool(ours, 30000, 30009, rest, s)
	p.Resume([]ports.Pair{pairAt(30004)}, func(pair ports.Pair, why error) { t.Error(pair, why) })
	p.Rest(map[ports.Pair]time.Time{
		pairAt(30000): begin,
		pairAt(30002): begin.Add(-rest), // its rest is over
		pairAt(30004): begin,            // lent
		pairAt(30006): begin,            // somebody else's
		pairAt(40000): begin,            // none of ours
	}, begin.Add(time.Second))
	counts(t, p, 2, 1, 2)
	resting := map[uint16]time.Time{}
	for pair, since := range p.Resting {
		resting[pair.RTP.Port()] = since
	}
	if len(resting) != 1 || !resting[30000].Equal(begin) {
		t.Errorf("resting %v", resting)
	}
	p.Sweep(begin.Add(rest - 1))
	counts(t, p, 3, 1, 1)
	p.Sweep(begin.Add(rest))
	counts(t, p, 4, 1, 0)
	if len(s.open) != 2 {
		t.Errorf("open: %v", s.open)
	}
}
