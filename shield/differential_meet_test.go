package shield

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/frame"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// find is n addresses, one of a /24, that fit.
func find(t *testing.T, n int, fits func(judge.Key) bool) (found []netip.Addr) {
	t.Helper()
	for network := uint32(16 << 16); network < 200<<16 && len(found) < n; network++ {
		a := netip.AddrFrom4([4]byte{byte(network >> 16), byte(network >> 8), byte(network), 7})
		if fits(judge.KeyOf(a)) {
			found = append(found, a)
		}
	}
	if len(found) < n {
		t.Fatalf("found %d addresses of %d", len(found), n)
	}
	return found
}

// Sources that meet where the refused are remembered, networks that meet in a row,
// and a source with the name that nobody has: by chance none would be in a test.
func TestKernelAndEngineAgreeWhereSourcesMeet(t *testing.T) {
	w := newTwins(t)
	seed := judge.Seed(w.shield.Seed())
	pol, err := policy.Compile(policy.Document{Budgets: policy.Budgets{
		Unknown: policy.Budget{Rate: 200, Burst: 1000}, Neighbourhood: policy.Budget{Rate: 5, Burst: 12}, Strangers: policy.Budget{Rate: 20, Burst: 16},
	}}, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.setPolicy(t, pol)
	w.setPorts(t, usualPorts())
	const place, nobody = 1, 1 // the hash 0 is called 1, too
	var sources []netip.Addr
	for _, fits := range []func(judge.Key) bool{
		func(k judge.Key) bool { return seed.Refused(k) == place },
		func(k judge.Key) bool { return seed.Around(k &^ 0xff)[0] == place },
		func(k judge.Key) bool { return seed.Around(k &^ 0xff)[1] == place },
		func(k judge.Key) bool { return seed.Name(k) == nobody },
	} {
		sources = append(sources, find(t, 7, fits)...)
	}
	rng, seen := rand.New(rand.NewPCG(7, 7)), map[policy.Verdict]int{}
	for n := range 20_000 {
		w.clock(w.now + judge.Millis(rng.IntN(30)))
		group := n / 500 * 7 % len(sources)
		from := sources[group+rng.IntN(7)]
		f := frame.Frame{Source: from, Destination: destination(from), Protocol: frame.UDP, Port: 5060, Payload: []byte("again")}
		seen[w.send(t, f.Bytes()).Verdict]++
		if n%50 == 49 {
			w.compare(t)
		}
	}
	t.Log(seen)
	for _, v := range []policy.Verdict{policy.Passed, policy.Neighbourhood, policy.Strangers} {
		if seen[v] < 500 {
			t.Errorf("%v was seen %d times", v, seen[v])
		}
	}
}
