package edge_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// often makes keep-alives as frequent as a configuration may.
func often(_ *lab, c *edge.Config) {
	c.KeepAlive = edge.KeepAlive{UDP: edge.Duration(time.Second), Stream: edge.Duration(time.Second)}
}

// homeless is a phone that believes to be somewhere else than its datagrams come
// from.
func (l *lab) homeless(name string) *wire {
	c := l.udp(name, "127.0.0.1")
	c.me = netip.MustParseAddrPort("192.168.1.10:5060")
	return c
}

func (l *lab) flows() float64 { l.Helper(); return l.metric("lindero_edge_live", "flows") }

// A registered phone behind NAT gets an OPTIONS again and again; its answers end
// at the edge. One that is not behind NAT is left alone.
func TestKeepAliveOverUDP(t *testing.T) {
	t.Parallel()
	l := setup(t, often)
	open := l.udp("phone with an address", "127.0.0.1")
	l.register(open, "101")
	nat := l.homeless("phone behind NAT")
	l.register(nat, "102")
	l.eventually("one flow is kept", func() bool { return l.flows() == 1 })
	first := nat.expect("OPTIONS")
	first.wants(l, "Via: SIP/2.0/UDP "+l.addr.UDP.String()+";branch=z9hG4bK", "Max-Forwards: 70\r\n", "Content-Length: 0\r\n")
	nat.answer(first, 404, "phone", "") // any answer will do
	second := nat.expect("OPTIONS")
	if first.get(sip.Via) == second.get(sip.Via) {
		t.Error("two keep-alives share a branch")
	}
	l.eventually("the answer is counted", func() bool { return l.metric("lindero_edge_events_total", "keepalive_answered") == 1 })
	l.silent("core", l.core.in)
	if len(open.in) > 0 {
		t.Errorf("the other phone got\n%s", (<-open.in).Raw)
	}
	for range 3 {
		nat.expect("OPTIONS") // unanswered
	}
	l.eventually("silence is counted", func() bool { return l.metric("lindero_edge_events_total", "flow_silent") == 1 })
	l.register(nat, "102") // as another request of the same phone
	// Unregistering ends it.
	nat.send(l.request("REGISTER", "sip:demo.lindero.test", "Contact: <sip:102@$me>;expires=0", "To: <sip:102@demo.lindero.test>"))
	m := l.core.expect("REGISTER")
	m.conn.answer(m, 200, "core", "")
	l.eventually("the flow is forgotten", func() bool { return l.flows() == 0 })
}

func TestKeepAliveOnStreams(t *testing.T) {
	t.Parallel()
	l := setup(t, often)
	b := l.tcp("phone over TCP", nil)
	l.register(b, "102")
	l.eventually("one flow is kept", func() bool { return l.flows() == 1 })
	l.eventually("the phone was pinged, and its pong heard", func() bool {
		return l.metric("lindero_edge_transport_total", "outside", "pongs_in") >= 1
	})
	b.write([]byte("\r\n\r\n")) // the other direction
	l.eventually("its own ping was answered", func() bool {
		return l.metric("lindero_edge_transport_total", "outside", "pings_in") >= 1
	})
	b.close()
	l.eventually("the flow is forgotten with its connection", func() bool { return l.flows() == 0 })
}

func TestKeepAliveOff(t *testing.T) {
	t.Parallel()
	l := setup(t, func(l *lab, c *edge.Config) { often(l, c); c.KeepAlive.Off = true })
	nat := l.homeless("phone behind NAT")
	l.register(nat, "102")
	select {
	case m := <-nat.in:
		t.Errorf("the phone got\n%s", m.Raw)
	case <-time.After(1500 * time.Millisecond):
	}
}

// A restart forgets no phone over UDP: what is kept alive is written down.
func TestKeepAliveSurvivesARestart(t *testing.T) {
	l := setup(t, often)
	nat := l.homeless("phone behind NAT")
	l.register(nat, "102")
	l.eventually("one flow is kept", func() bool { return l.flows() == 1 })
	l.stop()
	name := strings.TrimSuffix(l.cfg.KeyFile, ".key") + ".flows"
	b, err := os.ReadFile(name)
	if err != nil || strings.Count(string(b), "\n") != 1 {
		t.Fatalf("state file: %q, %v", b, err)
	}
	expired := fmt.Sprintf("0 192.0.2.9:5060 %d\nrubbish\n7 192.0.2.9:5060 99999999999\n1 192.0.2.9:5060 99999999999\n", time.Now().Unix()-1)
	if err := os.WriteFile(name, append(b, expired...), 0o600); err != nil {
		t.Fatal(err)
	}
	l.cfg.SIP, l.cfg.Inside = l.addr.UDP, l.addr.Inside
	l.start()
	nat.answer(nat.expect("OPTIONS"), 200, "phone", "")
	if n := l.flows(); n != 1 {
		t.Errorf("%v flows were read, want 1", n)
	}
}
