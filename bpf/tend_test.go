package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// tend is Tend where the device is.
func (n *namespace) tend(s *Shield) (did string, err error) {
	n.in(func() { did, err = s.Tend() })
	return did, err
}

// Whatever becomes of the pins, the program of before stays on the device, and the
// pins come back for the next process.
func TestRemovedPinsComeBack(t *testing.T) {
	for name, remove := range map[string]func(n *namespace, dir string) error{
		"the link":        func(_ *namespace, dir string) error { return os.Remove(filepath.Join(dir, linkPin)) },
		"the state":       func(_ *namespace, dir string) error { return os.Remove(filepath.Join(dir, shieldMapState)) },
		"the ports":       func(_ *namespace, dir string) error { return os.Remove(filepath.Join(dir, shieldMapPorts)) },
		"all of them":     func(_ *namespace, dir string) error { return os.RemoveAll(dir) },
		"the file system": func(n *namespace, _ string) error { return unix.Unmount(n.pin, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNamespace(t)
			edge, relay := n.must(t, Options{Owner: "edge"}), n.must(t, Options{Owner: "relay"})
			before, seed := n.on(t, "v0"), edge.Seed()
			if did, err := n.tend(edge); did != "" || err != nil {
				t.Fatalf("nothing is to be done: %q, %v", did, err)
			}
			if err := remove(n, edge.pins.dir); err != nil {
				t.Fatal(err)
			}
			if now := n.on(t, "v0"); now != before {
				t.Fatalf("the device has %+v, had %+v", now, before)
			}
			if did, err := n.tend(edge); !strings.Contains(did, "pins") || err != nil {
				t.Fatalf("what was done: %q, %v", did, err)
			}
			if did, err := n.tend(relay); did != "" || err != nil {
				t.Fatalf("what the other process did then: %q, %v", did, err)
			}
			if err := errors.Join(edge.PutSource(7, Source{Class: 1}), relay.PutSource(8, Source{Class: 1})); err != nil {
				t.Errorf("they go on: %v", err)
			}
			checkPins(t, edge, 13)
			edge.Close()
			relay.Close()
			if now := n.on(t, "v0"); now != before {
				t.Errorf("without a process the device has %+v, had %+v", now, before)
			}
			next := n.must(t, Options{Owner: "edge"})
			if l, err := next.Look(8, 8); err != nil || l.Source == nil || next.Seed() != seed {
				t.Errorf("the next process finds %+v, %v", l, err)
			}
		})
	}
}

// A device that is deleted and made again has no filter until somebody tends it.
func TestADeviceThatComesBackIsFilteredAgain(t *testing.T) {
	n := newNamespace(t)
	edge, relay := n.must(t, Options{Owner: "edge"}), n.must(t, Options{Owner: "relay"})
	if err := edge.PutSource(7, Source{Class: 1}); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "link", "del", "v0")
	for range 2 {
		if did, err := n.tend(edge); did != "" || !errors.Is(err, ErrAway) {
			t.Fatalf("without the device: %q, %v", did, err)
		}
	}
	if err := edge.PutSource(8, Source{Class: 1}); err != nil {
		t.Errorf("without the device: %v", err)
	}
	n.veth(t)
	if did, err := edge.Tend(); did != "" || !errors.Is(err, ErrAway) {
		t.Fatalf("in another network namespace: %q, %v", did, err)
	}
	did, err := n.tend(edge)
	on := n.on(t, "v0")
	if !strings.Contains(did, "made anew") || err != nil || on.mode != Native {
		t.Fatalf("with the device: %q, %v; it has %+v", did, err, on)
	}
	if _, err := n.tend(relay); err != nil || n.on(t, "v0") != on {
		t.Errorf("the other process: %v; the device has %+v, had %+v", err, n.on(t, "v0"), on)
	}
	for _, s := range []*Shield{edge, relay} {
		if l, err := s.Look(8, 8); err != nil || l.Source == nil {
			t.Errorf("the sources of before: %+v, %v", l, err)
		}
		if did, err := n.tend(s); did != "" || err != nil {
			t.Errorf("afterwards: %q, %v", did, err)
		}
	}
	checkPins(t, edge, 13)
	if err := Detach("v0", n.pin); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Shield{edge, relay} {
		if _, err := n.tend(s); !errors.Is(err, ErrGone) || errors.Is(err, ErrReplaced) {
			t.Errorf("a filter that was detached: %v", err)
		}
	}
	if now := n.on(t, "v0"); now.program != 0 {
		t.Errorf("a filter that was detached comes back: %+v", now)
	}
}

