package judge

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// The engine is Decide with memory: here is Decide with another memory.
func TestEngineKeepsWhatDecideSays(t *testing.T) {
	const seed = Seed(77)
	pol := compile(t, policy.Document{Budgets: policy.Budgets{HalfOpen: 2, Strangers: policy.Budget{Rate: 100, Burst: 200}}})
	e := NewEngine(seed)
	e.SetPolicy(pol)
	known := netip.MustParseAddr("198.18.0.3")
	if err := e.PutSource(KeyOf(known), Source{Class: policy.Known}); err != nil {
		t.Fatal(err)
	}
	own := Source{Class: policy.Known, Bucket: Bucket{Tokens: ^uint32(0)}}
	cells, around, half, all := map[uint32]Cell{}, [2]map[uint32]Bucket{{}, {}}, map[uint32]HalfOpen{}, map[uint32]Bucket{}
	refused := map[uint32]Refused{}
	rng := rand.New(rand.NewPCG(2, 2))
	now := Millis(5)
	for n := range 100_000 {
		now += Millis(rng.Uint64N(15))
		p := Packet{Source: netip.AddrFrom4([4]byte{198, 18, byte(rng.Uint32N(4)), byte(rng.Uint32N(20))}), Service: policy.Service(1 + rng.IntN(3))}
		p.TCP = rng.IntN(2) == 0
		p.Opens = p.TCP && rng.IntN(2) == 0
		p.Acks = p.TCP && !p.Opens
		k := KeyOf(p.Source)
		c, a, h, l := seed.Cell(k), seed.Around(AroundOf(p.Source)), seed.HalfOpen(k), Aggregate(p)
		s := State{
			Tag: seed.Tag(k), Cell: cells[c], HalfOpen: half[h], All: all[l],
			Around: [2]Bucket{around[0][a[0]], around[1][a[1]]}, Name: seed.Name(k), Refused: refused[seed.Refused(k)],
		}
		if p.Source == known {
			s.Source = &own
		}
		if look := e.Look(p); look.Cell != s.Cell || look.Around != s.Around || look.All != s.All || look.HalfOpen != s.HalfOpen || look.Refused != s.Refused {
			t.Fatalf("packet %d: the engine has %+v, want %+v", n, look, s)
		}
		want, after := Decide(p, s, pol, 0, false, now)
		got := e.Judge(p, now)
		got.Sampled = false
		if got != want {
			t.Fatalf("packet %d: %+v, want %+v", n, got, want)
		}
		cells[c], half[h], all[l], refused[seed.Refused(k)] = after.Cell, after.HalfOpen, after.All, after.Refused
		around[0][a[0]], around[1][a[1]] = after.Around[0], after.Around[1]
		if after.Source != nil {
			own = *after.Source
		}
	}
}

