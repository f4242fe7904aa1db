package forward

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Userspace is the Table that needs no kernel support and no privilege, and the
// owner of the media sockets. A few workers wait for all sockets together
// (epoll) and move packets in batches (recvmmsg, sendmmsg), so a socket costs no
// goroutine and no buffer of its own.
type Userspace struct {
	learner Learner
	workers []*worker
	slots   []atomic.Pointer[socket] // by the number epoll reports
	epoch   time.Time

	mu      sync.Mutex // guards the fields below
	sockets map[netip.AddrPort]*socket
	free    []int32 // slots
	serial  int32
	closed  bool
}

// A socket is one local address. Its leg comes and goes; what a worker reads per
// packet is reached without a lock.
type socket struct {
	local  netip.AddrPort
	fd     atomic.Int32 // -1 once closed
	slot   int32
	serial int32 // tells it from the former user of its slot
	worker *worker

	leg     atomic.Pointer[leg]
	former  atomic.Pointer[netip.Addr] // source of the leg that was deleted last
	arrived atomic.Int64               // when something came from former, since epoch
}

// NewUserspace makes a table of at most sockets local addresses. learner may be
// nil: then nobody is learned.
func NewUserspace(sockets int, learner Learner) (*Userspace, error) {
	u := &Userspace{
		learner: learner, epoch: time.Now(),
		slots:   make([]atomic.Pointer[socket], sockets),
		sockets: make(map[netip.AddrPort]*socket),
		free:    make([]int32, sockets),
	}
	for i := range u.free {
		u.free[i] = int32(sockets - 1 - i)
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
// end, so it is for a table that never ran.
func (u *Userspace) Release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	u.closed = true
	for _, s := range u.sockets {
		unix.Close(int(s.fd.Swap(-1)))
	}
	clear(u.sockets)
	for _, w := range u.workers {
		w.close()
	}
}

// Open binds local and begins to read it. Without a leg, what arrives is counted
// as Resting.
func (u *Userspace) Open(local netip.AddrPort) error {
	fd, err := bind(local)
	if err != nil {
		return fmt.Errorf("forward: udp %v: %w", local, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.add(local, fd); err != nil {
		unix.Close(fd)
		return fmt.Errorf("forward: udp %v: %w", local, err)
	}
	return nil
}

func (u *Userspace) add(local netip.AddrPort, fd int) error {
	if u.closed {
		return errors.New("closed")
	}
	if len(u.free) == 0 {
		return errors.New("all sockets are in use")
	}
	slot := u.free[len(u.free)-1]
	u.serial++
	s := &socket{
		local: local, slot: slot, serial: u.serial,
		// RTP and RTCP of a pair meet the same worker.
		worker: u.workers[int(local.Port()/2)%len(u.workers)],
	}
	s.fd.Store(int32(fd))
	u.slots[slot].Store(s)
	if err := s.worker.watch(s); err != nil {
		u.slots[slot].Store(nil)
		return err
	}
	u.free = u.free[:len(u.free)-1]
	u.sockets[local] = s
	return nil
}

// Close stops reading local, deletes its leg and closes the socket. It waits
// until no worker holds it, which is a matter of microseconds; a Learner, or
// whoever holds a lock a Learner takes, must not call it.
func (u *Userspace) Close(local netip.AddrPort) error {
	u.mu.Lock()
	s := u.sockets[local]
	if s == nil {
		u.mu.Unlock()
		return ErrNotOpen
	}
	delete(u.sockets, local)
	u.slots[s.slot].Store(nil)
	s.leg.Store(nil)
	fd := int(s.fd.Swap(-1))
	s.worker.unwatch(fd)
	u.mu.Unlock()

	// A number that is closed may be given to a stranger's file at once. So first
	// every worker must have let go of this one.
	for _, w := range u.workers {
		w.settle()
	}
	err := unix.Close(fd)

	u.mu.Lock()
	u.free = append(u.free, s.slot)
	u.mu.Unlock()
	return err
}

// Arrived is when a packet last came to local from the source its last leg
// believed, after that leg was deleted. It is zero if none has.
func (u *Userspace) Arrived(local netip.AddrPort) time.Time {
	u.mu.Lock()
	s := u.sockets[local]
	u.mu.Unlock()
	if s == nil {
		return time.Time{}
	}
	return u.time(s.arrived.Load())
}

// Put implements Table.
func (u *Userspace) Put(l Leg) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, via := u.sockets[l.Local], u.sockets[l.Via]
	if s == nil || via == nil {
		return ErrNotOpen
	}
	if l.Clock == 0 {
		l.Clock = 8000
	}
	r := &route{Leg: l, via: via}
	r.to.set(l.To, via.local.Addr())
	if old := s.leg.Load(); old != nil {
		old.route.Store(r)
		return nil
	}
	fresh := &leg{}
	fresh.route.Store(r)
	s.arrived.Store(0)
	s.former.Store(nil)
	s.leg.Store(fresh)
	return nil
}

// Delete implements Table.
func (u *Userspace) Delete(local netip.AddrPort) (Counts, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.sockets[local]
	if s == nil {
		return Counts{}, ErrNoLeg
	}
	l := s.leg.Swap(nil)
	if l == nil {
		return Counts{}, ErrNoLeg
	}
	if former := l.route.Load().peer(); former.IsValid() {
		s.former.Store(&former)
	}
	return l.counts(u), nil
}

// Counts implements Table.
func (u *Userspace) Counts(local netip.AddrPort) (Counts, error) {
	u.mu.Lock()
	s := u.sockets[local]
	u.mu.Unlock()
	if s == nil {
		return Counts{}, ErrNoLeg
	}
	l := s.leg.Load()
	if l == nil {
		return Counts{}, ErrNoLeg
	}
	return l.counts(u), nil
}

// Packets is how many packets ended in each verdict, over all sockets and since
// the start.
func (u *Userspace) Packets() (sums [Verdicts]uint64) {
	for _, w := range u.workers {
		for v := range sums {
			sums[v] += w.verdicts[v].Load()
		}
	}
	return sums
}

// time turns a moment since epoch into a time; 0 is never.
func (u *Userspace) time(since int64) time.Time {
	if since == 0 {
		return time.Time{}
	}
	return u.epoch.Add(time.Duration(since))
}
