package bpf

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf/btf"
)

// Counters are packets by country and verdict since the maps were made, summed over CPUs.
func (s *Shield) Counters() (*[256][16]uint64, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	var cpus []shieldCounters
	if err := s.maps.Counters.Lookup(uint32(0), &cpus); err != nil {
		return nil, fmt.Errorf("bpf: reading counters: %w", err)
	}
	sum := new([256][16]uint64)
	for i := range cpus {
		for c := range sum {
			for v := range sum[c] {
				sum[c][v] += cpus[i].Packets[c][v]
			}
		}
	}
	return sum, nil
}

// VerdictNames are the kernel's verdicts by number, as the program's own type
// information has them: "unclassified", "not_ours" and so on.
func VerdictNames() ([]string, error) {
	spec, err := loadShield()
	if err != nil {
		return nil, fmt.Errorf("bpf: reading the program: %w", err)
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName("verdict", &e); err != nil {
		return nil, fmt.Errorf("bpf: the program's verdicts: %w", err)
	}
	names := make([]string, shieldVerdictVERDICTS)
	for _, v := range e.Values {
		if v.Value < uint64(len(names)) {
			names[v.Value] = strings.ToLower(strings.TrimPrefix(v.Name, "VERDICT_"))
		}
	}
	return names, nil
}

// A Sample is one packet of about 64 that ended like it, or the first of its kind.
type Sample struct {
	Source  netip.Addr // not valid when the frame names none
	Country uint8
	Verdict uint8
	Service uint8
	Class   uint8
	Weight  uint32 // packets it stands for
}

// Samples hands over what was sampled since the last call, or since Open. Each CPU
// keeps its newest 1024: when more came since, the older ones are lost.
func (s *Shield) Samples(f func(Sample)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	var all []Sample
	for cpu := range s.memory.rings {
		all = s.drain(all, cpu)
	}
	done()
	for _, m := range all {
		f(m)
	}
	return nil
}

// drain appends the new samples of one CPU, which may be writing more.
func (s *Shield) drain(to []Sample, cpu int) []Sample {
	ring := &s.memory.rings[cpu]
	size := uint64(len(ring.Samples))
	head := s.memory.head(cpu)
	from := atomic.SwapUint64(&s.read[cpu], head)
	if head-from > size {
		from = head - size
	}
	start := len(to)
	for i := from; i < head; i++ {
		to = append(to, sample(ring.Samples[i%size]))
	}
	// What the CPU wrote over meanwhile, or is writing now, may be torn.
	if now := s.memory.head(cpu); now+1-from > size {
		torn := min(int(now+1-from-size), len(to)-start)
		to = append(to[:start], to[start+torn:]...)
	}
	return to
}

func sample(k shieldSample) Sample {
	m := Sample{Country: k.Country, Verdict: k.Verdict, Service: k.Service, Class: k.Class, Weight: k.Weight}
	switch k.Family {
	case 4:
		m.Source = netip.AddrFrom4([4]byte(k.Address[:4]))
	case 6:
		m.Source = netip.AddrFrom16(k.Address)
	}
	return m
}
