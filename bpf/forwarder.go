package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// ForwarderOptions say what a forwarder may repeat.
type ForwarderOptions struct {
	Pin         string       // directory of a BPF file system, the shield's; "forward" is added to it. "": nothing is pinned (tests)
	Faces       []netip.Addr // the relay's local addresses, at most 16
	First, Last uint16       // its media ports
	Clock       bool         // time stands still until SetClock moves it (tests)
}

// A Forwarder repeats packets of confirmed legs before the kernel's network sees
// them: one program and one memory for all devices, chained behind their shields
// (Shield.Chain) or, where XDP cannot be had, at their TCX hooks (Attach). It learns
// nothing and answers nothing: whatever is not RTP of a leg that Put named goes up
// unchanged. Closing it or the death of the process changes nothing while its pins
// exist. Methods may be called from any goroutine, but for those that say otherwise.
type Forwarder struct {
	pins        *pins // nil: nothing is pinned
	faces       []netip.Addr
	first, last uint16
	clocked     bool

	maps    *forwardMaps
	program *ebpf.Program // for devices' next
	tcx     *ebpf.Program // for TCX hooks; nil until one is needed
	mapped  [][]byte
	legs    []forwardLeg // shared with the kernel, until Close
	state   *forwardRange
	clock   *uint64

	mu     sync.Mutex // one writer of ways; guards the fields below
	closed bool
	exits  map[string]Exit
	hooks  []link.Link // that are pinned nowhere
	// trouble is what went wrong in the last round of Run.
	trouble error
}

// An Exit is how a device takes part in forwarding.
type Exit struct {
	Device string
	Mode   Mode   // Native, Generic, TCX or None
	Reason string // why not better; "" when it is the best
}

// TCX is the mode of a device whose packets are forwarded behind its driver and the
// XDP hook: some 7 times the price of Native.
const TCX Mode = "tcx"

// maxFaces is FACES of forward_maps.h.
const maxFaces = len(forwardRange{}.Faces)

func (o *ForwarderOptions) check() error {
	var errs []error
	if len(o.Faces) == 0 || len(o.Faces) > maxFaces {
		errs = append(errs, fmt.Errorf("%d local addresses, not 1 to %d", len(o.Faces), maxFaces))
	}
	seen := map[netip.Addr]bool{}
	for _, a := range o.Faces {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || seen[a] {
			errs = append(errs, fmt.Errorf("the local address %v is none of one host, or there twice", a))
		}
		seen[a] = true
	}
	if o.First == 0 || o.Last < o.First {
		errs = append(errs, fmt.Errorf("no ports: %d to %d", o.First, o.Last))
	}
	if len(errs) > 0 {
		return fmt.Errorf("bpf: forwarder: %w", errors.Join(errs...))
	}
	return nil
}

// OpenForwarder loads the program and what legs are kept in, or finds both pinned
// and puts this binary's program in the place of the one there, at all devices that
// have it, without a gap and with the legs' memory.
func OpenForwarder(o ForwarderOptions) (*Forwarder, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := privileged(); err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	spec, err := loadForward()
	if err != nil {
		return nil, fmt.Errorf("bpf: reading the program: %w", err)
	}
	f := &Forwarder{faces: o.Faces, first: o.First, last: o.Last, clocked: o.Clock, exits: map[string]Exit{}}
	if err := f.open(spec, o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close lets go of the forwarder. What is pinned stays in force. No Track that it
// gave may be touched from then on.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	errs := []error{f.unmap()}
	if f.maps != nil {
		errs = append(errs, f.maps.Close())
	}
	for _, l := range f.hooks {
		errs = append(errs, l.Close())
	}
	errs = append(errs, f.program.Close(), f.tcx.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: closing the forwarder: %w", err)
	}
	return nil
}
