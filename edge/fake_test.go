package edge_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A fakeCore accepts connections of edges and calls them on its own.
type fakeCore struct {
	l    *lab
	name string
	addr netip.AddrPort
	in   chan *msg
	stop func()

	mu    sync.Mutex
	conns []net.Conn
	calls *wire // the connection we made
}

func newCore(l *lab, host string) *fakeCore {
	l.Helper()
	c := &fakeCore{l: l, name: "core " + host, in: make(chan *msg, 10000)}
	c.listen(netip.MustParseAddrPort(host + ":0"))
	return c
}

func (c *fakeCore) listen(at netip.AddrPort) {
	c.l.Helper()
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		c.l.Fatal(err)
	}
	c.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			readers.Go(func() { c.serve(conn).stream(conn, c.in, false) })
		}
	})
	c.stop = sync.OnceFunc(func() {
		ln.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.conns, c.calls = nil, nil
		c.mu.Unlock()
		readers.Wait()
	})
	c.l.Cleanup(c.stop)
}

// hangUp ends the connection we made.
func (c *fakeCore) hangUp() {
	c.mu.Lock()
	w := c.calls
	c.calls = nil
	c.mu.Unlock()
	if w != nil {
		w.close()
	}
}

func (c *fakeCore) serve(conn net.Conn) *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return &wire{l: c.l, name: c.name, proto: "tcp", me: c.addr, write: func(b []byte) { _, _ = conn.Write(b) }, close: func() { conn.Close() }}
}

func (c *fakeCore) expect(kind string) *msg {
	c.l.Helper()
	return c.l.expect(c.name, c.in, kind)
}

// send sends text to the edge's inside address on a connection of core's own.
func (c *fakeCore) send(text string) {
	c.l.Helper()
	c.mu.Lock()
	w := c.calls
	c.mu.Unlock()
	if w == nil {
		conn, err := net.Dial("tcp", c.l.addr.Inside.String())
		if err != nil {
			c.l.Fatal(err)
		}
		w = c.serve(conn)
		c.mu.Lock()
		c.calls = w
		c.mu.Unlock()
		var reader sync.WaitGroup
		reader.Go(func() { w.stream(conn, c.in, false) })
		c.l.Cleanup(func() { conn.Close(); reader.Wait() })
	}
	w.send(text)
}

// A fakeRelay answers NG commands: SDP gets addresses that tell where it was.
type fakeRelay struct {
	addr netip.AddrPort
	seen chan ng.Command
	mute func(bool)
}

// What the fake relay puts into SDP for a receiver on that side.
const (
	relayOutside = "203.0.113.50"
	relayInside  = "10.77.0.50"
)

func newRelay(l *lab) *fakeRelay {
	l.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.4:0")))
	if err != nil {
		l.Fatal(err)
	}
	r := &fakeRelay{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), seen: make(chan ng.Command, 10000)}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		_ = ng.Serve(ctx, conn, slog.New(slog.DiscardHandler), func(_ netip.AddrPort, c ng.Command) ng.Reply {
			r.seen <- c
			return anchored(c)
		})
	})
	l.Cleanup(func() { cancel(); served.Wait() })
	return r
}

func anchored(c ng.Command) ng.Reply {
	reply := ng.Reply{Result: ng.ResultOK}
	switch {
	case c.Name == ng.Ping:
		reply.Result = ng.ResultPong
	case strings.Contains(string(c.SDP), "a=full"):
		return ng.RefuseLoad("no ports at 10.77.0.50")
	case strings.Contains(string(c.SDP), "refuse"):
		return ng.Refuse("nothing for 10.77.0.50")
	case c.Name == ng.Offer || c.Name == ng.Answer:
		host := relayInside
		if c.Direction[1] == "external" {
			host = relayOutside
		}
		reply.SDP = []byte(strings.ReplaceAll(session(host, 30000), "\n", "\r\n"))
	}
	return reply
}

// expect waits for the next command, which must have that name.
func (r *fakeRelay) expect(l *lab, name string) ng.Command {
	l.Helper()
	select {
	case c := <-r.seen:
		if c.Name != name {
			l.Fatalf("the relay got %+v instead of %s", c, name)
		}
		return c
	case <-time.After(patience):
		l.Fatalf("the relay waited in vain for %s", name)
	}
	return ng.Command{}
}

// session is an SDP of audio at host.
func session(host string, port int) string {
	return fmt.Sprintf("v=0\no=- 1 1 IN IP4 %s\ns=-\nc=IN IP4 %s\nt=0 0\nm=audio %d RTP/AVP 0 8\n", host, host, port)
}

// certificate makes a self-signed certificate for 127.0.0.1 in two files, and the
// configuration of a client that trusts it.
func certificate(t testing.TB) (edge.Files, *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	files := edge.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	if err := transport.SelfSigned([]string{"127.0.0.1"}, files.Cert, files.Key); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return files, &tls.Config{RootCAs: roots}
}
