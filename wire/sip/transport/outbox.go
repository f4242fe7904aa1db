package transport

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// An outbox writes to a socket without ever making the caller wait: what the
// kernel does not take at once waits in a bounded queue, and a goroutine lives
// only as long as something waits. It is the net.Conn under TLS too, so that
// records obey the same bound.
type outbox struct {
	net.Conn                    // the socket; Write is ours
	raw      syscall.RawConn    // nil when the connection is none of the kernel's
	limit    int                // bytes that may wait
	clock    *atomic.Int64      // the stack's
	moved    atomic.Int64       // clock when the socket last took something that had waited; 0 when nothing waits
	send     func(uintptr) bool // trySend, bound once

	mu       sync.Mutex    // guards the fields below. Held across a write that cannot block, which keeps the order
	err      error         // why nothing can be written any more
	waiting  []byte        // not yet with the writer
	inflight int           // bytes with the writer
	writer   chan struct{} // closed when the writer ends; nil without one
	now      []byte        // argument and results of trySend
	sent     int
	errno    error
}

func newOutbox(sock net.Conn, limit int, clock *atomic.Int64) *outbox {
	o := &outbox{Conn: sock, limit: limit, clock: clock}
	if s, ok := sock.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			o.raw, o.send = raw, o.trySend
		}
	}
	return o
}

// Write takes all of b or fails for good: with ErrSlow when too much waits.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n := 0
	if o.raw != nil && o.writer == nil {
		if n, o.err = o.attempt(b); o.err != nil {
			return n, o.err
		}
	}
	rest := b[n:]
	if len(rest) == 0 {
		return n, nil
	}
	if o.inflight+len(o.waiting)+len(rest) > o.limit {
		o.err = ErrSlow
		return n, o.err
	}
	o.waiting = append(o.waiting, rest...)
	if o.writer == nil {
		o.writer = make(chan struct{})
		o.moved.Store(o.clock.Load())
		go o.drain(o.writer)
	}
	return len(b), nil
}

// attempt gives the kernel what it takes at once.
func (o *outbox) attempt(b []byte) (int, error) {
	o.now, o.sent, o.errno = b, 0, nil
	err := o.raw.Write(o.send)
	o.now = nil
	return o.sent, errors.Join(err, o.errno)
}

// trySend always returns true: it never asks the poller to wait.
func (o *outbox) trySend(fd uintptr) bool {
	for len(o.now) > 0 {
		n, err := syscall.Write(int(fd), o.now)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			o.errno = err
			return true
		default:
			o.now = o.now[n:]
			o.sent += n
		}
	}
	return true
}

// drain writes what waits, in pieces so that progress shows, and ends when
// nothing does. Closing the socket ends it too.
func (o *outbox) drain(done chan struct{}) {
	defer close(done)
	const piece = 16 << 10
	for {
		o.mu.Lock()
		chunk := o.waiting
		o.waiting, o.inflight = nil, len(chunk)
		if len(chunk) == 0 || o.err != nil {
			o.writer = nil
			o.moved.Store(0)
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for len(chunk) > 0 {
			n, err := o.Conn.Write(chunk[:min(piece, len(chunk))])
			if err != nil {
				o.fail(err)
				o.Conn.Close() // whoever reads it tidies up
				break
			}
			chunk = chunk[n:]
			o.moved.Store(o.clock.Load())
			o.mu.Lock()
			o.inflight = len(chunk)
			o.mu.Unlock()
		}
	}
}

// fail lets nothing be written any more; the first reason stays.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}

// finish waits for the writer; the socket must have been closed.
func (o *outbox) finish() {
	o.fail(net.ErrClosed)
	o.mu.Lock()
	writer := o.writer
	o.mu.Unlock()
	if writer != nil {
		<-writer
	}
}
