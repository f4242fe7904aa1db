package bpf

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/lindero/lindero/bpf/frame"
)

// Sources of a benchmark, as shield_bench.bpf.c numbers them.
const (
	asIs = iota
	among
	anybody
	inside
)

// variant is one way to be judged.
type variant struct {
	mode   uint32
	among  uint32
	tables bool // a world of countries, of which some are denied
	policy Policy
	frame  frame.Frame
	known  bool // the sources are promoted
	list   *addresses
}

// BenchmarkVerdict measures one packet in the kernel. "net" is what the judge costs
// over a program that only gives the frame another source, "over-empty" over one
// that does nothing at all. On a shared machine only the least of many rounds means
// something, so that is what is reported.
func BenchmarkVerdict(b *testing.B) {
	privilege(b)
	w, four, six := populate()
	table := w.trie()
	b.Logf("%d words", len(table.Words))
	sip := sipFrom("192.0.2.9")
	ssh := sip
	ssh.Port, ssh.Protocol, ssh.Flags = 22, frame.TCP, frame.ACK
	rules := budgets()
	offices := newLists() // among the sources' /8
	offices.add("198.51.100.0/24", 1)
	rules.Lists = offices.trie()
	rules.Deny[1][1] = 0xff
	crowd := rules // each of them refused for the crowd's sake
	crowd.Around, crowd.All = Budget{Rate: 50, Burst: 200}, Budget{Rate: 2000, Burst: 4000}
	variants := []struct {
		name string
		variant
	}{
		{"ssh passes unseen", variant{mode: among, among: 1000, policy: budgets(), frame: ssh}},
		{"1000 sources, no tables", variant{mode: among, among: 1000, policy: budgets(), frame: sip}},
		{"1000 sources", variant{mode: among, among: 1000, tables: true, policy: rules, frame: sip}},
		{"1000 known sources", variant{mode: among, among: 1000, tables: true, policy: rules, frame: sip, known: true}},
		{"random world addresses, no tables", variant{mode: inside, policy: budgets(), frame: sip}},
		{"random world addresses", variant{mode: inside, tables: true, policy: rules, frame: sip}},
		{"every source spoofed and new", variant{mode: anybody, tables: true, policy: rules, frame: sip}},
		{"every source new, strangers spent", variant{mode: anybody, tables: true, policy: crowd, frame: sip}},
		{"random world addresses, IPv6", variant{mode: inside, tables: true, policy: rules, frame: sipFrom("2001:db8::9")}},
		{"spoofed, no tables", variant{mode: anybody, policy: budgets(), frame: sip}},
	}
	for _, v := range variants {
		v.list = four
		if v.frame.Source.Is6() {
			v.list = six
		}
		b.Run(v.name, func(b *testing.B) { measure(b, v.variant, table) })
	}
}

// budgets are those of the default document, but that strangers never run out, so
// that the longest way is measured.
func budgets() Policy {
	p := Policy{Version: 1, HalfOpen: 64, Around: Budget{Rate: Unlimited}, All: Budget{Rate: Unlimited}}
	p.Budgets = [5]Budget{{1e6, 1000}, {1e6, 4e6}, {1e6, 4e6}, {Rate: Unlimited}, {}}
	return p
}

func measure(b *testing.B, v variant, countries Trie) {
	load := func() (*ebpf.CollectionSpec, error) {
		spec, err := loadBench()
		if err != nil {
			return nil, err
		}
		for name, value := range map[string]uint32{benchVarBenchMode: v.mode, benchVarBenchAmong: v.among, benchVarBenchBase: 198<<24 | 18<<16} {
			if err := spec.Variables[name].Set(value); err != nil {
				return nil, err
			}
		}
		spec.Maps[benchMapAddresses].Contents = []ebpf.MapKV{{Key: uint32(0), Value: v.list[:]}}
		return spec, nil
	}
	s, others := benchShield(b, load)
	if err := s.SetPolicy(v.policy); err != nil {
		b.Fatal(err)
	}
	if v.tables {
		if err := s.SetCountries(countries); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.SetServices([]Port{{First: 5060, Last: 5060, Service: 1}}); err != nil {
		b.Fatal(err)
	}
	for i := range v.among {
		if v.known {
			if err := s.PutSource(uint64(198<<24|18<<16+i), Source{Class: 1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	const runs, rounds = 100_000, 25
	f := v.frame.Bytes()
	least := func(p *ebpf.Program) float64 {
		best := time.Duration(math.MaxInt64)
		for range rounds {
			_, d, err := p.Benchmark(slices.Clone(f), runs, nil)
			if err != nil {
				b.Fatal(err)
			}
			best = min(best, d)
		}
		return float64(best.Nanoseconds())
	}
	for b.Loop() {
		empty, vary, whole := least(others.BenchEmpty), least(others.BenchVary), least(s.program)
		b.ReportMetric(empty, "empty")
		b.ReportMetric(whole-vary, "net")
		b.ReportMetric(whole-empty, "over-empty")
	}
	b.ReportMetric(0, "ns/op")
	c, err := s.Counters()
	if err != nil {
		b.Fatal(err)
	}
	var sum [16]uint64
	for i := range c {
		for j := range c[i] {
			sum[j] += c[i][j]
		}
	}
	b.Logf("verdicts %v", sum)
}

// benchShield opens the benchmark's program as a shield, and the programs to compare with.
func benchShield(b *testing.B, load func() (*ebpf.CollectionSpec, error)) (*Shield, *benchPrograms) {
	b.Helper()
	s, err := open(Options{}, load)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	spec, err := load()
	if err != nil {
		b.Fatal(err)
	}
	var others struct {
		Vary  *ebpf.Program `ebpf:"bench_vary"`
		Empty *ebpf.Program `ebpf:"bench_empty"`
	}
	if err := spec.LoadAndAssign(&others, nil); err != nil {
		b.Fatal(err)
	}
	p := &benchPrograms{BenchVary: others.Vary, BenchEmpty: others.Empty}
	b.Cleanup(func() { p.BenchVary.Close(); p.BenchEmpty.Close() })
	return s, p
}
