package transport_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// Two stacks: what one sends before it is connected comes in order, and both
// ways use the one connection (RFC 5923).
func TestConnectAndReuse(t *testing.T) {
	core, coreIn, addr := server(t, transport.TCP, transport.Config{})
	edge, edgeIn, _ := server(t, transport.TCP, transport.Config{})
	f, err := edge.Connect(transport.TCP, addr)
	if err != nil {
		t.Fatal(err)
	}
	if f.Remote != addr || f.Listener != transport.Dialed || f.Conn == 0 || f.Local.Addr() != addr.Addr() || f.Local.Port() == 0 {
		t.Errorf("flow %+v", f)
	}
	const n = 100
	for i := range n {
		if err := edge.Send(f, []byte(options(i, ""))); err != nil {
			t.Fatal(err)
		}
	}
	var back transport.Flow
	for i := range n {
		g := coreIn.message(t)
		if g.text != options(i, "") {
			t.Fatalf("message %d is %.80q", i, g.text)
		}
		back = g.flow
	}
	if back.Remote != f.Local {
		t.Errorf("we said to be %v, the peer sees %v", f.Local, back.Remote)
	}
	if again, err := edge.Connect(transport.TCP, addr); err != nil || again != f {
		t.Errorf("connected anew: %+v (%v)", again, err)
	}
	if same, err := core.Connect(transport.TCP, back.Remote); err != nil || same != back {
		t.Errorf("the accepted connection is not reused: %+v (%v)", same, err)
	}
	if err := core.Send(back, []byte(options(7, ""))); err != nil {
		t.Fatal(err)
	}
	if g := edgeIn.message(t); g.flow != f {
		t.Errorf("came by %+v, want %+v", g.flow, f)
	}
	if core.Stats().Accepted != 1 || edge.Stats().Dialed != 1 {
		t.Errorf("%d accepted, %d dialled", core.Stats().Accepted, edge.Stats().Dialed)
	}
}

// What we dialled stays, however silent: core is a call away at any time.
func TestDialledConnectionsStay(t *testing.T) {
	for _, any := range []string{"127.0.0.1:0", "[::1]:0"} {
		coreIn := newInbox()
		core := transport.New(transport.Config{Idle: -1}, coreIn)
		addr, err := core.Listen(transport.TCP, netip.MustParseAddrPort(any), nil)
		if err != nil {
			t.Skipf("no %s here: %v", any, err)
		}
		run(t, core)
		const idle = 50 * time.Millisecond
		edge, edgeIn, other := server(t, transport.TCP, transport.Config{Idle: idle})
		f, err := edge.Connect(transport.TCP, addr)
		if err != nil {
			t.Fatal(err)
		}
		edge.Send(f, []byte(options(1, "")))
		back := coreIn.message(t).flow
		if back.Remote != f.Local || back.Local != f.Remote {
			t.Errorf("we see %+v, the peer %+v", f, back)
		}
		for range 3 { // others are closed for their silence
			dial(t, other)
			if e := edgeIn.end(t); e.flow == f || e.err != transport.ErrIdle {
				t.Fatalf("%+v closed because %v", e.flow, e.err)
			}
		}
		edge.Send(f, []byte(options(2, "")))
		if g := coreIn.message(t); g.flow != back {
			t.Errorf("the second message came by %+v", g.flow)
		}
	}
}

// Connect before Run works too; nothing is read before.
func TestConnectBeforeRun(t *testing.T) {
	_, coreIn, addr := server(t, transport.TCP, transport.Config{})
	in := newInbox()
	edge := transport.New(transport.Config{}, in)
	f, err := edge.Connect(transport.TCP, addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := edge.Send(f, []byte(options(1, ""))); err != nil {
		t.Fatal(err)
	}
	run(t, edge)
	coreIn.message(t)
}

func TestConnectFails(t *testing.T) {
	gone, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := gone.Addr().(*net.TCPAddr).AddrPort()
	gone.Close()
	s, in, _ := server(t, transport.TCP, transport.Config{})
	f, err := s.Connect(transport.TCP, addr)
	if err != nil {
		t.Fatal(err)
	}
	e := in.end(t)
	if e.flow != f || !errors.Is(e.err, syscall.ECONNREFUSED) {
		t.Errorf("%+v closed because %v", e.flow, e.err)
	}
	if s.Alive(f) || s.Send(f, []byte("x")) != transport.ErrFlowGone || s.Stats().DialsFailed != 1 {
		t.Error("a failed flow is alive")
	}
	// The next attempt is a new one, and succeeds when somebody listens.
	l, err := net.Listen("tcp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next, err := s.Connect(transport.TCP, addr)
	if err != nil || next.Conn == f.Conn {
		t.Fatalf("%+v (%v)", next, err)
	}
	s.Send(next, []byte("hello"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c, "hello")
}

// A peer that does not answer the SYN is given up; what waits for it is bounded.
func TestConnectDeadline(t *testing.T) {
	addr := deaf(t)
	s, in, _ := server(t, transport.TCP, transport.Config{Dial: 500 * time.Millisecond, Queue: 10000})
	f, err := s.Connect(transport.TCP, addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(f, []byte(large(9000))); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if e := in.end(t); !errors.As(e.err, &timeout) || !timeout.Timeout() {
		t.Errorf("closed because %v", e.err)
	}
	f, _ = s.Connect(transport.TCP, addr)
	s.Send(f, []byte(large(9000)))
	if err := s.Send(f, []byte(large(9000))); err != transport.ErrSlow {
		t.Errorf("too much waits, and Send says %v", err)
	}
	if e := in.end(t); e.flow != f || e.err != transport.ErrSlow {
		t.Errorf("closed because %v", e.err)
	}
}

// deaf is an address where connecting hangs: a listener whose backlog is full.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*syscall.SockaddrInet4).Port))
	for range 10 {
		c, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the backlog does not fill here")
	return addr
}

func TestConnectRefusesNonsense(t *testing.T) {
	s := transport.New(transport.Config{}, newInbox())
	defer s.Close()
	for _, a := range []string{"127.0.0.1:0", "0.0.0.0:5060", "[::]:5060"} {
		if f, err := s.Connect(transport.TCP, netip.MustParseAddrPort(a)); err == nil {
			t.Errorf("connected to %s: %+v", a, f)
		}
	}
	if _, err := s.Connect(transport.TCP, netip.AddrPort{}); err == nil {
		t.Error("connected to nowhere")
	}
	for _, p := range []transport.Protocol{0, transport.WS, transport.WSS} {
		if _, err := s.Connect(p, netip.MustParseAddrPort("127.0.0.1:9")); err == nil || !strings.Contains(err.Error(), p.String()) {
			t.Errorf("%v: %v", p, err)
		}
		if _, err := s.Listen(p, netip.MustParseAddrPort("127.0.0.1:0"), nil); err == nil {
			t.Errorf("listens on %v", p)
		}
	}
	if _, err := s.Listen(transport.TLS, netip.MustParseAddrPort("127.0.0.1:0"), nil); err == nil {
		t.Error("TLS without a certificate")
	}
}
