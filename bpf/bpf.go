// Package bpf holds the programs that meet packets before the kernel does, and
// their loaders: the shield (shield.bpf.c), one XDP program per device, and behind it
// the forwarder (forward.bpf.c), one for all of them. It moves tables and counters
// between Go and the kernel and keeps both in force over restarts; what the tables
// should say is shield's to decide, and which legs there are the relay's.
package bpf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// A Mode is how a shield is attached.
type Mode string

// The modes, best first. Auto takes the best that works.
const (
	Auto    Mode = "auto"
	Native  Mode = "native"  // in the driver
	Generic Mode = "generic" // after the driver made an skb: any device, some 3 times the price
	None    Mode = "none"    // not at all; only an answer
)

// Options say how to open a shield.
type Options struct {
	Device string  // interface name, resolved in the network namespace of the calling thread
	Pin    string  // directory of a BPF file system; the device's name is added to it. "": nothing is pinned and nothing is attached (tests)
	Mode   Mode    // "" is Auto
	Owner  string  // "edge", "relay" or "up": whose services SetServices replaces, when two processes share a device
	Policy *Policy // in force from the first packet when the pins hold none; nil: everybody may speak, without budgets
	Clock  bool    // time stands still until SetClock moves it (tests)
}

// A Shield is the filter of one device, in force while its pin exists: closing it
// or the death of the process changes nothing. Methods may be called from any goroutine.
type Shield struct {
	device  string
	network uint64 // namespace that the device's name is of
	asked   Mode
	owner   uint8
	clocked bool

	maps    *shieldMaps
	program *ebpf.Program
	ticks   *ebpf.Program // tells the kernel's clock

	// mu keeps the memory below mapped while somebody is in it; writers are
	// SetServices, Tend and Close.
	mu       sync.RWMutex
	closed   bool
	pins     *pins     // nil: nothing is pinned
	link     link.Link // held, so that the filter stays when somebody removes the pins
	mode     Mode
	reason   string
	memory   memory
	mine     [65536 / 64]uint64 // legs that this process set
	followed uint64             // pin of the legs that s.memory has after another build's filter took over
	read     []uint64           // by CPU: samples handed over
}

// What Open and methods fail with.
var (
	// ErrBusy is returned when another XDP program sits on the device; the message names it.
	ErrBusy = errors.New("another XDP program is on the device")
	// ErrNotHere is returned when this machine or its privileges do not allow XDP; the message says which and why.
	ErrNotHere = errors.New("XDP is not possible here")
	// ErrFull is returned when a table has no room for more.
	ErrFull = errors.New("the table is full")
	// ErrGone is returned when the filter was detached, or replaced by that of
	// another binary with other maps, since it was opened; Open again.
	ErrGone = errors.New("the filter was detached or replaced since it was opened")
	// ErrReplaced is the ErrGone of a filter that another build's took the place of.
	ErrReplaced = fmt.Errorf("%w: by that of another build, which filters now; start this process anew for it to take part", ErrGone)
	// ErrAway is returned while the device of a filter is not there.
	ErrAway = errors.New("the device is not there; it is filtered again when it comes back")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the shield is closed")
)

// owners are the numbers that the ports map keeps.
var owners = map[string]uint8{"": 0, "edge": 1, "relay": 2, "up": 3}

// Open loads the program and attaches it, or finds the one that is pinned and puts
// this binary's program in its place without a gap, with the state it had.
func Open(o Options) (*Shield, error) { return open(o, loadShield) }

// open is Open with the program that load gives.
func open(o Options, load func() (*ebpf.CollectionSpec, error)) (*Shield, error) {
	owner, ok := owners[o.Owner]
	if !ok {
		return nil, fmt.Errorf("bpf: owner %q is not edge, relay or up", o.Owner)
	}
	if err := privileged(); err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	spec, err := load()
	if err != nil {
		return nil, fmt.Errorf("bpf: reading the program: %w", err)
	}
	s := &Shield{device: o.Device, asked: o.Mode, owner: owner, mode: None, clocked: o.Clock}
	if o.Pin == "" {
		s.reason = "not attached: no place for pins was given"
		err = s.load(spec, o)
	} else {
		err = s.attach(spec, o)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close lets go of the filter, which stays in force.
func (s *Shield) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	errs := []error{s.memory.close()}
	if s.maps != nil {
		errs = append(errs, s.maps.Close())
	}
	errs = append(errs, s.program.Close(), s.ticks.Close())
	if s.link != nil {
		errs = append(errs, s.link.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: closing the shield of %s: %w", s.device, err)
	}
	return nil
}

// Mode says how the filter is attached, and why not better.
func (s *Shield) Mode() (m Mode, reason string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mode, s.reason
}

// use holds the maps open for a method; the caller calls done when there is no error.
func (s *Shield) use() (done func(), err error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	if s.pins != nil && !s.pins.current() {
		s.mu.RUnlock()
		return nil, ErrGone
	}
	return s.mu.RUnlock, nil
}