func TestSources(t *testing.T) {
	e := NewEngine(1)
	for i := range MaxSources {
		if err := e.PutSource(Key(i), Source{Class: policy.Known}); err != nil {
			t.Fatalf("source %d: %v", i, err)
		}
	}
	if err := e.PutSource(MaxSources, Source{}); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := e.PutSource(7, Source{Class: policy.Ban, Proven: true, Until: 9}); err != nil {
		t.Errorf("changing one when it is full: %v", err)
	}
	n := 0
	e.Sources(func(k Key, s Source) {
		n++
		if k == 7 && (s.Class != policy.Ban || !s.Proven || s.Until != 9) {
			t.Errorf("source 7 is %+v", s)
		}
		if k%2 == 0 && !e.DeleteSource(k) {
			t.Errorf("source %d cannot be deleted while they are listed", k)
		}
	})
	if n != MaxSources {
		t.Errorf("%d sources listed", n)
	}
	if e.DeleteSource(2) {
		t.Error("a source is deleted twice")
	}
	if err := e.PutSource(MaxSources, Source{}); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestASourceKeepsItsBucketWhenItIsPutAgain(t *testing.T) {
	e := defaultEngine(t)
	p := sip("198.18.0.1")
	put := func(c policy.Class) {
		if err := e.PutSource(KeyOf(p.Source), Source{Class: c}); err != nil {
			t.Fatal(err)
		}
	}
	put(policy.Known)
	for range 200 {
		if v := e.Judge(p, 1000).Verdict; v != policy.Passed {
			t.Fatal(v)
		}
	}
	put(policy.Registered)
	if v := e.Judge(p, 1000).Verdict; v != policy.SourceBudget {
		t.Errorf("promoting a source filled its bucket: %v", v)
	}
	e.DeleteSource(KeyOf(p.Source))
	put(policy.Known)
	if v := e.Judge(p, 1000).Verdict; v != policy.Passed {
		t.Errorf("a new source's bucket is not full: %v", v)
	}
}

func TestCountersAndSamples(t *testing.T) {
	e := defaultEngine(t)
	table, err := geo.Compile(map[netip.Prefix]geo.Country{netip.MustParsePrefix("198.18.0.0/15"): country(t, "ES")})
	if err != nil {
		t.Fatal(err)
	}
	e.SetTable(table)
	samples := 0
	for i := range 200 {
		r := e.Judge(sip("198.18.0.1"), Millis(1000+i*1000))
		if r.Sampled {
			samples++
		}
	}
	e.JudgeFrame(nil, 1)
	c := e.Counters()
	if c[country(t, "ES")][policy.Passed] != 200 || c[0][policy.Malformed] != 1 || samples != 4 {
		t.Errorf("%d passed, %d malformed, %d sampled", c[country(t, "ES")][policy.Passed], c[0][policy.Malformed], samples)
	}
	// Listeners for both families see IPv4 in IPv6.
	if r := e.Judge(sip("::ffff:198.18.0.2"), 1000); r.Verdict != policy.Passed || r.Country != country(t, "ES") {
		t.Errorf("mapped: %+v", r)
	}
}

// Everything at once; the race detector watches, and no packet goes uncounted.
func TestManyGoroutines(t *testing.T) {
	e := defaultEngine(t)
	e.SetPorts([]Port{{First: 5060, Last: 5060, Service: policy.SIP}})
	pols := []*policy.Compiled{compile(t, policy.Document{Deny: entries("198.18.1.0/24")}), compile(t, policy.Document{})}
	table, err := geo.Compile(map[netip.Prefix]geo.Country{netip.MustParsePrefix("198.18.0.0/16"): country(t, "ES")})
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 4, 5000
	var judging, changing sync.WaitGroup
	done := make(chan struct{})
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			e.SetPolicy(pols[i%2])
			e.SetTable([]*geo.Table{nil, table}[i%2])
			e.SetLeg(uint16(i), i%3 == 0)
			k := Key(0xc6120000 + i%600)
			if i%5 == 0 {
				e.DeleteSource(k)
			} else if err := e.PutSource(k, Source{Class: policy.Class(i % policy.Classes), Until: uint32(i % 9)}); err != nil {
				t.Error(err)
			}
			e.Sources(func(Key, Source) {})
		}
	})
	for w := range workers {
		judging.Go(func() {
			for i := range each {
				p := sip("198.18.0.1")
				p.Source = netip.AddrFrom4([4]byte{198, 18, byte(i), byte(w)})
				e.Judge(p, Millis(i))
				e.Look(p)
			}
		})
	}
	judging.Wait()
	close(done)
	changing.Wait()
	sum := uint64(0)
	for _, row := range e.Counters() {
		for _, n := range row {
			sum += n
		}
	}
	if sum != workers*each {
		t.Errorf("%d packets counted of %d", sum, workers*each)
	}
}

func TestJudgingAllocatesNothing(t *testing.T) {
	e := defaultEngine(t)
	e.SetPorts([]Port{{First: 5060, Last: 5060, Service: policy.SIP}})
	known, p := sip("198.18.0.1"), sip("198.18.0.2")
	if err := e.PutSource(KeyOf(known.Source), Source{Class: policy.Known}); err != nil {
		t.Fatal(err)
	}
	frame := udp4("198.18.0.3", 5060)
	now := Millis(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1000
		e.Judge(known, now)
		e.Judge(p, now)
		if e.JudgeFrame(frame, now).Verdict != policy.Passed {
			t.Error("the frame does not pass")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	e := defaultEngine(b)
	table, err := geo.Compile(map[netip.Prefix]geo.Country{netip.MustParsePrefix("198.18.0.0/15"): country(b, "ES")})
	if err != nil {
		b.Fatal(err)
	}
	e.SetTable(table)
	e.SetPorts([]Port{{First: 5060, Last: 5060, Service: policy.SIP}})
	rng := rand.New(rand.NewPCG(1, 1))
	many := make([]Packet, 1<<16)
	for i := range many {
		v := rng.Uint32()
		many[i] = Packet{Source: netip.AddrFrom4([4]byte{1 + byte(v>>24)%223, byte(v >> 16), byte(v >> 8), byte(v)}), Service: policy.SIP}
	}
	thousand := make([]Packet, 1000)
	for i := range thousand {
		thousand[i] = Packet{Source: netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), Service: policy.SIP}
		if err := e.PutSource(KeyOf(thousand[i].Source), Source{Class: policy.Registered}); err != nil {
			b.Fatal(err)
		}
	}
	for name, packets := range map[string][]Packet{"spoofed": many, "1000 registered": thousand} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Judge(packets[i%len(packets)], Millis(i))
			}
		})
	}
	b.Run("spoofed, parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				e.Judge(many[i%len(many)], Millis(i))
			}
		})
	})
	frame := udp4("198.18.0.3", 5060)
	b.Run("frame", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e.JudgeFrame(frame, Millis(i))
		}
	})
}
