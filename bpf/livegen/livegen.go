// Package livegen makes load: it sends millions of packets a second with sources
// of its choosing out of a device, by a program that the kernel runs on live frames
// (BPF_PROG_TEST_RUN, BPF_F_TEST_XDP_LIVE_FRAMES). It is for tests and measurements
// between network namespaces of one machine; no part of the border uses it. It
// receives nothing and judges nothing.
//
// The far end of a veth must have an XDP program or GRO, or nothing arrives.
package livegen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

//go:generate go tool bpf2go -go-package livegen -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -ffile-prefix-map=$PWD=." livegen livegen.bpf.c
//go:generate go tool bpf2go -go-package livegen -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -ffile-prefix-map=$PWD=." repeat repeat.bpf.c

const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	batch      = 64     // frames the kernel sends at once; larger ones overflow a veth's ring

	// The kernel takes some 25 ms to begin and to end a run, so there are few; it
	// does not hear of an ended context within one, so they are not long: half a
	// second to one.
	turns = 4 << 20
)

// A Generator sends what a Plan says. Its methods may be called from any goroutine.
type Generator struct {
	plan    Plan
	frame   []byte
	objects livegenObjects
	running sync.Mutex
}

// A Result is what a Run did.
type Result struct {
	Sent uint64        // packets that left the program; the device's counters tell what it refused
	Wall time.Duration // with the kernel's 25 ms around each run of some million packets
	CPU  time.Duration // of the sending thread. A veth's far end mostly runs on it too
}

// Open loads the program for a plan.
func Open(p Plan) (*Generator, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s := p.shape()
	spec, err := loadLivegen()
	if err != nil {
		return nil, fmt.Errorf("livegen: %w", err)
	}
	var variables livegenVariableSpecs
	if err := spec.Assign(&variables); err != nil {
		return nil, fmt.Errorf("livegen: %w", err)
	}
	if err := s.put(p, &variables); err != nil {
		return nil, fmt.Errorf("livegen: setting the program up: %w", err)
	}
	g := &Generator{plan: p, frame: s.frame}
	if err := spec.LoadAndAssign(&g.objects, nil); err != nil {
		return nil, fmt.Errorf("livegen: loading the program: %w", err)
	}
	return g, nil
}

// put sets the program's constants.
func (s shape) put(p Plan, v *livegenVariableSpecs) error {
	var headers livegenHeaders
	copy(headers.Bytes[:], s.frame[:s.headers])
	flag := func(b bool) uint8 {
		if b {
			return 1
		}
		return 0
	}
	var ports [maxStreams]livegenStream
	for i, of := range p.Streams {
		ports[i] = livegenStream{From: of.FromPort, To: of.ToPort}
	}
	return errors.Join(
		v.Streams.Set(uint32(len(p.Streams))), v.StreamPorts.Set(ports),
		v.Headers.Set(headers), v.Ipv6.Set(flag(p.To.Is6())), v.Tcp.Set(flag(p.SYN)),
		v.First.Set(s.first), v.Span.Set(s.span), v.Sources.Set(p.Sources), v.Step.Set(s.step), v.Shift.Set(s.shift), v.Seed.Set(p.Seed),
		v.SourcePort.Set(p.FromPort), v.Port.Set(p.ToPort), v.Ports.Set(uint32(p.Ports)),
		v.IpSum.Set(s.ipSum), v.L4Sum.Set(s.l4Sum), v.Interval.Set(s.interval))
}

// Close frees the program.
func (g *Generator) Close() error { return g.objects.Close() }

// Sent is how many packets have left since Open.
func (g *Generator) Sent() uint64 {
	var n uint64
	if err := g.objects.Sent.Get(&n); err != nil {
		panic(fmt.Sprintf("livegen: reading a mapped variable: %v", err)) // its size is what the program was built with
	}
	return n
}

// Run sends until the plan's number of packets has left or ctx ends, which it
// hears within a second; neither is an error. One Run at a time; others wait.
func (g *Generator) Run(ctx context.Context) (r Result, err error) {
	g.running.Lock()
	defer g.running.Unlock()
	network := g.plan.Network
	if network == "" {
		network = fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	}
	err = in(network, func() (err error) {
		var allowed unix.CPUSet
		if err := unix.SchedGetaffinity(0, &allowed); err != nil {
			return fmt.Errorf("livegen: %w", err)
		}
		r, err = g.send(ctx)
		return errors.Join(err, unix.SchedSetaffinity(0, &allowed))
	})
	return r, err
}

// send runs the program until enough has left.
func (g *Generator) send(ctx context.Context) (Result, error) {
	device, err := net.InterfaceByName(g.plan.Device)
	if err != nil {
		return Result{}, fmt.Errorf("livegen: %s: %w", g.plan.Device, err)
	}
	if n := g.plan.Processor; n > 0 {
		var one unix.CPUSet
		one.Set(n - 1)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return Result{}, fmt.Errorf("livegen: staying on processor %d: %w", n, err)
		}
	}
	if n := g.plan.Nice; n > 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), n); err != nil {
			return Result{}, fmt.Errorf("livegen: being nice: %w", err)
		}
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 0) }() // who may load programs may do this
	}
	before := g.Sent()
	until := ^uint64(0)
	if g.plan.Packets > 0 {
		until = before + g.plan.Packets
	}
	if err := g.objects.Until.Set(until); err != nil {
		return Result{}, fmt.Errorf("livegen: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = g.objects.Until.Set(uint64(0)) }) // can fail no more than the one above
	defer stop()
	began, cpu := time.Now(), threadCPU()
	for ctx.Err() == nil && g.Sent() < until {
		repeat := uint64(turns)
		if g.plan.Rate == 0 {
			repeat = min(repeat, until-g.Sent())
		}
		_, err := g.objects.Livegen.Run(&ebpf.RunOptions{
			Data: g.frame, Context: context32{DataEnd: uint32(len(g.frame)), IngressIfindex: uint32(device.Index)},
			Repeat: uint32(repeat), Flags: liveFrames, BatchSize: batch,
		})
		if err != nil {
			return Result{}, fmt.Errorf("livegen: %w", err)
		}
	}
	return Result{Sent: g.Sent() - before, Wall: time.Since(began), CPU: threadCPU() - cpu}, nil
}

// context32 is struct xdp_md.
type context32 struct{ Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32 }

func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
