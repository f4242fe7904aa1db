package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is one local address. Its leg comes and goes; what a worker reads per
// packet is reached without a lock.
type socket struct {
	local  netip.AddrPort
	fd     atomic.Int32 // -1 once closed
	slot   int32
	serial int32 // tells it from the former user of its slot
	worker *worker
	whole  atomic.Bool // packets must leave one by one

	mu      sync.Mutex // held to change the leg, or to close
	leg     atomic.Pointer[leg]
	trips   atomic.Pointer[trips]      // nil until a leg of RTCP comes here or leaves from here
	former  atomic.Pointer[netip.Addr] // source of the leg that was deleted last
	arrived atomic.Uint64              // when something came from former; CLOCK_MONOTONIC, ns
}

// sockets finds a socket by its address without a lock: a few addresses, and for
// each a tree of two levels over its ports.
type sockets struct {
	mu    sync.Mutex // held to add a face or a block
	faces atomic.Pointer[[]*face]
}

type face struct {
	addr   netip.Addr
	blocks [256]atomic.Pointer[block]
}

type block [256]atomic.Pointer[socket]

// at is where the socket of local is kept; nil when there is no such place yet.
func (s *sockets) at(local netip.AddrPort) *atomic.Pointer[socket] {
	all := s.faces.Load()
	if all == nil {
		return nil
	}
	for _, f := range *all {
		if f.addr == local.Addr() {
			if b := f.blocks[local.Port()>>8].Load(); b != nil {
				return &b[local.Port()&0xff]
			}
		}
	}
	return nil
}

// get returns the socket of local, or nil.
func (s *sockets) get(local netip.AddrPort) *socket {
	if at := s.at(local); at != nil {
		return at.Load()
	}
	return nil
}

// place makes the place of local if it is not there.
func (s *sockets) place(local netip.AddrPort) *atomic.Pointer[socket] {
	if at := s.at(local); at != nil {
		return at
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*face
	if old := s.faces.Load(); old != nil {
		all = *old
	}
	var mine *face
	for _, f := range all {
		if f.addr == local.Addr() {
			mine = f
		}
	}
	if mine == nil {
		mine = &face{addr: local.Addr()}
		grown := append(all[:len(all):len(all)], mine)
		s.faces.Store(&grown)
	}
	b := &mine.blocks[local.Port()>>8]
	if b.Load() == nil {
		b.Store(new(block))
	}
	return &b.Load()[local.Port()&0xff]
}

// all yields every socket.
func (s *sockets) all(yield func(*socket) bool) {
	faces := s.faces.Load()
	if faces == nil {
		return
	}
	for _, f := range *faces {
		for i := range f.blocks {
			b := f.blocks[i].Load()
			if b == nil {
				continue
			}
			for j := range b {
				if s := b[j].Load(); s != nil && !yield(s) {
					return
				}
			}
		}
	}
}

// Open binds local and begins to read it. Without a leg, what arrives is counted
// as Resting.
func (u *Userspace) Open(local netip.AddrPort) error {
	u.life.RLock()
	defer u.life.RUnlock()
	if u.closed {
		return fmt.Errorf("forward: udp %v: closed", local)
	}
	fd, err := bind(local)
	if err != nil {
		return fmt.Errorf("forward: udp %v: %w", local, err)
	}
	if err := u.add(local, fd); err != nil {
		unix.Close(fd)
		return fmt.Errorf("forward: udp %v: %w", local, err)
	}
	return nil
}

func (u *Userspace) add(local netip.AddrPort, fd int) error {
	place := u.sockets.place(local)
	s := &socket{
		local: local,
		// RTP and RTCP of a pair meet the same worker.
		worker: u.workers[int(local.Port()/2)%len(u.workers)],
	}
	s.fd.Store(int32(fd))
	u.mu.Lock()
	if len(u.free) == 0 {
		u.mu.Unlock()
		return errors.New("all sockets are in use")
	}
	s.slot = u.free[len(u.free)-1]
	u.free = u.free[:len(u.free)-1]
	u.serial++
	s.serial = u.serial
	u.mu.Unlock()
	u.slots[s.slot].Store(s)
	err := s.worker.watch(s)
	if err == nil && place.CompareAndSwap(nil, s) {
		return nil
	}
	if err == nil {
		err = errors.New("open already")
	}
	u.release(s)
	return err
}

// release gives up s: when it returns, no worker holds it or will find it.
func (u *Userspace) release(s *socket) {
	u.slots[s.slot].Store(nil)
	for _, w := range u.workers {
		w.settle()
	}
	u.mu.Lock()
	u.free = append(u.free, s.slot)
	u.mu.Unlock()
}

// Close stops reading local, deletes its leg and closes the socket. It waits
// until no worker holds it, which is a matter of microseconds; a Learner, or
// whoever holds a lock a Learner takes, must not call it.
func (u *Userspace) Close(local netip.AddrPort) error {
	u.life.RLock()
	defer u.life.RUnlock()
	place := u.sockets.at(local)
	if place == nil {
		return ErrNotOpen
	}
	s := place.Load()
	if s == nil {
		return ErrNotOpen
	}
	s.mu.Lock()
	fd := int(s.fd.Swap(-1))
	if fd >= 0 {
		u.unrepeat(local)
		s.leg.Store(nil)
	}
	s.mu.Unlock()
	if fd < 0 {
		return ErrNotOpen // somebody else closed it
	}
	// The number of a file that is closed may be given to a stranger's at once. So
	// first every worker must have let go of this one. Closing ends the watch, too.
	u.release(s)
	place.Store(nil) // before the port is free: who opens it next stores theirs
	return unix.Close(fd)
}

// Arrived is when a packet last came to local from the source its last leg
// believed, after that leg was deleted. It is zero if none has.
func (u *Userspace) Arrived(local netip.AddrPort) time.Time {
	s := u.sockets.get(local)
	if s == nil {
		return time.Time{}
	}
	return u.clock.time(s.arrived.Load())
}
