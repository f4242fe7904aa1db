package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// A cost is what one delivered packet costs, in ns of processor time.
type cost struct {
	process   float64 // of the relay's process
	wire      float64 // of who sends, and of the kernel on its behalf: sending, taking in at the relay, and what XDP does there up to the sink
	delivered float64 // of the packets sent, at most 1
}

func (c cost) String() string {
	return fmt.Sprintf("process %.0f ns, wire %.0f ns a packet, %.2f %% delivered", c.process, c.wire, 100*c.delivered)
}

// measure sends a load from callers to callees and accounts for it.
func (c *contender) measure(ctx context.Context, flows []flow, rate, packets uint64) (cost, error) {
	p := c.street.plan(flows, true)
	p.Rate, p.Packets, p.Processor = rate, packets, loadCPU+1
	before, err := c.account()
	if err != nil {
		return cost{}, err
	}
	r, err := c.send(ctx, p)
	if err != nil {
		return cost{}, err
	}
	after, err := c.account()
	if err != nil {
		return cost{}, err
	}
	n := float64(after.arrived - before.arrived)
	if n == 0 {
		return cost{}, fmt.Errorf("%s: none of %d packets was delivered", c.name, r.Sent)
	}
	return cost{
		process:   float64(after.process-before.process) / n,
		wire:      float64(r.CPU+after.softirq-before.softirq) / float64(r.Sent),
		delivered: n / float64(r.Sent),
	}, nil
}

// An account is what has been spent and delivered so far.
type account struct {
	process, softirq time.Duration
	arrived          uint64
}

func (c *contender) account() (a account, err error) {
	if len(c.group) > 0 {
		if a.process, err = c.group.CPU(); err != nil {
			return a, err
		}
	}
	if a.softirq, err = softirq(); err != nil {
		return a, err
	}
	a.arrived, err = c.street.arrived(true)
	return a, err
}

// Bursts that no relay drops anything of: as many packets of each flow as a socket
// holds, and time to move them on.
const (
	bursts  = 120
	inBurst = 20
)

// takeIn is what one packet costs until the relay has it, or XDP has sent it on: the
// sender and the kernel on its behalf. It cannot be told from the sender's waiting
// when packets are paced, nor from what is dropped when they are too many, so they
// come in bursts.
func (c *contender) takeIn(ctx context.Context, flows []flow) (float64, error) {
	p := c.street.plan(flows, true)
	p.Packets, p.Processor = uint64(len(flows)*inBurst), loadCPU+1
	g, err := livegen.Open(p)
	if err != nil {
		return 0, err
	}
	defer g.Close()
	before, err := softirq()
	if err != nil {
		return 0, err
	}
	var sent uint64
	var cpu time.Duration
	for range bursts {
		r, err := g.Run(ctx)
		if err != nil {
			return 0, err
		}
		sent, cpu = sent+r.Sent, cpu+r.CPU
	}
	after, err := softirq()
	return float64(cpu+after-before) / float64(sent), err
}

// bareDrop is what a packet costs that ends in the relay's driver: the part of
// every contender's wire that has nothing to do with relaying.
func bareDrop(ctx context.Context, packets uint64) (flat, burst float64, err error) {
	s, err := newStreet()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	drop, err := livegen.Drop(s.left.Far, livegen.FarDevice)
	if err != nil {
		return 0, 0, err
	}
	defer drop.Close()
	c := &contender{street: s}
	p := s.plan(someFlows(flows), true)
	p.Packets, p.Processor = packets, loadCPU+1
	before, err := softirq()
	if err != nil {
		return 0, 0, err
	}
	r, err := c.send(ctx, p)
	if err != nil {
		return 0, 0, err
	}
	after, err := softirq()
	if err != nil {
		return 0, 0, err
	}
	burst, err = c.takeIn(ctx, someFlows(flows))
	return float64(r.CPU+after-before) / float64(r.Sent), burst, err
}

// someFlows are n that no relay was asked for.
func someFlows(n int) (f []flow) {
	for i := range uint16(n) {
		f = append(f, flow{from: 4000 + 2*i, local: firstPort + 2*i, via: 40000 + 2*i, to: 4000 + 2*i})
	}
	return f
}

// bareRepeat is what the least program costs that rewrites and redirects.
func bareRepeat(ctx context.Context, flows int, packets uint64) (_ cost, err error) {
	s, err := newStreet()
	if err != nil {
		return cost{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	repeater := livegen.Repeater{
		Network: s.left.Far, Device: livegen.FarDevice, Out: livegen.NearDevice, FromMAC: s.right.NearMAC, ToMAC: s.right.FarMAC,
		From: insideAddr, To: calleeAddr,
	}
	all := someFlows(flows)
	for _, f := range all {
		repeater.Ways = append(repeater.Ways, livegen.Way{Local: f.local, From: f.via, To: f.to})
	}
	program, err := livegen.Repeat(repeater)
	if err != nil {
		return cost{}, err
	}
	defer program.Close()
	sinks, err := s.sinks()
	if err != nil {
		return cost{}, err
	}
	defer func() { err = errors.Join(err, sinks()) }()
	c := &contender{name: "bare", street: s}
	return c.measure(ctx, all, 0, packets)
}
