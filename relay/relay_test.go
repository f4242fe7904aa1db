package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
	"github.com/lindero/lindero/wire/sdp"
)

// A rig is a running relay and a client that speaks NG to it over UDP.
type rig struct {
	t      *testing.T
	relay  *relay.Relay
	client *ng.Client
	reg    *prometheus.Registry
}

func newRig(t *testing.T, change ...func(*relay.Config)) *rig {
	t.Helper()
	return newRigWith(t, nil, change...)
}

func newRigWith(t *testing.T, options []relay.Option, change ...func(*relay.Config)) *rig {
	t.Helper()
	cfg := relay.DefaultConfig()
	cfg.NG = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.External.Bind = netip.MustParseAddr("127.0.0.2")
	cfg.Internal.Bind = netip.MustParseAddr("127.0.0.3")
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, reg: prometheus.NewRegistry()}
	var err error
	if g.relay, err = relay.New(cfg, slog.New(slog.DiscardHandler), g.reg, options...); err != nil {
		t.Fatal(err)
	}
	if g.client, err = ng.NewClient(g.relay.Addresses().NG, ng.ClientConfig{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- g.relay.Run(ctx) }()
	go func() { ended <- g.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return g
}

// do runs one command; want is the result it must have.
func (g *rig) do(c ng.Command, want string) ng.Reply {
	g.t.Helper()
	replies := make(chan ng.Reply, 1)
	failed := make(chan error, 1)
	g.client.Do(c, func(r ng.Reply, err error) {
		if err != nil {
			failed <- err
			return
		}
		replies <- r
	})
	select {
	case r := <-replies:
		if r.Result != want {
			g.t.Fatalf("%s: %s %q, want %s", c.Name, r.Result, r.ErrorReason, want)
		}
		return r
	case err := <-failed:
		g.t.Fatalf("%s: %v", c.Name, err)
	}
	return ng.Reply{}
}

// A phone is a party: two sockets and the SDP that names them.
type phone struct {
	t         *testing.T
	rtp, rtcp *net.UDPConn
	claims    netip.Addr // what its SDP says; its own address unless behind a NAT
	peer      netip.AddrPort
	peerRTCP  netip.AddrPort
	sequence  uint16
	ssrc      uint32
	ntp       uint64 // of its last report
}

func newPhone(t *testing.T, host string) *phone {
	t.Helper()
	return &phone{t: t, rtp: listen(t, host), rtcp: listen(t, host), claims: netip.MustParseAddr(host), ssrc: 7}
}

func listen(t *testing.T, host string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *phone) sdp(attrs ...string) []byte {
	lines := []string{"v=0", fmt.Sprintf("o=- 1 1 IN IP4 %v", p.claims), "s=-", fmt.Sprintf("c=IN IP4 %v", p.claims), "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP 0 101", addr(p.rtp).Port()), fmt.Sprintf("a=rtcp:%d", addr(p.rtcp).Port())}
	return []byte(strings.Join(append(lines, attrs...), "\r\n") + "\r\n")
}

// hear takes the relay's address from an SDP.
func (p *phone) hear(b []byte) {
	p.t.Helper()
	s, err := sdp.Parse(b)
	if err != nil {
		p.t.Fatalf("%v in %s", err, b)
	}
	p.peer = netip.AddrPortFrom(s.Media[0].Address().Addr, s.Media[0].Port)
	p.peerRTCP = s.Media[0].RTCPAddr()
}

func (p *phone) packet() []byte {
	p.sequence++
	h := rtp.Header{Sequence: p.sequence, Timestamp: uint32(p.sequence) * 160, SSRC: p.ssrc}
	return append(h.Append(nil), make([]byte, 160)...)
}

// send sends one packet and returns it.
func (p *phone) send() []byte {
	p.t.Helper()
	b := p.packet()
	p.sendFrom(p.rtp, b)
	return b
}

func (p *phone) sendFrom(c *net.UDPConn, b []byte) {
	p.t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, p.peer); err != nil {
		p.t.Fatal(err)
	}
}

// wants waits for exactly this packet from where the phone sends to.
func (p *phone) wants(b []byte) {
	p.t.Helper()
	got, from := read(p.t, p.rtp, 5*time.Second)
	if string(got) != string(b) || from != p.peer {
		p.t.Fatalf("got %x from %v, want %x from %v", got, from, b, p.peer)
	}
}

// silent says when something came, which by now would be there.
func (p *phone) silent() {
	p.t.Helper()
	if b, from := read(p.t, p.rtp, 20*time.Millisecond); b != nil {
		p.t.Errorf("got %x from %v", b, from)
	}
}

func read(t *testing.T, c *net.UDPConn, d time.Duration) ([]byte, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil, netip.AddrPort{}
	}
	return b[:n], from
}

// talk sends both ways, n packets each, and each must arrive at the other.
func talk(a, b *phone, n int) {
	a.t.Helper()
	for range n {
		b.wants(a.send())
		a.wants(b.send())
	}
}

// offer and answer are the commands an edge sends for a phone outside (from is
// where its signalling comes from) calling inward.
func offer(p *phone, from string) ng.Command {
	c := ng.Command{
		Name: ng.Offer, CallID: "call", FromTag: "a", SDP: p.sdp(), Direction: [2]string{"external", "internal"},
		Replace: []string{ng.ReplaceOrigin, ng.ReplaceSession}, ICE: ng.ICERemove,
	}
	if from != "" {
		c.ReceivedFrom = netip.MustParseAddr(from)
	}
	return c
}

func answer(p *phone) ng.Command {
	c := offer(p, "")
	c.Name, c.ToTag, c.Direction = ng.Answer, "b", [2]string{"internal", "external"}
	return c
}

// connect sets a call up between a, outside, and b, inside.
func (g *rig) connect(a, b *phone, from string) {
	g.t.Helper()
	b.hear(g.do(offer(a, from), ng.ResultOK).SDP)
	a.hear(g.do(answer(b), ng.ResultOK).SDP)
}

// stats are the counters of a tag's first stream, RTP or RTCP.
func (g *rig) stats(tag string, rtcp int) ng.Dict {
	g.t.Helper()
	more := g.do(ng.Command{Name: ng.Query, CallID: "call"}, ng.ResultOK).More
	medias := more.Dict(ng.KeyTags).Dict(tag).List("medias")
	if len(medias) == 0 {
		g.t.Fatalf("no media of %q in %v", tag, more)
	}
	return medias[0].(ng.Dict).List("streams")[rtcp].(ng.Dict).Dict("stats")
}

// until polls a counter of a tag's RTP until it is n.
func (g *rig) until(tag, counter string, n int64) {
	g.t.Helper()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for g.stats(tag, 0).Int(counter) != n {
		select {
		case <-tick.C:
		case <-deadline:
			g.t.Fatalf("%s of %s never %d: %v", counter, tag, n, g.stats(tag, 0))
		}
	}
}

// try runs one command, whatever comes of it.
func (g *rig) try(c ng.Command) ng.Reply {
	g.t.Helper()
	replies := make(chan ng.Reply, 1)
	g.client.Do(c, func(r ng.Reply, err error) {
		if err != nil {
			r.ErrorReason = err.Error()
		}
		replies <- r
	})
	return <-replies
}

func net4(t *testing.T, host string, port uint16) (*net.UDPConn, error) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host), Port: int(port)})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func port(a netip.AddrPort) string { return fmt.Sprint(a.Port()) }
