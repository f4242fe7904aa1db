package forward

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/wire/rtp"
)

// Userspace is the Table that needs no kernel support and no privilege, and the
// owner of the media sockets. A few workers wait for all sockets together
// (epoll) and move packets in batches (recvmmsg, sendmmsg), so a socket costs no
// goroutine and no buffer of its own.
//
// With a Kernel it stays the whole table: it serves the legs that still learn, and
// everything the kernel's program passes on, and counts in the same memory.
type Userspace struct {
	// Initialized at construction, then constant.
	learner Learner
	kernel  Kernel  // nil: none
	memory  *Memory // of Tracks that the kernel does not have; nil: the heap
	before  *Memory // of those that a process before this one had; nil: it had none
	workers []*worker
	slots   []atomic.Pointer[socket] // by the number epoll reports
	clock   clock

	sockets sockets
	refused atomic.Uint64 // legs the kernel would not take

	life   sync.RWMutex // held for reading by who opens or closes, for writing by Release
	closed bool         // guarded by life

	mu     sync.Mutex // guards the fields below
	free   []int32    // slots
	serial int32
}

// An Option changes what NewUserspace makes.
type Option func(*Userspace)

// WithKernel makes the table hand legs that have nothing left to learn to k.
func WithKernel(k Kernel) Option { return func(u *Userspace) { u.kernel = k } }

// WithMemory keeps Tracks that are not the kernel's in m, so that they outlive the
// process. nil is the heap.
func WithMemory(m *Memory) Option { return func(u *Userspace) { u.memory = m } }

// WithMemoryOf is for a table that has a kernel, after a process that had none: Resume
// goes on with the counts in m. nil is nothing.
func WithMemoryOf(m *Memory) Option { return func(u *Userspace) { u.before = m } }

// NewUserspace makes a table of at most sockets local addresses. learner may be
// nil: then nobody is learned.
func NewUserspace(sockets int, learner Learner, options ...Option) (*Userspace, error) {
	u := &Userspace{
		learner: learner,
		slots:   make([]atomic.Pointer[socket], sockets),
		free:    make([]int32, sockets),
	}
	for _, o := range options {
		o(u)
	}
	for i := range u.free {
		u.free[i] = int32(sockets - 1 - i)
	}
	var err error
	if u.clock, err = newClock(); err != nil {
		return nil, err
	}
	for range runtime.GOMAXPROCS(0) {
		w, err := newWorker(u)
		if err != nil {
			u.Release()
			return nil, fmt.Errorf("forward: worker: %w", err)
		}
		u.workers = append(u.workers, w)
	}
	return u, nil
}

// Run moves packets until ctx ends, then closes all sockets. It may be called once.
func (u *Userspace) Run(ctx context.Context) error {
	var all sync.WaitGroup
	failed := make(chan error, len(u.workers))
	for _, w := range u.workers {
		all.Go(func() {
			if err := w.run(); err != nil {
				failed <- fmt.Errorf("forward: %w", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, w := range u.workers {
		w.stop()
	}
	all.Wait()
	u.Release()
	return err
}

// Release closes all sockets of a table that does not run: Run does it at its
// end, so it is for a table that never ran. What a Kernel repeats, it goes on
// repeating.
func (u *Userspace) Release() {
	u.life.Lock()
	defer u.life.Unlock()
	if u.closed {
		return
	}
	u.closed = true
	for s := range u.sockets.all {
		if fd := s.fd.Swap(-1); fd >= 0 {
			unix.Close(int(fd))
		}
	}
	for _, w := range u.workers {
		w.close()
	}
}

// Put implements Table.
func (u *Userspace) Put(l Leg) error { return u.put(l, false) }

// Resume is Put for a leg that a process before this one served: its counts go on
// as far as the kernel or a Memory kept them.
func (u *Userspace) Resume(l Leg) error { return u.put(l, true) }

func (u *Userspace) put(l Leg, resume bool) error {
	s := u.sockets.get(l.Local)
	if l.Clock == 0 {
		l.Clock = 8000
	}
	r, err := u.ready(l)
	if s == nil || err != nil {
		return ErrNotOpen
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd.Load() < 0 {
		return ErrNotOpen
	}
	if l.Flags&(RTCP|Mux) != 0 {
		s.trips.CompareAndSwap(nil, new(trips))
		r.rtcp.via.trips.CompareAndSwap(nil, new(trips))
	}
	if old := s.leg.Load(); old != nil {
		old.route.Store(r)
		old.kernel.Store(u.repeat(l))
		return nil
	}
	fresh := &leg{track: u.track(l.Local)}
	if !resume {
		u.unrepeat(l.Local) // it may count for a process before this one
		*fresh.track = Track{}
	} else if u.before != nil {
		if t := u.before.track(l.Local); t != nil {
			*fresh.track = *t
		}
	}
	fresh.route.Store(r)
	s.arrived.Store(0)
	s.former.Store(nil)
	s.leg.Store(fresh)
	fresh.kernel.Store(u.repeat(l))
	return nil
}

// ready makes the route of l.
func (u *Userspace) ready(l Leg) (*route, error) {
	r := &route{Leg: l, scale: rtp.Scale(l.Clock)}
	if r.media.via = u.sockets.get(l.Via); r.media.via == nil {
		return nil, ErrNotOpen
	}
	r.media.to.set(l.To, l.Via.Addr())
	r.rtcp = r.media
	if l.RTCPVia.IsValid() {
		if r.rtcp.via = u.sockets.get(l.RTCPVia); r.rtcp.via == nil {
			return nil, ErrNotOpen
		}
		r.rtcp.to = sockaddr{}
		r.rtcp.to.set(l.RTCPTo, l.RTCPVia.Addr())
	}
	return r, nil
}

// Delete implements Table.
func (u *Userspace) Delete(local netip.AddrPort) (Counts, error) {
	s := u.sockets.get(local)
	if s == nil {
		return Counts{}, ErrNoLeg
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leg.Load()
	if l == nil {
		return Counts{}, ErrNoLeg
	}
	if former := l.route.Load().peer(); former.IsValid() {
		s.former.Store(&former)
	}
	u.unrepeat(local)
	s.leg.Store(nil)
	c := u.counts(s, l)
	s.trips.Store(nil)
	return c, nil
}

// Counts implements Table.
func (u *Userspace) Counts(local netip.AddrPort) (Counts, error) {
	s := u.sockets.get(local)
	if s == nil {
		return Counts{}, ErrNoLeg
	}
	l := s.leg.Load()
	if l == nil {
		return Counts{}, ErrNoLeg
	}
	return u.counts(s, l), nil
}

func (u *Userspace) counts(s *socket, l *leg) Counts {
	c := l.track.counts(l.route.Load().Clock, u.clock.time)
	c.Blocked = l.blocked.Load()
	c.RoundTrip = s.trips.Load().roundTrip()
	return c
}

// Packets is how many packets ended in each verdict in user space, over all
// sockets and since the start.
func (u *Userspace) Packets() (sums [Verdicts]uint64) {
	for _, w := range u.workers {
		for v := range sums {
			sums[v] += w.verdicts[v].Load()
		}
	}
	return sums
}
