package ng

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// datagrams is the link over UDP.
type datagrams struct{ conn io.ReadWriteCloser }

// A write that fails is a datagram lost: the next retransmission or the deadline
// deals with it.
func (d *datagrams) write(b []byte) { _, _ = d.conn.Write(b) }

func (d *datagrams) reset() {}

func (d *datagrams) reliable() bool { return false }

// run reads until ctx ends. An error of one read (an ICMP "port unreachable" while
// the relay restarts) does not end it.
func (d *datagrams) run(ctx context.Context, events chan<- event) {
	stop := context.AfterFunc(ctx, func() { d.conn.Close() })
	defer stop()
	defer d.conn.Close()
	buf := make([]byte, MaxDatagram)
	for ctx.Err() == nil {
		n, err := d.conn.Read(buf)
		if err != nil {
			pause(ctx, 10*time.Millisecond)
			continue
		}
		tell(ctx, events, event{message: append([]byte(nil), buf[:n]...)})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func tell(ctx context.Context, events chan<- event, e event) bool {
	select {
	case events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// A streamLink is the link over connections, one at a time.
type streamLink struct {
	dial func(context.Context) (net.Conn, error)
	cfg  ClientConfig

	mu   sync.Mutex // guards the fields below
	conn net.Conn   // nil while there is none
	out  chan []byte
}

func newStreamLink(dial func(context.Context) (net.Conn, error), cfg ClientConfig) *streamLink {
	return &streamLink{dial: dial, cfg: cfg}
}

func (l *streamLink) reliable() bool { return true }

// write queues b for the connection. Without one it does nothing: what waits is
// sent again when there is one. A queue that is full is a relay that does not read.
func (l *streamLink) write(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	select {
	case l.out <- b:
	default:
		l.conn.Close()
	}
}

func (l *streamLink) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

// run connects, again and again, until ctx ends.
func (l *streamLink) run(ctx context.Context, events chan<- event) {
	said := false
	for wait := time.Duration(0); ctx.Err() == nil; pause(ctx, wait) {
		dialing, cancel := context.WithTimeout(ctx, 2*l.cfg.Deadline)
		conn, err := l.dial(dialing)
		cancel()
		if err == nil {
			var spoke bool
			if spoke, err = l.speak(ctx, conn, events); spoke {
				wait, said = 0, false
			}
		}
		if ctx.Err() == nil && !said {
			l.cfg.Log.Warn("no connection to relay; trying again", "err", err)
			said = true
		}
		wait = min(max(2*wait, 20*time.Millisecond), l.cfg.Probe)
	}
}

// speak uses conn until it breaks, and says whether the relay said anything.
func (l *streamLink) speak(ctx context.Context, conn net.Conn, events chan<- event) (spoke bool, err error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	out := make(chan []byte, 2*l.cfg.InFlight)
	over := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { l.pump(conn, out, over) })
	defer writer.Wait()
	defer func() {
		l.mu.Lock()
		l.conn = nil
		close(over)
		l.mu.Unlock()
		conn.Close()
	}()
	if !tell(ctx, events, event{up: func() { l.use(conn, out, over) }}) {
		return false, ctx.Err()
	}
	f := framer{max: maxReply}
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return spoke, err
		}
		f.push(buf[:n])
		for {
			m, err := f.next()
			if err != nil {
				return spoke, err
			}
			if m == nil {
				break
			}
			spoke = true
			if !tell(ctx, events, event{message: append([]byte(nil), m...)}) {
				return spoke, ctx.Err()
			}
		}
	}
}

// use has what is written from now on go by conn, unless it is over already.
func (l *streamLink) use(conn net.Conn, out chan []byte, over <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-over:
	default:
		l.conn, l.out = conn, out
	}
}

// pump writes what is queued, as much at once as there is.
func (l *streamLink) pump(conn net.Conn, out <-chan []byte, over <-chan struct{}) {
	var batch []byte
	for {
		select {
		case b := <-out:
			batch = append(batch[:0], b...)
		case <-over:
			return
		}
		for more := true; more && len(batch) < 64<<10; {
			select {
			case b := <-out:
				batch = append(batch, b...)
			default:
				more = false
			}
		}
		if err := conn.SetWriteDeadline(time.Now().Add(2 * l.cfg.Deadline)); err != nil {
			return
		}
		if _, err := conn.Write(batch); err != nil {
			conn.Close() // the reader sees it
			return
		}
	}
}
