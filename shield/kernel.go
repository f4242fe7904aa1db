package shield

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// A device is a network device and its filter.
type device struct {
	name   string
	shield *bpf.Shield
}

// kernel is the filter of mode native and generic: one program on each device. All
// of them say the same; only counters and buckets are each one's own.
type kernel struct {
	devices []device // constant; closed ones answer with bpf.ErrClosed
	half    bool     // some are closed or another build's, and that is known
}

// each does something on every device, and goes on when one fails.
func (f *kernel) each(what string, do func(*bpf.Shield) error) error {
	var errs []error
	for _, d := range f.devices {
		err := do(d.shield)
		if f.half && (errors.Is(err, bpf.ErrGone) || errors.Is(err, bpf.ErrClosed)) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("shield: %s on %s: %w", what, d.name, err))
		}
	}
	return errors.Join(errs...)
}

// admit lets in: who came to a listener has been judged.
func (f *kernel) admit(netip.Addr, policy.Service, bool) bool { return true }

func (f *kernel) setPolicy(c *policy.Compiled) error {
	p := kernelPolicy(c)
	return f.each("setting the policy", func(s *bpf.Shield) error { return s.SetPolicy(p) })
}

// kernelPolicy is a policy as the kernel wants it.
func kernelPolicy(c *policy.Compiled) bpf.Policy {
	p := bpf.Policy{
		Version: c.Version, Deny: c.Deny,
		Around: kernelBudget(c.Around), All: kernelBudget(c.All), HalfOpen: c.HalfOpen,
		Lists: bpf.Trie{Root4: c.Actions.Root4, Root6: c.Actions.Root6, Words: c.Actions.Words},
	}
	for class, b := range c.Budgets {
		p.Budgets[class] = kernelBudget(b)
	}
	return p
}

func kernelBudget(b policy.Budget) bpf.Budget {
	if b.Unlimited {
		return bpf.Budget{Rate: bpf.Unlimited}
	}
	return bpf.Budget{Rate: b.Rate, Burst: b.Burst}
}

func (f *kernel) setCountries(t *geo.Table) error {
	if t == nil {
		return f.each("clearing the country table", (*bpf.Shield).ClearCountries)
	}
	x := t.Trie()
	return f.each("setting the country table", func(s *bpf.Shield) error {
		return s.SetCountries(bpf.Trie{Root4: x.Root4, Root6: x.Root6, Words: x.Words})
	})
}

func (f *kernel) setServices(ports []Port) error {
	list := make([]bpf.Port, len(ports))
	for i, p := range ports {
		list[i] = bpf.Port{TCP: p.TCP, First: p.First, Last: p.Last, Service: uint8(p.Service)}
	}
	return f.each("setting the ports", func(s *bpf.Shield) error { return s.SetServices(list) })
}

func (f *kernel) setLeg(port uint16, live bool) {
	for _, d := range f.devices {
		d.shield.SetLeg(port, live)
	}
}

// now is any device's: there is one clock, the kernel's.
func (f *kernel) now() judge.Millis {
	return judge.Millis(f.devices[0].shield.Now())
}

func (f *kernel) width() int { return len(f.devices) }

func (f *kernel) put(k judge.Key, v judge.Source) error {
	return f.each("writing a source", func(s *bpf.Shield) error {
		return s.PutSource(uint64(k), bpf.Source{Class: uint8(v.Class), Proven: v.Proven, Until: v.Until})
	})
}

func (f *kernel) drop(k judge.Key) error {
	return f.each("forgetting a source", func(s *bpf.Shield) error { return s.DeleteSource(uint64(k)) })
}

// outdoes tells whether every device has a promotion of the source that is more
// than v, and not only by the rounding of seconds: edge and relay may share them,
// and only one saw the source register, or saw it do so again.
func (f *kernel) outdoes(k judge.Key, v judge.Source) bool {
	for _, d := range f.devices {
		was, err := d.shield.Look(uint64(k), 0)
		if err != nil || !better(was, v) {
			return false
		}
	}
	return true
}

func better(was bpf.Surroundings, v judge.Source) bool {
	s := was.Source
	if s == nil || policy.Class(s.Class) == policy.Ban || s.Until <= judge.Millis(was.Now).Seconds()+slack {
		return false
	}
	class := policy.Class(s.Class)
	return class > v.Class || class == v.Class && s.Until >= v.Until
}

func (f *kernel) sources(visit func(judge.Key, judge.Source)) error {
	return f.each("reading the sources", func(s *bpf.Shield) error {
		return s.Sources(func(k uint64, v bpf.Source) { visit(judge.Key(k), exact(v)) })
	})
}

func exact(v bpf.Source) judge.Source {
	return judge.Source{
		Class: policy.Class(v.Class), Proven: v.Proven, Until: v.Until,
		Bucket: judge.Bucket{Stamp: v.Stamp, Tokens: v.Tokens},
	}
}

func (f *kernel) counters() (*tallies, error) {
	sum := new(tallies)
	err := f.each("reading the counters", func(s *bpf.Shield) error {
		one, err := s.Counters()
		if err != nil {
			return err
		}
		for c := range one {
			for v, n := range one[c] {
				sum[c][v] += n
			}
		}
		return nil
	})
	return sum, err
}

func (f *kernel) samples(visit func(bpf.Sample)) error {
	return f.each("reading samples", func(s *bpf.Shield) error { return s.Samples(visit) })
}

func (f *kernel) look(p judge.Packet) ([]view, error) {
	var views []view
	for _, d := range f.devices {
		k := judge.KeyOf(p.Source)
		s, err := d.shield.Look(uint64(k), uint64(judge.AroundOf(p.Source)))
		if err != nil {
			return nil, fmt.Errorf("shield: looking on %s: %w", d.name, err)
		}
		all := s.All[judge.Aggregate(p)]
		st := judge.State{
			Cell: judge.UnpackCell(s.Cell), Tag: judge.Seed(d.shield.Seed()).Tag(k),
			Refused: judge.Refused(s.Refused), Name: judge.Seed(d.shield.Seed()).Name(k),
			All:      judge.Bucket{Stamp: all[0], Tokens: all[1]},
			HalfOpen: judge.HalfOpen{Stamp: s.HalfOpen[0], Count: s.HalfOpen[1]},
		}
		for i, b := range s.Around {
			st.Around[i] = judge.Bucket{Stamp: b[0], Tokens: b[1]}
		}
		if s.Source != nil {
			own := exact(*s.Source)
			st.Source = &own
		}
		views = append(views, view{device: d.name, now: judge.Millis(s.Now), state: st})
	}
	return views, nil
}

func (f *kernel) close() error {
	var errs []error
	for _, d := range f.devices {
		errs = append(errs, d.shield.Close())
	}
	return errors.Join(errs...)
}
