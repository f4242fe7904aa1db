package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
)

// thisNetwork is the network namespace of the calling thread.
const thisNetwork = "/proc/thread-self/ns/net"

// byName are the maps as they are pinned.
func (m *shieldMaps) byName() tables {
	return tables{
		shieldMapBuckets: m.Buckets, shieldMapClock: m.Clock, shieldMapCounters: m.Counters, shieldMapLegs: m.Legs,
		shieldMapMarks: m.Marks, shieldMapNext: m.Next, shieldMapPolicies: m.Policies, shieldMapPorts: m.Ports, shieldMapSamples: m.Samples,
		shieldMapSources: m.Sources, shieldMapState: m.State, shieldMapTables: m.Tables,
	}
}

// Tend looks whether the filter is in force and pinned, and puts right what is not,
// saying what it did: pins that somebody removed, with or without their file system,
// come back before anything could happen, for the link is held; a device that was
// deleted and made again is filtered again. It fails with ErrGone when the filter was
// detached, with ErrReplaced when another build's took its place, and with ErrAway
// while there is no device. It is to be called every second or so, in the network
// namespace that Open was called in.
func (s *Shield) Tend() (did string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", ErrClosed
	}
	if s.pins == nil {
		return "", nil
	}
	_, alive, err := inForce(s.link)
	if err != nil {
		return "", fmt.Errorf("bpf: looking at the link of %s: %w", s.device, err)
	}
	names := s.maps.byName()
	if alive && s.pins.whole(len(names)+1) {
		return "", nil
	}
	if on, err := mounted(s.pins.dir); err == nil && !on && !alive {
		return "", ErrGone
	}
	if err := mount(s.pins.root); err != nil {
		return "", err
	}
	unlock, err := lock(s.pins.root)
	if err != nil {
		return "", err
	}
	defer unlock()
	switch ours, err := s.pinned(); {
	case errors.Is(err, fs.ErrNotExist) && !alive:
		return "", ErrGone
	case err == nil && !ours:
		return "", s.follow()
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("bpf: looking at the pins of %s: %w", s.device, refused(err))
	}
	var done []string
	if !alive {
		if err := s.rehook(); err != nil {
			return "", err
		}
		done = append(done, "attached to the device, which was made anew")
	}
	n, err := s.mend(names)
	if n > 0 {
		done = append(done, fmt.Sprintf("put %d removed pins back", n))
	}
	if err == nil {
		err = s.pins.settle()
	}
	return strings.Join(done, ", "), err
}

// pinned tells whether the maps that are pinned are those of this process.
func (s *Shield) pinned() (ours bool, err error) {
	m, err := ebpf.LoadPinnedMap(s.pins.path(shieldMapState), nil)
	if err != nil {
		return false, err
	}
	defer m.Close()
	return same(m, s.maps.State)
}

func same(a, b *ebpf.Map) (bool, error) {
	i, err := a.Info()
	if err != nil {
		return false, err
	}
	j, err := b.Info()
	if err != nil {
		return false, err
	}
	x, okX := i.ID()
	y, okY := j.ID()
	return okX && okY && x == y, nil
}

// rehook attaches to a device of the name that was lost, or finds that another
// process did.
func (s *Shield) rehook() error {
	if here, err := inode(thisNetwork); err != nil || here != s.network {
		return fmt.Errorf("bpf: %s: %w (this is another network namespace)", s.device, ErrAway)
	}
	device, err := net.InterfaceByName(s.device)
	if err != nil {
		return fmt.Errorf("bpf: %s: %w", s.device, ErrAway)
	}
	return s.hook(s.pins, device, nil)
}

// mend pins what is not, and says how many there were.
func (s *Shield) mend(names tables) (n int, err error) {
	if err := s.pins.make(); err != nil {
		return 0, err
	}
	for name, m := range names {
		if there(s.pins.path(name)) {
			continue
		}
		again, err := m.Clone() // which knows of no pin
		if err != nil {
			return n, fmt.Errorf("bpf: pinning %s: %w", name, err)
		}
		err = errors.Join(again.Pin(s.pins.path(name)), again.Close())
		if err != nil {
			return n, fmt.Errorf("bpf: pinning %s: %w", name, refused(err))
		}
		n++
	}
	if there(s.pins.path(linkPin)) {
		return n, nil
	}
	err = errors.Join(s.link.Unpin(), s.link.Pin(s.pins.path(linkPin))) // it believes that it is
	if err != nil {
		return n, fmt.Errorf("bpf: pinning the link of %s: %w", s.device, refused(err))
	}
	return n + 1, nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// follow has the legs of this process's calls counted in the maps that took the
// place of its own, until it is started anew: a call must not be mute because the
// other half of the border is of another build. It says ErrReplaced, or why not.
func (s *Shield) follow() error {
	pin, err := inode(s.pins.path(shieldMapLegs))
	if err != nil {
		return fmt.Errorf("bpf: following the legs of %s: %w", s.device, err)
	}
	if pin == s.followed {
		return ErrReplaced
	}
	m, err := ebpf.LoadPinnedMap(s.pins.path(shieldMapLegs), nil)
	if err != nil {
		return fmt.Errorf("bpf: following the legs of %s: %w", s.device, refused(err))
	}
	defer m.Close()
	var legs *shieldLegs
	if m.Type() != ebpf.Array || uintptr(m.ValueSize()) != unsafe.Sizeof(*legs) {
		s.followed = pin
		return fmt.Errorf("%w (it knows of this process's calls no more)", ErrReplaced)
	}
	b, err := mapMemory(m)
	if err != nil {
		return err
	}
	legs = (*shieldLegs)(unsafe.Pointer(&b[0]))
	s.memory.mapped, s.memory.legs, s.followed = append(s.memory.mapped, b), legs, pin
	for n, service := range s.memory.ports.Udp {
		if media(service) && service>>4 == s.owner {
			s.settle(uint16(n))
		}
	}
	for i := range s.mine {
		atomic.OrUint64(&legs.Live[i], atomic.LoadUint64(&s.mine[i]))
	}
	return ErrReplaced
}
