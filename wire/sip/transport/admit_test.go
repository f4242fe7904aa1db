package transport_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// gate is a Config.Admit that can be closed and counts who came.
type gate struct {
	shut  atomic.Bool
	asked atomic.Uint64
}

func (g *gate) admit(_ netip.AddrPort, _ transport.Protocol) bool {
	g.asked.Add(1)
	return !g.shut.Load()
}

// Whoever is not admitted gets no answer and reaches nobody, whatever it sends;
// it is counted once for each datagram.
func TestDatagramsOfWhoIsNotAdmittedAreDropped(t *testing.T) {
	g := &gate{}
	g.shut.Store(true)
	s, in, addr := server(t, transport.UDP, transport.Config{Admit: g.admit})
	peer := udpPeer(t, "udp4", "127.0.0.1:0")
	send := func(m string) {
		t.Helper()
		if _, err := peer.WriteToUDPAddrPort([]byte(m), addr); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []string{options(1, ""), "\r\n\r\n", "rubbish"} {
		send(m)
	}
	eventually(t, "three datagrams are refused", func() bool { return s.Stats().Denied == 3 })
	g.shut.Store(false)
	send(options(2, ""))
	if m := in.message(t); m.text != options(2, "") {
		t.Errorf("got %.60q", m.text)
	}
	in.quiet(t)
	if st := s.Stats(); st.Denied != 3 || st.KeepAlives != 0 || st.Tiny != 0 || st.DatagramsIn != 1 || g.asked.Load() != 4 {
		t.Errorf("asked %d times, counted %+v", g.asked.Load(), st)
	}
}

func TestConnectionsOfWhoIsNotAdmittedAreClosed(t *testing.T) {
	g := &gate{}
	g.shut.Store(true)
	s, in, addr := server(t, transport.TCP, transport.Config{Admit: g.admit})
	if c, err := net.DialTimeout("tcp", addr.String(), patience); err == nil { // else it was closed at once
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		if text := expectEnd(t, c); text != "" {
			t.Errorf("a refused connection read %q", text)
		}
	}
	eventually(t, "it is counted", func() bool { return s.Stats().Denied == 1 })
	g.shut.Store(false)
	c := dial(t, addr)
	write(t, c, options(1, ""))
	in.message(t)
	g.shut.Store(true) // who is in stays in: only new connections are asked about
	write(t, c, options(2, ""))
	in.message(t)
	if st := s.Stats(); st.Denied != 1 || st.Accepted != 1 || g.asked.Load() != 2 {
		t.Errorf("asked %d times, counted %+v", g.asked.Load(), st)
	}
}

func TestAConnectionThatMayNotGoOnEnds(t *testing.T) {
	g := &gate{}
	s, in, addr := server(t, transport.TCP, transport.Config{Holds: g.admit})
	c := dial(t, addr)
	write(t, c, options(1, ""))
	in.message(t)
	g.shut.Store(true)
	write(t, c, "\r\n\r\n") // not even a ping is answered
	if text := expectEnd(t, c); text != "" {
		t.Errorf("read %q", text)
	}
	if end := in.end(t); !errors.Is(end.err, transport.ErrDenied) {
		t.Errorf("it ended for %v", end.err)
	}
	if n := s.Stats().Denied; n != 1 {
		t.Errorf("%d were counted", n)
	}
}
