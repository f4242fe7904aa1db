package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// got is a message or, with err, the end of a flow.
type got struct {
	flow transport.Flow
	text string
	err  error
}

// An inbox is a handler that keeps what it gets.
type inbox struct{ messages, ends chan got }

func newInbox() *inbox {
	return &inbox{messages: make(chan got, 10000), ends: make(chan got, 10000)}
}

func (b *inbox) Message(f transport.Flow, data []byte) {
	b.messages <- got{flow: f, text: string(data)}
}
func (b *inbox) Closed(f transport.Flow, err error) { b.ends <- got{flow: f, err: err} }

func (b *inbox) message(t testing.TB) got { t.Helper(); return receive(t, b.messages, "message") }
func (b *inbox) end(t testing.TB) got     { t.Helper(); return receive(t, b.ends, "end of a flow") }

// quiet fails when a message has come that was not asked for.
func (b *inbox) quiet(t testing.TB) {
	t.Helper()
	select {
	case m := <-b.messages:
		t.Errorf("handler got %.80q, which nobody sent whole", m.text)
	default:
	}
}

func receive(t testing.TB, c <-chan got, what string) got {
	t.Helper()
	select {
	case g := <-c:
		return g
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// eventually waits until ok, looking again and again.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// listen opens proto on a free port of loopback.
func listen(t testing.TB, s *transport.Stack, proto transport.Protocol) netip.AddrPort {
	t.Helper()
	addr, err := s.Listen(proto, netip.MustParseAddrPort("127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// run serves s until the test ends, or until stop is called; both wait for Run.
func run(t testing.TB, s *transport.Stack) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = func() {
		cancel()
		select {
		case err, unread := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
			if unread {
				close(done)
			}
		case <-time.After(patience):
			t.Errorf("Run has not returned %v after its context ended", patience)
		}
	}
	t.Cleanup(stop)
	return stop
}

// server is a running stack with one listener.
func server(t testing.TB, proto transport.Protocol, cfg transport.Config) (*transport.Stack, *inbox, netip.AddrPort) {
	t.Helper()
	in := newInbox()
	s := transport.New(cfg, in)
	addr := listen(t, s, proto)
	run(t, s)
	return s, in, addr
}

// dial connects to addr and closes at the end of the test.
func dial(t testing.TB, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// write sends text or fails.
func write(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// expect reads exactly text.
func expect(t testing.TB, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("read %q (%v), want %q", b[:n], err, text)
	}
}

// expectEnd reads until the other side closes, and returns what came before.
func expectEnd(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if n, ok := err.(net.Error); ok && n.Timeout() {
		t.Fatalf("connection is still open after %v", patience)
	}
	return string(b)
}

// options is a request with its number in Call-ID and a body.
func options(n int, body string) string {
	return fmt.Sprintf("OPTIONS sip:demo.lindero.test SIP/2.0\r\n"+
		"Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK%d\r\n"+
		"From: <sip:101@demo.lindero.test>;tag=a\r\n"+
		"To: <sip:demo.lindero.test>\r\n"+
		"Call-ID: %d\r\n"+
		"CSeq: %d OPTIONS\r\n"+
		"Subject: a long\r\n  folded\r\n\tline\r\n"+
		"Max-Forwards: 70\r\n"+
		"Content-Length: %d\r\n\r\n%s", n, n, n, len(body), body)
}

// large is a request of exactly size bytes.
func large(size int) string {
	m := options(1, "")
	for body := size - len(m); ; body-- {
		if m = options(1, strings.Repeat("x", body)); len(m) <= size {
			return m + string(bytes.Repeat([]byte("y"), size-len(m)))
		}
	}
}
