package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A conn is one stream connection. One goroutine makes it ready, reads it, calls
// the handler and tidies up; anybody may send on it or close it.
type conn struct {
	// Set when made, then constant.
	stack  *Stack
	dialed bool
	source netip.Addr    // what it counts against in Stack.sources; invalid when dialled
	bound  chan struct{} // dialled: closed when flow is final; nil when accepted
	flow   Flow          // Local is unknown before bound is closed

	// Accessed atomically; readings of the stack's clock.
	seen   atomic.Int64 // of the last byte read
	half   atomic.Int64 // of the first byte of a message that is not whole; 0 when there is none
	pinged atomic.Int64 // of our ping that no byte has followed; 0 when there is none

	mu     sync.Mutex // guards the fields below; taken after Stack.mu, never held while calling out
	err    error      // why it is closed; nil while it lives
	cancel func()     // stops dialling
	out    *outbox    // nil before there is a socket
	wire   net.Conn   // what messages are written to: out, or TLS over it; nil before
	ready  bool       // early has been written; Send writes itself
	early  []byte     // sent before ready
}

// alive tells whether sending can work.
func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// send writes data, or keeps it until the connection is ready.
func (c *conn) send(data []byte) error {
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return ErrFlowGone
	case c.ready:
		w := c.wire
		c.mu.Unlock()
		if _, err := w.Write(data); err != nil {
			return c.broken(err)
		}
		return nil
	case len(c.early)+len(data) > c.stack.cfg.Queue:
		c.mu.Unlock()
		return c.broken(ErrSlow)
	}
	c.early = append(c.early, data...)
	c.mu.Unlock()
	return nil
}

// broken closes c because it could not be written to, and says so as Send does.
func (c *conn) broken(err error) error {
	if errors.Is(err, ErrSlow) {
		c.refuse(ErrSlow, &c.stack.count.queueOverflows)
		return ErrSlow
	}
	c.close(err)
	return fmt.Errorf("%w: %v", ErrFlowGone, err)
}

// close ends c for the reason err, unless it has one already; the goroutine that
// reads it does the rest.
func (c *conn) close(err error) {
	c.mark(err)
	c.hangUp()
}

// refuse is close for a reason that is counted, before anybody hears of it.
func (c *conn) refuse(err error, count *atomic.Uint64) {
	if c.mark(err) {
		count.Add(1)
		c.hangUp()
	}
}

// mark notes why c ends; it tells whether c lived until now.
func (c *conn) mark(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.err = err
	return true
}

func (c *conn) hangUp() {
	c.mu.Lock()
	cancel, out, wire := c.cancel, c.out, c.wire
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	switch {
	case wire != nil:
		wire.Close() // over TLS it says goodbye first, without waiting
	case out != nil:
		out.Close()
	}
}

// reason is why c was closed.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// attach gives c its socket; false when c has been closed meanwhile.
func (c *conn) attach(sock net.Conn) bool {
	out := newOutbox(sock, c.stack.cfg.Queue, &c.stack.clock)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		sock.Close()
		return false
	}
	c.out, c.cancel = out, nil
	return true
}

// secure shakes hands, as the client when c was dialled. Only its own goroutine
// waits for the peer, and not for long (trap 6).
func (c *conn) secure(conf *tls.Config) error {
	t := tls.Server(c.out, conf)
	if c.dialed {
		t = tls.Client(c.out, conf)
	}
	c.out.SetDeadline(time.Now().Add(c.stack.cfg.Handshake))
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("transport: TLS handshake: %w", err)
	}
	c.out.SetDeadline(time.Time{})
	if !c.dialed && len(t.ConnectionState().VerifiedChains) > 0 {
		c.stack.vouch(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wire = t
	return c.err
}

// open writes what was sent too early, then lets Send write itself.
func (c *conn) open() error {
	c.mu.Lock()
	if c.wire == nil {
		c.wire = c.out
	}
	w := c.wire
	for c.err == nil && len(c.early) > 0 {
		early := c.early
		c.early = nil
		c.mu.Unlock()
		if _, err := w.Write(early); err != nil {
			return c.broken(err)
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	c.ready = c.err == nil
	return c.err
}

// receive reads until the connection ends and returns why.
func (c *conn) receive() error {
	var in stream
	defer in.drop()
	fill := c.filler(&in)
	for {
		if err := fill(); err != nil {
			if err == io.EOF && in.held() {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		now := c.stack.clock.Load()
		c.seen.Store(now)
		if c.pinged.Swap(0) != 0 {
			in.awaited = true
		}
		if err := c.deliver(&in, now); err != nil {
			return err
		}
	}
}

// filler returns a function that waits for bytes and adds them to in. On a plain
// socket it waits without a buffer: an idle connection holds none.
func (c *conn) filler(in *stream) func() error {
	var n int
	var failed error
	read := func(fd uintptr) bool {
		for {
			n, failed = syscall.Read(int(fd), in.space())
			if failed != syscall.EINTR {
				break
			}
		}
		if failed == syscall.EAGAIN {
			in.release()
			return false
		}
		return true
	}
	return func() error {
		if c.wire == net.Conn(c.out) && c.out.raw != nil {
			if err := c.out.raw.Read(read); err != nil {
				return err
			}
		} else {
			n, failed = c.wire.Read(in.space())
		}
		switch {
		case n > 0:
			in.w += n
			return nil
		case failed == nil:
			return io.EOF
		}
		return failed
	}
}

// ErrDenied ends a connection that Config.Holds refuses to go on.
var ErrDenied = errors.New("transport: peer may not speak any more")

// deliver gives the handler what is whole, and answers pings in their place
// between the messages. What is left began no earlier than now, if anything was
// whole.
func (c *conn) deliver(in *stream, now int64) error {
	s := c.stack
	if s.cfg.Holds != nil && !c.dialed && !s.cfg.Holds(c.flow.Remote, c.flow.Protocol) {
		s.count.denied.Add(1)
		return ErrDenied
	}
	whole := false
	for {
		before := in.r
		msg, err := in.next()
		if in.pings > 0 || in.pongs > 0 {
			if err := c.pong(in); err != nil {
				return err
			}
		}
		whole = whole || in.r > before
		switch {
		case err != nil:
			s.count.framesRefused.Add(1)
			return fmt.Errorf("transport: framing: %w", err)
		case msg == nil:
			switch {
			case !in.held():
				c.half.Store(0)
			case whole || c.half.Load() == 0:
				c.half.Store(now)
			}
			return nil
		}
		s.count.messagesIn.Add(1)
		s.count.bytesIn.Add(uint64(len(msg)))
		s.handler.Message(c.flow, msg)
		if !c.alive() {
			return c.reason()
		}
	}
}
