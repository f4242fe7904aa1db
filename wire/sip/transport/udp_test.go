package transport_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

func udpPeer(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	t.Cleanup(func() { pc.Close() })
	pc.SetDeadline(time.Now().Add(patience))
	return pc.(*net.UDPConn)
}

func TestUDPMessagesComeAndGo(t *testing.T) {
	for network, any := range map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			peer := udpPeer(t, network, any)
			in := newInbox()
			s := transport.New(transport.Config{}, in)
			addr, err := s.Listen(transport.UDP, netip.MustParseAddrPort(any), nil)
			if err != nil {
				t.Fatal(err)
			}
			run(t, s)
			// Over the Ethernet MTU both ways: it leaves in fragments (trap 19).
			for _, m := range []string{options(1, "v=0"), "\r\n" + options(2, ""), large(9000), large(sip.MaxDatagram)} {
				if _, err := peer.WriteToUDPAddrPort([]byte(m), addr); err != nil {
					t.Fatal(err)
				}
				g := in.message(t)
				if g.text != strings.TrimLeft(m, "\r\n") {
					t.Fatalf("got %d bytes, sent %d", len(g.text), len(m))
				}
				want := transport.Flow{Protocol: transport.UDP, Local: addr, Remote: peer.LocalAddr().(*net.UDPAddr).AddrPort()}
				if g.flow != want {
					t.Fatalf("flow is %+v, want %+v", g.flow, want)
				}
				if !s.Alive(g.flow) {
					t.Error("flow of a live listener is not alive")
				}
				if err := s.Send(g.flow, []byte(g.text)); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 1<<16)
				n, from, err := peer.ReadFromUDPAddrPort(b)
				if err != nil || string(b[:n]) != g.text || from != addr {
					t.Fatalf("peer read %d bytes from %v (%v)", n, from, err)
				}
			}
		})
	}
}

func TestUDPRubbishIsCountedAndEndsNothing(t *testing.T) {
	s, in, addr := server(t, transport.UDP, transport.Config{})
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	stun := "\x00\x01\x00\x00\x21\x12\xA4\x42abcdefghijkl"
	for _, m := range []string{"", "\r\n", "\r\n\r\n", "\x00\x00\x00\x00", "jaK", stun, large(sip.MaxDatagram + 1), strings.Repeat("z", 60000), options(1, "")} {
		if _, err := peer.WriteToUDPAddrPort([]byte(m), addr); err != nil {
			t.Fatal(err)
		}
	}
	if g := in.message(t); g.text != options(1, "") {
		t.Errorf("got %.60q", g.text)
	}
	in.quiet(t)
	st := s.Stats()
	for what, n := range map[string][2]uint64{
		"keep-alives": {st.KeepAlives, 3}, "tiny": {st.Tiny, 2}, "STUN": {st.STUN, 1},
		"oversized": {st.Oversized, 2}, "messages": {st.DatagramsIn, 1},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: counted %d, want %d", what, n[0], n[1])
		}
	}
}

// A peer that is gone answers with ICMP port unreachable; nothing may end of it.
func TestUDPUnreachablePeerIsHarmless(t *testing.T) {
	s, in, addr := server(t, transport.UDP, transport.Config{})
	gone := udpPeer(t, "udp4", "127.0.0.1:0")
	remote := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	f, err := s.Connect(transport.UDP, remote)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.Send(f, []byte(options(1, "")))
	}
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	peer.WriteToUDPAddrPort([]byte(options(2, "")), addr)
	in.message(t)
}

