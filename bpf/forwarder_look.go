package bpf

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Forwarding says how each device that was chained or attached takes part, by name,
// and what is set in the way of that.
func (f *Forwarder) Forwarding() []Exit {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Exit
	for _, e := range f.exits {
		if e.Mode != None {
			e.Reason = join(e.Reason, forwardingOff(e.Device))
		}
		if f.trouble != nil {
			e.Reason = join(e.Reason, "what is known of devices is old: "+f.trouble.Error())
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Exit) int { return strings.Compare(a.Device, b.Device) })
	return all
}

// Reasons are how many packets the program did not send on since its maps were made,
// by ReasonNames, summed over CPUs: those of wrong source and those that failed were
// dropped, the others went to user space.
func (f *Forwarder) Reasons() ([]uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	var cpus []forwardReasons
	if err := f.maps.Reasons.Lookup(uint32(0), &cpus); err != nil {
		return nil, fmt.Errorf("bpf: reading the reasons: %w", err)
	}
	sum := make([]uint64, forwardReasonREASONS)
	for i := range cpus {
		for r := range sum {
			sum[r] += cpus[i].Packets[r]
		}
	}
	return sum, nil
}

// ReasonNames are what Reasons are of, as the program's own type information has
// them: "not_media", "no_neighbour" and so on.
func ReasonNames() ([]string, error) {
	spec, err := loadForward()
	if err != nil {
		return nil, fmt.Errorf("bpf: reading the program: %w", err)
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName("reason", &e); err != nil {
		return nil, fmt.Errorf("bpf: the program's reasons: %w", err)
	}
	names := make([]string, forwardReasonREASONS)
	for _, v := range e.Values {
		if v.Value < uint64(len(names)) {
			names[v.Value] = strings.ToLower(strings.TrimPrefix(v.Name, "REASON_"))
		}
	}
	return names, nil
}

// SetClock sets the time, ns of CLOCK_MONOTONIC, of a forwarder that was opened with
// ForwarderOptions.Clock.
func (f *Forwarder) SetClock(ns uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		atomic.StoreUint64(f.clock, ns)
	}
}

// now is the program's clock.
func (f *Forwarder) now() uint64 {
	if f.clocked {
		return atomic.LoadUint64(f.clock)
	}
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // this clock is always there
	return uint64(t.Nano())
}

// Test runs the XDP program over a frame, which goes nowhere, as if it had come in by
// a device (0: none in particular; else one of the calling thread's namespace with an
// XDP program on it), and returns the XDP action (0 aborted, 1 drop, 2 pass, 3 back out of the device, 4 out of
// another) and the frame as it would be sent. What a packet changes, it changes.
func (f *Forwarder) Test(frame []byte, device int) (action uint32, out []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, nil, ErrClosed
	}
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	if device != 0 {
		o.Context = xdpContext{DataEnd: uint32(len(frame)), Ingress: uint32(device)}
	}
	if action, err = f.program.Run(&o); err != nil {
		return 0, nil, fmt.Errorf("bpf: running the program: %w", err)
	}
	return action, o.DataOut, nil
}

// xdpContext is struct xdp_md.
type xdpContext struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }
