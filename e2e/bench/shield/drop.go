package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// A load is a flood that every contender meets.
type load struct {
	name    string
	from    string
	sources uint32
	packets uint64
}

// The floods. The second comes from addresses all over the world: both namespaces
// are ours and nothing of it is let up to a stack.
var loads = []load{
	{"1000 sources", "198.18.0.0/15", 1000, 2_000_000},
	{"every source new", "0.0.0.0/0", 0, 2_000_000},
}

// A cost is what one packet costs, in ns of the one processor that sends,
// receives and judges.
type cost struct{ total float64 }

// perSecond is how many packets that processor can take, the sending included.
func (c cost) perSecond() float64 { return 1e9 / c.total }

// measure sends a load at whatever is in force and counts all processor time that
// went into it. Wall time is not used: others may have the machine, too.
func (l load) measure(ctx context.Context, w *livegen.Wire) (cost, error) {
	p := w.Plan(netip.MustParsePrefix(l.from), sipPort)
	p.Sources, p.Packets = l.sources, l.packets
	p.Payload = make([]byte, 172)
	p.Processor = runtime.NumCPU()
	g, err := livegen.Open(p)
	if err != nil {
		return cost{}, err
	}
	defer g.Close()
	before, err := w.Received()
	if err != nil {
		return cost{}, err
	}
	softirq := daemonTime()
	r, err := g.Run(ctx)
	if err != nil {
		return cost{}, err
	}
	spent := r.CPU + daemonTime() - softirq
	after, err := w.Received()
	if err != nil {
		return cost{}, err
	}
	if ctx.Err() != nil {
		return cost{}, ctx.Err()
	}
	if lost := r.Sent - (after - before); lost > r.Sent/1000 {
		return cost{}, fmt.Errorf("%s: %d of %d packets were lost before they were judged", l.name, lost, r.Sent)
	}
	return cost{total: float64(spent.Nanoseconds()) / float64(r.Sent)}, nil
}

// daemonTime is the processor time of the kernel's threads that work off what
// interrupts left over.
func daemonTime() (t time.Duration) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is good
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), "ksoftirqd/") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(name), "schedstat"))
		if err != nil {
			continue
		}
		if f := strings.Fields(string(stat)); len(f) > 0 {
			n, _ := strconv.ParseInt(f[0], 10, 64) // the kernel writes numbers
			t += time.Duration(n)
		}
	}
	return t
}

// dropRound lets every contender meet every load once.
func dropRound(ctx context.Context, contenders []contender, say func(string, ...any)) (map[string]map[string]cost, error) {
	costs := map[string]map[string]cost{}
	for _, c := range contenders {
		got, err := c.meet(ctx, say)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		costs[c.name] = got
	}
	return costs, nil
}

// meet measures one contender from a fresh start, on a wire of its own.
func (c contender) meet(ctx context.Context, say func(string, ...any)) (costs map[string]cost, err error) {
	w, err := livegen.NewWire()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	began := time.Now()
	g, err := c.start(w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	say("%-18s in force after %v", c.name, time.Since(began).Round(time.Millisecond))
	costs = map[string]cost{}
	for _, l := range loads {
		costs[l.name], err = l.measure(ctx, w)
		if err != nil {
			return nil, err
		}
		seen, err := g.seen()
		if err != nil {
			return nil, err
		}
		say("%-18s %-17s %5.0f ns a packet, %.2f million/s; %s", c.name, l.name, costs[l.name].total, costs[l.name].perSecond()/1e6, seen)
	}
	return costs, nil
}
