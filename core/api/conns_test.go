package api

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// More connections than there may be wait their turn, and nothing waits for ever.
func TestConnectionsAreBounded(t *testing.T) {
	base, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(base, 1, 1, func() {})
	accepted, ended := make(chan net.Conn), make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", base.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	next := func() net.Conn {
		t.Helper()
		select {
		case c := <-accepted:
			return c
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was let in")
			return nil
		}
	}
	first := next()
	select {
	case <-accepted:
		t.Fatal("two at once")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // a second time makes no more room
	next()
	select {
	case <-accepted:
		t.Fatal("two at once, after one was closed twice")
	case <-time.After(50 * time.Millisecond):
	}
	l.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for room after it was closed")
	}
}

// A queue is a listener whose connections come from where the test says.
type queue struct {
	net.Listener
	conns chan net.Conn
}

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// A caller is a connection from an address.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// One address has its share of the connections and no more; whoever speaks for others
// on this machine, as a TLS proxy does, has all.
func TestOneAddressDoesNotTakeAllConnections(t *testing.T) {
	q := queue{conns: make(chan net.Conn, 1)}
	refused := 0
	l := limitConns(q, 100, 2, func() { refused++ })
	dial := func(from string) (answer <-chan string) {
		here, there := net.Pipe()
		q.conns <- caller{here, from}
		text := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(there)
			text <- string(b)
		}()
		return text
	}
	accept := func(from string) net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != from {
			t.Fatalf("%v, %v; want the one from %s", c, err, from)
		}
		return c
	}
	dial("203.0.113.9:1")
	first := accept("203.0.113.9:1")
	dial("203.0.113.9:2")
	accept("203.0.113.9:2")
	third := dial("203.0.113.9:3")
	go dial("198.51.100.1:1")
	accept("198.51.100.1:1") // the third was passed over
	if text := <-third; !strings.HasPrefix(text, "HTTP/1.1 503 ") || !strings.Contains(text, "Connection: close") || refused != 1 {
		t.Errorf("the third was told %q; %d were refused", text, refused)
	}
	first.Close()
	first.Close()
	dial("203.0.113.9:4")
	accept("203.0.113.9:4") // there is room again

	dial("[2001:db8::1]:1")
	accept("[2001:db8::1]:1")
	dial("[2001:db8::2]:1")
	accept("[2001:db8::2]:1")
	same := dial("[2001:db8::3]:1")
	go dial("127.0.0.1:1")
	accept("127.0.0.1:1")
	if text := <-same; text == "" {
		t.Error("three addresses of one /64 had two connections' share each")
	}
	for range 5 {
		dial("127.0.0.1:1")
		accept("127.0.0.1:1")
		dial("[::1]:1")
		accept("[::1]:1")
	}
	if n := len(l.(*limited).of); n != 3 {
		t.Errorf("%d sources are counted, 3 have connections", n)
	}
}
