package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/geo/trie"
	"github.com/lindero/lindero/shield/policy"
)

// A pinned is the shield on the far device of a wire, and where its pins are.
type pinned struct {
	*bpf.Shield
	pins string
}

// onWire attaches the shield to the far device. Pins want a BPF file system; it is
// mounted for them alone.
func onWire(w *livegen.Wire, first *bpf.Policy) (p *pinned, err error) {
	p = &pinned{}
	if p.pins, err = os.MkdirTemp("", "lindero-bench-bpf"); err != nil {
		return nil, err
	}
	if err := unix.Mount("bpf", p.pins, "bpf", 0, ""); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting a BPF file system: %w", err), os.Remove(p.pins))
	}
	err = w.InFar(func() (err error) {
		p.Shield, err = bpf.Open(bpf.Options{Device: livegen.FarDevice, Pin: p.pins, Mode: bpf.Native, Owner: "edge", Policy: first})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, p.away())
	}
	return p, nil
}

// away closes the shield and takes its pins away, and with them the filter.
func (p *pinned) away() error {
	var faults []error
	if p.Shield != nil {
		faults = append(faults, p.Close())
	}
	return errors.Join(append(faults, unix.Unmount(p.pins, 0), os.Remove(p.pins))...)
}

// shielded is the shield with the whole world's table, the same countries denied
// and the same budget for each source, and besides what it alone has: the lists, the
// classes, and the budgets of neighbourhoods and of all strangers.
func shielded(t *trie.Trie[uint8], denied []geo.Country) contender {
	return contender{"shield", func(w *livegen.Wire) (g guard, err error) {
		document := policy.Default()
		document.Countries.Deny = denied
		document.Budgets.Unknown = policy.Budget{Rate: rate, Burst: burst}
		compiled, err := policy.Compile(document, 1, time.Now())
		if err != nil {
			return guard{}, err
		}
		first := kernel(compiled)
		p, err := onWire(w, &first)
		if err != nil {
			return guard{}, err
		}
		g = guard{stop: p.away, seen: p.verdicts}
		err = errors.Join(
			dropRest(w),
			p.SetServices([]bpf.Port{{First: sipPort, Last: sipPort, Service: uint8(policy.SIP)}}),
			p.SetCountries(bpf.Trie{Root4: t.Root4, Root6: t.Root6, Words: t.Words}))
		if err != nil {
			return guard{}, errors.Join(err, g.stop())
		}
		return g, nil
	}}
}

// kernel is a policy as the kernel program wants it.
func kernel(c *policy.Compiled) bpf.Policy {
	budget := func(b policy.Budget) bpf.Budget {
		if b.Unlimited {
			return bpf.Budget{Rate: bpf.Unlimited}
		}
		return bpf.Budget{Rate: b.Rate, Burst: b.Burst}
	}
	p := bpf.Policy{
		Version: c.Version, Deny: c.Deny, Around: budget(c.Around), All: budget(c.All), HalfOpen: c.HalfOpen,
		Lists: bpf.Trie{Root4: c.Actions.Root4, Root6: c.Actions.Root6, Words: c.Actions.Words},
	}
	for class, b := range c.Budgets {
		p.Budgets[class] = budget(b)
	}
	return p
}

// verdicts are the packets since the start, by verdict.
func (p *pinned) verdicts() (string, error) {
	counters, err := p.Counters()
	if err != nil {
		return "", err
	}
	var by [policy.Verdicts]uint64
	for _, row := range counters {
		for v, n := range row {
			by[v] += n
		}
	}
	var words []string
	for v, n := range by {
		if n > 0 {
			words = append(words, fmt.Sprintf("%v %d", policy.Verdict(v), n))
		}
	}
	return strings.Join(words, ", "), nil
}
