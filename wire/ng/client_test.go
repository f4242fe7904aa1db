package ng

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A wire is a datagram socket in memory: a test plays the relay at its far end.
type wire struct {
	sent     chan []byte // by the client
	received chan []byte // for the client
	closed   chan struct{}
	once     sync.Once
}

func newWire() *wire {
	return &wire{sent: make(chan []byte, 1000), received: make(chan []byte, 1000), closed: make(chan struct{})}
}

func (w *wire) Write(b []byte) (int, error) {
	w.sent <- append([]byte(nil), b...)
	return len(b), nil
}

func (w *wire) Read(b []byte) (int, error) {
	select {
	case d := <-w.received:
		return copy(b, d), nil
	case <-w.closed:
		return 0, io.EOF
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// next is the next datagram the client sent, as cookie and command.
func (w *wire) next(t *testing.T) (string, Command) {
	t.Helper()
	cookie, dict, err := SplitCookie(<-w.sent)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCommand(dict)
	if err != nil {
		t.Fatal(err)
	}
	return string(cookie), c
}

func (w *wire) answer(cookie string, r Reply) { w.received <- AppendReply(nil, cookie, r) }

// An outcome is what done was given, and when.
type outcome struct {
	reply Reply
	err   error
	after time.Duration
}

// bubble runs test with a client on a fake clock.
func bubble(t *testing.T, cfg ClientConfig, test func(c *Client, w *wire, do func(Command) <-chan outcome)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := newClient(&datagrams{w}, cfg.withDefaults())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		test(c, w, func(cmd Command) <-chan outcome {
			begun, done := time.Now(), make(chan outcome, 2)
			c.Do(cmd, func(r Reply, err error) { done <- outcome{r, err, time.Since(begun)} })
			return done
		})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestReplyIsGivenOnce(t *testing.T) {
	bubble(t, ClientConfig{}, func(_ *Client, w *wire, do func(Command) <-chan outcome) {
		done := do(Command{Name: Offer, CallID: "c"})
		cookie, c := w.next(t)
		if c.Name != Offer || c.CallID != "c" {
			t.Errorf("sent %+v", c)
		}
		w.answer("another", Reply{Result: ResultError})
		w.received <- []byte("garbage")
		w.answer(cookie, Reply{Result: ResultOK, SDP: []byte("v=0")})
		w.answer(cookie, Reply{Result: ResultError}) // of a retransmission
		if o := <-done; o.err != nil || string(o.reply.SDP) != "v=0" {
			t.Errorf("%+v", o)
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Error("done ran twice")
		}
	})
}

func TestRetransmissionAndDeadline(t *testing.T) {
	bubble(t, ClientConfig{}, func(c *Client, w *wire, do func(Command) <-chan outcome) {
		done := do(Command{Name: Offer})
		o := <-done
		if !errors.Is(o.err, ErrTimeout) || o.after < 1500*time.Millisecond || o.after > 1600*time.Millisecond {
			t.Errorf("%v after %v", o.err, o.after)
		}
		n, cookies := len(w.sent), map[string]bool{}
		for range n {
			cookie, _ := w.next(t)
			cookies[cookie] = true
		}
		if n != 7 && n != 8 || len(cookies) != 1 { // at 0, 200, … 1400 ms, as the tick allows
			t.Errorf("%d datagrams with %d cookies", n, len(cookies))
		}
		if c.Down() {
			t.Error("one timeout opened the breaker")
		}
	})
}

func TestBreakerOpensAndCloses(t *testing.T) {
	bubble(t, ClientConfig{}, func(c *Client, w *wire, do func(Command) <-chan outcome) {
		for range 3 {
			<-do(Command{Name: Offer})
		}
		synctest.Wait()
		if !c.Down() {
			t.Fatal("three timeouts did not open the breaker")
		}
		if o := <-do(Command{Name: Offer}); !errors.Is(o.err, ErrDown) || o.after != 0 {
			t.Errorf("%v after %v", o.err, o.after)
		}
		for len(w.sent) > 0 {
			<-w.sent
		}
		probes := 0
		for begun := time.Now(); time.Since(begun) < 5*time.Second; probes++ {
			cookie, cmd := w.next(t)
			if cmd.Name != Ping {
				t.Fatalf("sent %+v while open", cmd)
			}
			if time.Since(begun) > 4*time.Second {
				w.answer(cookie, Reply{Result: ResultPong})
				synctest.Wait()
				break
			}
		}
		if c.Down() || probes < 3 || probes > 5 {
			t.Errorf("down %v after %d probes", c.Down(), probes)
		}
		done := do(Command{Name: Offer})
		cookie, _ := w.next(t)
		w.answer(cookie, Reply{Result: ResultOK})
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestTimeoutsMustBeInARow(t *testing.T) {
	bubble(t, ClientConfig{}, func(c *Client, w *wire, do func(Command) <-chan outcome) {
		for _, answered := range []bool{false, false, true, false, false, true, false, false} {
			done := do(Command{Name: Offer})
			if cookie, _ := w.next(t); answered {
				w.answer(cookie, Reply{Result: ResultError}) // a refusal is an answer, too
			}
			<-done
			for len(w.sent) > 0 {
				<-w.sent // retransmissions
			}
		}
		if c.Down() {
			t.Error("open, though never three in a row were lost")
		}
	})
}

func TestInFlightIsBounded(t *testing.T) {
	bubble(t, ClientConfig{InFlight: 2}, func(_ *Client, w *wire, do func(Command) <-chan outcome) {
		var all []<-chan outcome
		for range 5 {
			all = append(all, do(Command{Name: Offer}))
			synctest.Wait()
		}
		busy, late := 0, 0
		for _, done := range all {
			switch o := <-done; {
			case errors.Is(o.err, ErrBusy):
				busy++
			case errors.Is(o.err, ErrTimeout):
				late++
			}
		}
		if busy != 3 || late != 2 {
			t.Errorf("%d busy, %d late", busy, late)
		}
	})
}

func TestTheEndOfRunFailsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := newClient(&datagrams{w}, ClientConfig{}.withDefaults())
		done := make(chan error, 3)
		note := func(_ Reply, err error) { done <- err }
		c.Do(Command{Name: Offer}, note) // before Run
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		c.Do(Command{Name: Offer}, note)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Do(Command{Name: Offer}, note)
		for range 3 {
			if err := <-done; !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
	})
}

func TestCommandLongerThanADatagram(t *testing.T) {
	bubble(t, ClientConfig{}, func(_ *Client, w *wire, do func(Command) <-chan outcome) {
		if o := <-do(Command{Name: Offer, SDP: make([]byte, MaxDatagram)}); !errors.Is(o.err, ErrTooLong) || len(w.sent) != 0 {
			t.Errorf("%v, %d sent", o.err, len(w.sent))
		}
	})
}
