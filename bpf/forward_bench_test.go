package bpf

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// BenchmarkForward measures one packet in the kernel, of 128 streams in turn: through
// the forwarder alone, and through the shield and the forwarder behind it, over a
// program that only gives the frame its headers again. On a shared machine only the
// least of many rounds means something, so that is what is reported.
func BenchmarkForward(b *testing.B) {
	const streams = 128
	c := newBenchCrossing(b)
	for i := range uint16(streams) {
		c.put(b, Way{Local: at(ours4, 30000+2*i), From: phone4, Via: at(ours4, 30001+2*i), To: far4})
	}
	head := between(phone4, at(ours4, 30000), rtp(0)).Bytes()
	head[40], head[41] = 0x11, 0x11
	var begin struct{ Bytes [56]uint8 }
	copy(begin.Bytes[:], head)
	spec, err := loadForwardBench()
	if err != nil {
		b.Fatal(err)
	}
	if err := spec.Variables[forwardBenchVarBegin].Set(begin); err != nil {
		b.Fatal(err)
	}
	if err := spec.Variables[forwardBenchVarStreams].Set(uint32(streams - 1)); err != nil {
		b.Fatal(err)
	}
	for _, p := range spec.Programs {
		inPieces(p)
	}
	var o forwardBenchObjects
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	least := func(p *ebpf.Program) float64 {
		if p != nil {
			if err := o.Chained.Put(uint32(0), p); err != nil {
				b.Fatal(err)
			}
		}
		const runs, rounds = 100_000, 25
		best := time.Duration(math.MaxInt64)
		for range rounds {
			c.in(func() {
				_, d, err := o.ForwardBench.Benchmark(slices.Clone(head), runs, nil)
				if err != nil {
					b.Error(err)
				}
				best = min(best, d)
			})
		}
		return float64(best.Nanoseconds())
	}
	for b.Loop() {
		_ = o.Chained.Delete(uint32(0))
		empty, forward, shield := least(nil), least(c.f.program), least(c.shield.program)
		b.ReportMetric(empty, "empty")
		b.ReportMetric(forward-empty, "forward")
		b.ReportMetric(shield-empty, "shield+forward")
	}
	b.ReportMetric(0, "ns/op")
	if k := c.f.Track(at(ours4, 30000)); k.Packets == 0 || k.Receiver.Duplicate+k.Receiver.Reordered > 0 {
		b.Errorf("%+v", *k)
	}
	r, err := c.f.Reasons()
	b.Log(r, err)
}

type benchCrossing struct {
	*crossing
	shield *Shield
}

// newBenchCrossing is a crossing with a shield, attached nowhere, before the forwarder.
func newBenchCrossing(b *testing.B) *benchCrossing {
	b.Helper()
	c := &crossing{namespace: newNamespace(b), mac: map[string][6]byte{}}
	c.roads(b)
	o := ForwarderOptions{Faces: []netip.Addr{ours4, ours6}, First: 30000, Last: 30999}
	c.f = c.forwarder(b, o)
	s, err := Open(Options{Owner: "relay"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.SetServices([]Port{{First: 30000, Last: 30999, Service: 4}}); err != nil {
		b.Fatal(err)
	}
	for p := range uint16(1000) {
		s.SetLeg(30000+p, true)
	}
	if err := s.Chain(c.f); err != nil {
		b.Fatal(err)
	}
	return &benchCrossing{crossing: c, shield: s}
}
