package forward

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch      = 32   // packets read from one socket before the next one has its turn
	packetSize = 2048 // longest packet that is forwarded, in bytes; media keeps below an MTU
	events     = 128  // sockets served between two looks at the clock
	stopSlot   = -1
)

// A worker moves the packets of its share of the sockets. Its arrays are made
// once; nothing is allocated per packet or per socket.
type worker struct {
	table *Userspace
	epoll int
	wake  int // an eventfd that ends run

	verdicts [Verdicts]atomic.Uint64
	bytes    atomic.Uint64 // of packets that were believed

	// turns is odd while a worker may hold sockets it looked up, and grows at
	// every change, so that settle can wait for it to have let go.
	turns atomic.Uint64

	// Owned by run.
	ready [events]unix.EpollEvent
	in    [batch]message
	bufs  [batch][packetSize]byte
	names [batch]unix.RawSockaddrAny
	iovIn [batch]unix.Iovec
	out   *outbox
	last  uint64 // when sockets were served before, CLOCK_MONOTONIC, ns
}

func newWorker(u *Userspace) (*worker, error) {
	w := &worker{table: u, out: newOutbox()}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(w.epoll)
		return nil, err
	}
	stop := unix.EpollEvent{Events: unix.EPOLLIN, Fd: stopSlot}
	if err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, w.wake, &stop); err != nil {
		w.close()
		return nil, err
	}
	for i := range w.in {
		w.iovIn[i].Base = &w.bufs[i][0]
		w.iovIn[i].SetLen(packetSize)
		h := &w.in[i].header
		h.Iov, h.Name = &w.iovIn[i], (*byte)(unsafe.Pointer(&w.names[i]))
		h.SetIovlen(1)
	}
	return w, nil
}

func (w *worker) close() {
	unix.Close(w.epoll)
	unix.Close(w.wake)
}

func (w *worker) stop() {
	one := [8]byte{1}
	_, _ = unix.Write(w.wake, one[:]) // a full counter is awake already
}

func (w *worker) watch(s *socket) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: s.slot, Pad: s.serial}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, int(s.fd.Load()), &e)
}

// settle waits until the worker has let go of every socket it may have looked up
// before the call.
func (w *worker) settle() {
	for seen := w.turns.Load(); seen%2 == 1 && w.turns.Load() == seen; {
		runtime.Gosched()
	}
}

// run serves sockets until stop is called. No packet and no error of one socket
// ends it.
func (w *worker) run() error {
	for {
		n, err := unix.EpollWait(w.epoll, w.ready[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		w.turns.Add(1)
		now, moved := w.table.clock.now(), 0
		for i := range max(n, 0) {
			e := &w.ready[i]
			if e.Fd == stopSlot {
				w.turns.Add(1)
				return nil
			}
			if s := w.table.slots[e.Fd].Load(); s != nil && s.serial == e.Pad {
				moved += w.serve(s, now)
			}
		}
		w.turns.Add(1)
		w.gather(moved, now)
	}
}

// When packets come often, being woken for each costs more than moving it. The
// worker then lets some gather first: they are late by less than pause, which is
// less than the network itself is uncertain of.
const (
	pause = 600 * time.Microsecond
	often = 3   // packets in a pause, from which on it pays
	many  = 128 // packets at once, from which on there is no time to pause
)

// gather waits a moment when many moved since the worker did so last, at now.
func (w *worker) gather(moved int, now uint64) {
	since := time.Duration(now - w.last)
	w.last = now
	if moved == 0 || moved >= many || time.Duration(moved)*pause < often*since {
		return
	}
	wake := [1]unix.PollFd{{Fd: int32(w.wake), Events: unix.POLLIN}}
	wait := unix.NsecToTimespec(int64(pause))
	_, _ = unix.Ppoll(wake[:], &wait, nil) // whatever ends it, the sockets are next
}

// serve takes what waits at s, up to a batch, sends it on, and returns how many
// packets that were.
func (w *worker) serve(s *socket, now uint64) int {
	for i := range w.in {
		w.in[i].header.Namelen = unix.SizeofSockaddrAny
	}
	n, bytes := receive(s.fd.Load(), &w.in), 0
	for i := range n {
		m := &w.in[i]
		if m.header.Flags&unix.MSG_TRUNC != 0 {
			w.verdicts[Oversize].Add(1)
			continue
		}
		v, p := w.table.judge(s, address(&w.names[i]), w.bufs[i][:m.size], now)
		if v == Forwarded || v == Held || v == Blocked {
			bytes += int(m.size)
		}
		if v != Forwarded {
			w.verdicts[v].Add(1)
			continue
		}
		if p.way.via != w.out.via {
			w.out.flush(&w.verdicts)
			w.out.via = p.way.via
		}
		w.out.add(p)
	}
	w.out.flush(&w.verdicts)
	w.bytes.Add(uint64(bytes))
	return n
}
