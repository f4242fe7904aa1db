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

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf/livegen"
)

// A load is a flood that every contender meets.
type load struct {
	name    string
	from    string
	sources uint32
	packets uint64
	cold    bool // sent by another processor, so that headers are in no cache of the receiver's
}

// The floods. The second comes from addresses all over the world: both namespaces
// are ours and nothing of it is let up to a stack. Sender and receiver share a
// processor, so that its headers are in the cache as after a card's DMA; the last shows what it costs to fetch a
// header that another processor wrote, which a bare drop never reads.
var loads = []load{
	{"1000 sources", "198.18.0.0/15", 1000, 5_000_000, false},
	{"every source new", "0.0.0.0/0", 0, 5_000_000, false},
	{"1000 sources, cold headers", "198.18.0.0/15", 1000, 5_000_000, true},
}

// receiver is the processor, counted from 0, that takes a load in; the last one sends.
func (l load) receiver() int {
	if l.cold {
		return 0
	}
	return runtime.NumCPU() - 1
}

// A cost is what one packet costs the processor that takes it in and judges it, in
// ns; what sending costs is not in it.
type cost struct{ total float64 }

// perSecond is how many packets that processor can end.
func (c cost) perSecond() float64 { return 1e9 / c.total }

// measure sends a load at whatever is in force, faster than it can be taken in, and
// counts the time of the kernel thread that takes it in. Wall time is not used:
// others may have the machine, too.
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
	received, err := w.Received()
	if err != nil {
		return cost{}, err
	}
	spent, err := receiving(l.receiver())
	if err != nil {
		return cost{}, err
	}
	if _, err := g.Run(ctx); err != nil {
		return cost{}, err
	}
	after, err := receiving(l.receiver())
	if err != nil {
		return cost{}, err
	}
	all, err := w.Received()
	if err != nil {
		return cost{}, err
	}
	if ctx.Err() != nil {
		return cost{}, ctx.Err()
	}
	if n := all - received; n < 20_000 {
		return cost{}, fmt.Errorf("%s: only %d of %d packets were taken in", l.name, n, l.packets)
	}
	return cost{total: float64((after - spent).Nanoseconds()) / float64(all-received)}, nil
}

// receiving is the processor time of the threads that take in packets for far
// devices, which it moves to a processor.
func receiving(processor int) (t time.Duration, err error) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is good
	found := false
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), "napi/"+livegen.FarDevice) {
			continue
		}
		found = true
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))) // the pattern has digits only
		var only unix.CPUSet
		only.Set(processor)
		if err := unix.SchedSetaffinity(pid, &only); err != nil {
			return 0, fmt.Errorf("moving %s: %w", strings.TrimSpace(string(text)), err)
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(name), "schedstat"))
		if err != nil {
			return 0, err
		}
		if f := strings.Fields(string(stat)); len(f) > 0 {
			n, _ := strconv.ParseInt(f[0], 10, 64) // the kernel writes numbers
			t += time.Duration(n)
		}
	}
	if !found {
		return 0, errors.New("no kernel thread takes packets in for " + livegen.FarDevice)
	}
	return t, nil
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
	if err := w.Thread(); err != nil {
		return nil, err
	}
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
		say("%-18s %-26s %5.0f ns a packet, %.2f million/s; %s", c.name, l.name, costs[l.name].total, costs[l.name].perSecond()/1e6, seen)
	}
	return costs, nil
}