func TestUDPConnectPicksTheFamily(t *testing.T) {
	s := transport.New(transport.Config{}, newInbox())
	defer s.Close()
	if _, err := s.Connect(transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")); err == nil {
		t.Error("connected without a listener")
	}
	listen(t, s, transport.TCP)
	four := listen(t, s, transport.UDP)
	f, err := s.Connect(transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060"))
	want := transport.Flow{Protocol: transport.UDP, Listener: 1, Local: four, Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
	if err != nil || f != want {
		t.Errorf("flow %+v (%v), want %+v", f, err, want)
	}
	if _, err := s.Connect(transport.UDP, netip.MustParseAddrPort("[2001:db8::1]:5060")); err == nil {
		t.Error("an IPv4 listener serves IPv6")
	}
	if err := s.Send(transport.Flow{Protocol: transport.UDP, Remote: want.Remote}, []byte("x")); err != transport.ErrFlowGone {
		t.Errorf("sending on a TCP listener's index as UDP: %v", err)
	}
}

// With several sockets the kernel shares the sources out, and everything of one
// source still comes in order.
func TestUDPSeveralReaders(t *testing.T) {
	in := newInbox()
	s := transport.New(transport.Config{Readers: 4, Batch: 4}, in)
	addr := listen(t, s, transport.UDP)
	run(t, s)
	const peers, each = 8, 50
	for range peers {
		peer := udpPeer(t, "udp4", "127.0.0.1:0")
		for i := range each {
			if _, err := peer.WriteToUDPAddrPort([]byte(options(i, "")), addr); err != nil {
				t.Fatal(err)
			}
		}
	}
	next := map[netip.AddrPort]int{}
	for range peers * each {
		g := in.message(t)
		if want := options(next[g.flow.Remote], ""); g.text != want {
			t.Fatalf("from %v out of order: %q", g.flow.Remote, g.text)
		}
		next[g.flow.Remote]++
	}
	if _, err := net.ListenPacket("udp4", addr.String()); err == nil {
		t.Error("a stranger could bind our port")
	}
}

// What the kernel drops because we are slow is counted (trap 15).
func TestUDPReceiveDropsAreCounted(t *testing.T) {
	in := newInbox()
	s := transport.New(transport.Config{}, in)
	addr := listen(t, s, transport.UDP)
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	m := []byte(large(16000))
	for range 2000 { // 32 MB, more than any receive buffer we may get
		if _, err := peer.WriteToUDPAddrPort(m, addr); err != nil {
			t.Fatal(err)
		}
	}
	run(t, s)
	in.message(t)
	// The kernel tells with a datagram that comes after the drops.
	eventually(t, "drops are counted", func() bool {
		peer.WriteToUDPAddrPort([]byte(options(1, "")), addr)
		return s.Stats().ReceiveDrops > 0
	})
	eventually(t, "what was not dropped came", func() bool {
		st := s.Stats()
		return st.ReceiveDrops+st.DatagramsIn >= 2000
	})
}

func TestUDPListenerLost(t *testing.T) {
	s := transport.New(transport.Config{}, newInbox())
	addr := listen(t, s, transport.UDP)
	if _, err := s.Listen(transport.UDP, addr, nil); err == nil {
		t.Error("one port opened twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("a closed stack runs")
	}
	again := transport.New(transport.Config{}, newInbox())
	defer again.Close()
	if _, err := again.Listen(transport.UDP, addr, nil); err != nil {
		t.Errorf("Close kept the port: %v", err)
	}
}

// The packet path does not allocate: read, hand on, send.
func TestUDPDoesNotAllocate(t *testing.T) {
	echo := &echoer{}
	s := transport.New(transport.Config{}, echo)
	echo.stack = s
	addr := listen(t, s, transport.UDP)
	run(t, s)
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	m, buf := []byte(large(800)), make([]byte, 1<<16)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := peer.WriteToUDPAddrPort(m, addr); err != nil {
			t.Fatal(err)
		}
		if _, _, err := peer.ReadFromUDPAddrPort(buf); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a message allocates %v times", n)
	}
}

// Sending fails for a reason, and not for long.
func TestUDPSendFails(t *testing.T) {
	s, in, addr := server(t, transport.UDP, transport.Config{})
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	f, err := s.Connect(transport.UDP, peer.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	six := f
	six.Remote = netip.MustParseAddrPort("[::1]:5060")
	for what, err := range map[string]error{
		"over 64 KB": s.Send(f, make([]byte, 1<<16)), "nothing": s.Send(f, nil),
		"other family": s.Send(six, []byte("x")), "to nobody": s.Send(transport.Flow{Protocol: transport.UDP}, []byte("x")),
	} {
		if err == nil {
			t.Errorf("%s: sent", what)
		}
	}
	if n := s.Stats().SendErrors; n != 4 {
		t.Errorf("counted %d errors", n)
	}
	peer.WriteToUDPAddrPort([]byte(options(1, "")), addr)
	if err := s.Send(in.message(t).flow, []byte("fine")); err != nil {
		t.Error(err)
	}
}

func BenchmarkUDP(b *testing.B) {
	for _, size := range []int{400, 1200} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			echo := &echoer{}
			s := transport.New(transport.Config{}, echo)
			echo.stack = s
			addr, err := s.Listen(transport.UDP, netip.MustParseAddrPort("127.0.0.1:0"), nil)
			if err != nil {
				b.Fatal(err)
			}
			run(b, s)
			peer := udpPeer(b, "udp4", "127.0.0.1:0")
			peer.SetDeadline(time.Now().Add(time.Minute))
			m, buf := []byte(large(size)), make([]byte, 1<<16)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := peer.WriteToUDPAddrPort(m, addr); err != nil {
					b.Fatal(err)
				}
				if _, _, err := peer.ReadFromUDPAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An echoer sends back what it gets.
type echoer struct{ stack *transport.Stack }

func (e *echoer) Message(f transport.Flow, data []byte) { e.stack.Send(f, data) }
func (e *echoer) Closed(transport.Flow, error)          {}
