package call_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/ports"
	"github.com/lindero/lindero/wire/sdp"
)

const natted = "203.0.113.9"

func body(host string, port int) []byte {
	return fmt.Appendf(nil, "v=0\nc=IN IP4 %s\nm=audio %d RTP/AVP 0\n", host, port)
}

// offer is a phone outside calling; answer somebody inside taking the call.
func offer(host string, received string) call.Message {
	m := call.Message{CallID: "c", FromTag: "a", SDP: body(host, 4000), Direction: [2]string{"external", "internal"}}
	if received != "" {
		m.ReceivedFrom = netip.MustParseAddr(received)
	}
	return m
}

func answer() call.Message {
	return call.Message{CallID: "c", FromTag: "a", ToTag: "b", SDP: body("10.2.0.9", 5000), Direction: [2]string{"internal", "external"}}
}

// A lab is a registry on a fake clock.
type lab struct {
	t *testing.T
	*call.Registry
	table         *table
	inner         *ports.Pool    // of the inside
	atOut, atIn   netip.AddrPort // our RTP ports towards the phone outside, and inside
	atOut2, atIn2 netip.AddrPort // their RTCP ports
}

func newLab(t *testing.T, change ...func(*call.Config)) *lab {
	b := newTable()
	r, inner := newRegistry(t, b, change...)
	return &lab{t: t, Registry: r, table: b, inner: inner}
}

func (l *lab) offer(m call.Message) {
	l.t.Helper()
	l.atIn, l.atIn2 = l.must(l.Offer(m))("10.2.0.1")
}

func (l *lab) answer(m call.Message) {
	l.t.Helper()
	l.atOut, l.atOut2 = l.must(l.Answer(m))("10.1.0.1")
}

// must takes the port out of an SDP; the address is the one behind it.
func (l *lab) must(text []byte, err error) func(bind string) (rtp, rtcp netip.AddrPort) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	s, err := sdp.Parse(text)
	if err != nil {
		l.t.Fatal(err)
	}
	port := s.Media[0].Port
	return func(bind string) (rtp, rtcp netip.AddrPort) {
		addr := netip.MustParseAddr(bind)
		return netip.AddrPortFrom(addr, port), netip.AddrPortFrom(addr, port+1)
	}
}

func (l *lab) live() int {
	n, _, _ := l.Counts()
	return n
}

func addrPort(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

// leg checks what the table was told of the leg at local.
func (l *lab) leg(what string, local netip.AddrPort, from, to string) {
	l.t.Helper()
	got := l.table.leg(local)
	if got.From != addrPort(from) || got.To != addrPort(to) {
		l.t.Errorf("%s: from %v to %v, want from %q to %q", what, got.From, got.To, from, to)
	}
}

func bubble(t *testing.T, test func(t *testing.T, l *lab)) {
	synctest.Test(t, func(t *testing.T) { test(t, newLab(t)) })
}

func (l *lab) after(d time.Duration) {
	<-time.After(d) // on the bubble's clock
	l.Sweep(time.Now())
}
