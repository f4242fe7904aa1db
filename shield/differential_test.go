package shield

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// twins are the two writings of the judge, told the same things.
type twins struct {
	kernel *kernel
	shield *bpf.Shield // kernel's only one
	engine *judge.Engine
	table  *geo.Table
	ports  []judge.Port
	now    judge.Millis
	before tallies // of the kernel, when it was compared last
	sent   []string
}

func newTwins(t testing.TB) *twins {
	t.Helper()
	s, err := bpf.Open(bpf.Options{Clock: true})
	if err != nil {
		if errors.Is(err, bpf.ErrNotHere) && os.Getenv("CI") == "" {
			t.Skipf("the kernel's side is not compared: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &twins{kernel: &kernel{devices: []device{{"test", s}}}, shield: s, engine: judge.NewEngine(judge.Seed(s.Seed()))}
	w.clock(1<<32 - 100_000) // the stamps wrap in the middle of the test
	return w
}

func (w *twins) clock(now judge.Millis) {
	w.now = now
	w.shield.SetClock(uint64(now))
}

func (w *twins) setPolicy(t testing.TB, c *policy.Compiled) {
	t.Helper()
	if err := w.kernel.setPolicy(c); err != nil {
		t.Fatal(err)
	}
	w.engine.SetPolicy(c)
}

func (w *twins) setTable(t testing.TB, table *geo.Table) {
	t.Helper()
	if err := w.kernel.setCountries(table); err != nil {
		t.Fatal(err)
	}
	w.table = table
	w.engine.SetTable(table)
}

func (w *twins) setPorts(t testing.TB, ports []judge.Port) {
	t.Helper()
	list := make([]Port, len(ports))
	for i, p := range ports {
		list[i] = Port(p)
	}
	if err := w.kernel.setServices(list); err != nil {
		t.Fatal(err)
	}
	w.ports = ports
	w.engine.SetPorts(ports)
}

func (w *twins) setLeg(port uint16, live bool) {
	w.kernel.setLeg(port, live)
	w.engine.SetLeg(port, live)
}

func (w *twins) put(t testing.TB, k judge.Key, s judge.Source) {
	t.Helper()
	v := bpf.Source{Class: uint8(s.Class), Proven: s.Proven, Until: s.Until}
	if err := errors.Join(w.shield.PutSource(uint64(k), v), w.engine.PutSource(k, s)); err != nil {
		t.Fatal(err)
	}
}

func (w *twins) drop(t testing.TB, k judge.Key) {
	t.Helper()
	if err := w.kernel.drop(k); err != nil {
		t.Fatal(err)
	}
	w.engine.DeleteSource(k)
}

// send gives a frame to both, and compares what became of it and of the state that
// it met. Verdicts and countries are compared by compare.
func (w *twins) send(t testing.TB, f []byte) judge.Ruling {
	t.Helper()
	action, err := w.shield.Test(f)
	if err != nil {
		t.Fatal(err)
	}
	r := w.engine.JudgeFrame(f, w.now)
	w.sent = append(w.sent, fmt.Sprintf("%v %v at %d: %x", r.Verdict, r.Country, w.now, f))
	if drops := action == 1; drops != r.Verdict.Drops() || action != 1 && action != 2 {
		t.Fatalf("the kernel's action is %d, the engine says %v\n%s", action, r.Verdict, w.sent[len(w.sent)-1])
	}
	if p, _, ours := judge.Parse(f, w.service); ours {
		w.compareState(t, p)
	}
	return r
}

// service is what a port is for, and SIP when it is for nothing: the source's state
// is looked at all the same.
func (w *twins) service(tcp bool, port uint16) policy.Service {
	for _, p := range w.ports {
		if p.TCP == tcp && port >= p.First && port <= p.Last {
			return p.Service
		}
	}
	return policy.SIP
}

// compareState compares what both keep of a source and of its surroundings.
func (w *twins) compareState(t testing.TB, p judge.Packet) {
	t.Helper()
	views, err := w.kernel.look(p)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := plain(views[0].state), plain(w.engine.Look(p))
	if !reflect.DeepEqual(theirs, ours) {
		t.Fatalf("of %v the kernel keeps\n%+v %+v, the engine\n%+v %+v\n%s",
			p.Source, theirs, theirs.Source, ours, ours.Source, w.sent[len(w.sent)-1])
	}
}

// plain is a state without what may differ: a bucket that no packet touched holds
// more than any budget, whatever its stamp.
func plain(s judge.State) judge.State {
	s.Live = false
	if s.Source != nil && s.Source.Bucket.Tokens == ^uint32(0) {
		own := *s.Source
		own.Bucket.Stamp = 0
		s.Source = &own
	}
	return s
}

// compare holds the counters against each other, since the last time.
func (w *twins) compare(t testing.TB) {
	t.Helper()
	now, err := w.kernel.counters()
	if err != nil {
		t.Fatal(err)
	}
	ours := w.engine.Counters()
	for c := range now {
		for v := range now[c] {
			if now[c][v] != ours[c][v] {
				t.Errorf("%v %v: the kernel counted %d more, the engine %d in all of %d", geo.Country(c), policy.Verdict(v), now[c][v]-w.before[c][v], ours[c][v], now[c][v])
			}
		}
	}
	if t.Failed() {
		for _, line := range w.sent {
			t.Log(line)
		}
		t.FailNow()
	}
	w.before, w.sent = *now, w.sent[:0]
}

// Both judge the same random packets under the same random policies, tables,
// sources, calls and clocks, and agree on every one.
func TestKernelAndEngineAgree(t *testing.T) {
	const compareEvery = 50
	scenarios, packets := 210, 1000
	if testing.Short() {
		scenarios = 25
	}
	w := newTwins(t)
	seen := map[policy.Verdict]int{}
	for scenario := range scenarios {
		g := generator{rand.New(rand.NewPCG(uint64(scenario), 1))}
		g.scene(t, w)
		for n := range packets {
			g.between(t, w)
			seen[w.send(t, g.frame()).Verdict]++
			if n%compareEvery == compareEvery-1 {
				w.compare(t)
			}
		}
	}
	for v := policy.NotOurs; v < policy.Verdicts; v++ {
		if seen[v] == 0 || seen[v] < scenarios/2 && !testing.Short() {
			t.Errorf("%v was seen %d times in %d scenarios: not worth much", v, seen[v], scenarios)
		}
	}
	t.Logf("%d packets: %v", scenarios*packets, seen)
}

// The same, steered by the fuzzer: it has the frame in its hand.
func FuzzKernelAndEngineAgree(f *testing.F) {
	for seed := range uint64(40) {
		g := generator{rand.New(rand.NewPCG(seed, 2))}
		f.Add(seed, g.frame())
	}
	w, scene := newTwins(f), uint64(0)
	f.Fuzz(func(t *testing.T, seed uint64, frame []byte) {
		if len(frame) < 14 || len(frame) > 1500 {
			return // the test run takes no less and no more
		}
		g := generator{rand.New(rand.NewPCG(seed, 3))}
		if scene++; scene%64 == 1 {
			g.scene(t, w)
		}
		g.between(t, w)
		w.send(t, frame)
		w.send(t, g.mutate(slices.Clone(frame)))
		w.compare(t)
	})
}

// What Guard.Explain would say of a source's next packet is what the kernel then does.
func TestExplainAgreesWithTheKernel(t *testing.T) {
	w := newTwins(t)
	seen := map[policy.Verdict]int{}
	for scenario := range 40 {
		g := generator{rand.New(rand.NewPCG(uint64(scenario), 4))}
		g.scene(t, w)
		w.setPorts(t, usualPorts())
		w.setLeg(30000, true)
		for range 200 {
			g.between(t, w)
			w.setLeg(30000, true)
			p, f := g.question()
			views, err := w.kernel.look(p)
			if err != nil {
				t.Fatal(err)
			}
			facts, _ := explain(p, views, w.engine.Policy(), w.table)
			before := w.before[facts.Country][facts.Verdict]
			w.send(t, f)
			w.compare(t)
			if n := w.before[facts.Country][facts.Verdict] - before; n != 1 {
				t.Fatalf("%+v: explained as %v in %v (%s), which the kernel did not count", p, facts.Verdict, facts.Country, facts.Rule)
			}
			seen[facts.Verdict]++
		}
	}
	t.Logf("explained: %v", seen)
	for v := policy.Passed; v < policy.Verdicts; v++ {
		if seen[v] == 0 && v != policy.NoLeg && v != policy.Fragment && v != policy.Connection {
			t.Errorf("%v was never explained", v)
		}
	}
}

func TestVerdictsHaveTheKernelsNames(t *testing.T) {
	names, err := bpf.VerdictNames()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != policy.Verdicts {
		t.Fatalf("the kernel has %d verdicts, policy %d", len(names), policy.Verdicts)
	}
	for i, name := range names {
		if got := policy.Verdict(i).String(); got != name {
			t.Errorf("verdict %d is %q in the kernel and %q in policy", i, name, got)
		}
	}
}

// The two have room for the same: what policy compiles the kernel takes.
func TestTheKernelTakesWhatPolicyCompiles(t *testing.T) {
	w := newTwins(t)
	c, err := policy.Compile(policy.Document{}, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := kernelPolicy(c)
	p.Lists.Words = make([]uint64, policy.MaxListWords)
	if err := w.shield.SetPolicy(p); err != nil {
		t.Errorf("%d words: %v", len(p.Lists.Words), err)
	}
	p.Lists.Words = append(p.Lists.Words, 0)
	if err := w.shield.SetPolicy(p); !errors.Is(err, bpf.ErrFull) {
		t.Errorf("a word more: %v; policy.MaxListWords could be larger", err)
	}
	for k := range uint64(judge.MaxSources) {
		if err := w.shield.PutSource(k, bpf.Source{Class: 1}); err != nil {
			t.Fatalf("source %d: %v", k, err)
		}
	}
	if err := w.shield.PutSource(judge.MaxSources, bpf.Source{Class: 1}); !errors.Is(err, bpf.ErrFull) {
		t.Errorf("a source more than judge.MaxSources: %v", err)
	}
}