// Another build replaces the filter of a process that goes on: its calls go on too.
func TestAReplacedFilterHearsOfCalls(t *testing.T) {
	n := newNamespace(t)
	older := func() (*ebpf.CollectionSpec, error) {
		spec, err := loadShield()
		if err == nil {
			spec.Maps[shieldMapSources].MaxEntries /= 2
		}
		return spec, err
	}
	var relay *Shield
	var err error
	n.in(func() { relay, err = open(Options{Device: "v0", Pin: n.pin, Owner: "relay"}, older) })
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	if err := relay.SetServices([]Port{{First: 30000, Last: 30009, Service: 4}}); err != nil {
		t.Fatal(err)
	}
	relay.SetLeg(30000, true)
	relay.SetLeg(30002, true)
	edge := n.must(t, Options{Owner: "edge"})
	relay.SetLeg(30002, false) // before it knows
	relay.SetLeg(30004, true)
	for range 2 {
		if did, err := n.tend(relay); did != "" || !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrGone) {
			t.Fatalf("what the older says: %q, %v", did, err)
		}
	}
	relay.SetLeg(30006, true)
	relay.SetLeg(30004, false)
	for port, want := range map[int]uint64{30000: 1, 30002: 0, 30004: 0, 30006: 1} {
		if live := edge.memory.legs.Live[port/64] >> (port % 64) & 1; live != want {
			t.Errorf("port %d has %d calls in the filter in force, want %d", port, live, want)
		}
	}
	if did, err := n.tend(edge); did != "" || err != nil {
		t.Errorf("what the newer says: %q, %v", did, err)
	}
}

// The pins of a device that was renamed go with it.
func TestPinsFollowARenamedDevice(t *testing.T) {
	n := newNamespace(t)
	a := n.must(t, Options{Owner: "edge"})
	b := n.must(t, Options{Owner: "edge", Device: "v1"})
	if err := errors.Join(a.PutSource(7, Source{Class: 1}), b.PutSource(8, Source{Class: 1})); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Shield{a, b} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	n.ip(t, "link", "set", "v0", "down")
	n.ip(t, "link", "set", "v1", "down")
	for _, names := range [][2]string{{"v0", "vx"}, {"v1", "v0"}, {"vx", "v1"}} {
		n.ip(t, "link", "set", names[0], "name", names[1])
	}
	for device, key := range map[string]uint64{"v0": 8, "v1": 7} {
		s := n.must(t, Options{Owner: "edge", Device: device})
		if l, err := s.Look(key, key); err != nil || l.Source == nil {
			t.Errorf("%s has not its sources: %+v, %v", device, l, err)
		}
		if m, why := s.Mode(); m != Native {
			t.Errorf("%s is %s: %s", device, m, why)
		}
		checkPins(t, s, 13)
	}
	n.ip(t, "link", "set", "v0", "name", "wan.5")
	s := n.must(t, Options{Owner: "edge", Device: "wan.5"})
	if l, err := s.Look(8, 8); err != nil || l.Source == nil {
		t.Errorf("wan.5 has not its sources: %+v, %v", l, err)
	}
	if there(filepath.Join(n.pin, "v0")) || !there(filepath.Join(n.pin, "v1")) {
		t.Error("the pins are not where the devices are")
	}
}

// A pinned filter of a device of the same name elsewhere is let be, and said to be there.
func TestAPinOfAnotherNamespace(t *testing.T) {
	n, other := newNamespace(t), newNamespace(t)
	n.must(t, Options{Owner: "edge"})
	before := n.on(t, "v0")
	other.pin = n.pin
	_, err := other.open(t, Options{Owner: "edge"})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "another network namespace") {
		t.Errorf("the error is %v", err)
	}
	if now := n.on(t, "v0"); now != before {
		t.Errorf("the device has %+v, had %+v", now, before)
	}
	if now := other.on(t, "v0"); now.program != 0 {
		t.Errorf("the other has %+v", now)
	}
}
