package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

// An attackLab is a relay with people who talk, a stranger, and somebody who has
// nothing to do with any of it.
type attackLab struct {
	*relayLab
	caller, callee, stranger, victim *lab.Host
	client                           *ng.Client
	parties                          int
}

var (
	strangerHost = netip.MustParseAddr("203.0.113.66")
	victimHost   = netip.MustParseAddr("203.0.113.99")
)

func newAttackLab(t *testing.T, kernel bool) *attackLab {
	t.Helper()
	l := &attackLab{relayLab: newRelayLab(t, kernel)}
	l.caller, l.callee = l.Server("caller", callerHost), l.Server("callee", calleeHost)
	l.stranger, l.victim = l.Server("stranger", strangerHost), l.Server("victim", victimHost)
	for _, h := range []*lab.Host{l.stranger, l.victim} {
		h.Watch(map[string]string{"from relay": "ip saddr {198.51.100.10, 198.51.100.11} meta l4proto udp"})
	}
	err := l.server.In(func() (err error) {
		l.client, err = ng.NewClient(relayNG, ng.ClientConfig{Failures: 1000})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// onBoth runs a test with packets in user space and in the kernel.
func onBoth(t *testing.T, test func(t *testing.T, l *attackLab)) {
	for _, kernel := range []bool{false, true} {
		t.Run(map[bool]string{false: "user space", true: "kernel"}[kernel], func(t *testing.T) { test(t, newAttackLab(t, kernel)) })
	}
}

// complete ends what two say to each other and checks that both heard all of it and
// nothing else.
func (l *attackLab) complete(t *testing.T, a, b *party) {
	t.Helper()
	a.pause()
	b.pause()
	for _, p := range [][2]*party{{a, b}, {b, a}} {
		if !eventually(2*time.Second, func() bool { n, _ := p[1].hears(p[0]); return n == p[0].sent.Load() }) {
			n, _ := p[1].hears(p[0])
			t.Errorf("%v heard %d packets of %d that %v said", p[1].at, n, p[0].sent.Load(), p[0].at)
		}
		if _, foreign := p[1].hears(p[0]); foreign > 0 {
			t.Errorf("%v heard %d packets of nobody", p[1].at, foreign)
		}
	}
}

// spared checks that nothing of the relay has come to a host.
func (l *attackLab) spared(t *testing.T, h *lab.Host) {
	t.Helper()
	if got := h.Watched()["from relay"]; got.Packets > 0 {
		t.Errorf("the relay sent %d packets of %d bytes to %v", got.Packets, got.Bytes, h)
	}
}

// heardAfter waits until b has heard so many more packets of a.
func (l *attackLab) heardAfter(t *testing.T, a, b *party, more uint64) {
	t.Helper()
	before, _ := b.hears(a)
	if !eventually(patience, func() bool { n, _ := b.hears(a); return n >= before+more }) {
		t.Fatalf("%v does not hear %v", b.at, a.at)
	}
}

// attack sends what a stranger might: sound of its own, sound that pretends to go on
// with a's and b's, reports and good-byes of RTCP, ICE, garbage and nothing at all.
func (l *attackLab) attack(stranger *party, a, b *party, times int) {
	tick := time.NewTicker(5 * time.Millisecond) // no more at once than every queue on the way takes
	defer tick.Stop()
	for n := range times {
		<-tick.C
		for _, p := range [][2]*party{{a, b}, {b, a}} {
			to := p[0].relay
			next := (&party{ssrc: p[0].ssrc}).packet(p[0].sent.Load() + 1)
			next[20] ^= 0xff // a packet of ours that none of ours has said
			for _, what := range [][]byte{stranger.packet(uint64(n)), next, bye(p[0].ssrc), report(p[0].ssrc), []byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"), []byte("garbage"), {}} {
				_, _ = stranger.conn.WriteToUDPAddrPort(what, to) // refused by the other end is fine
				_, _ = stranger.conn.WriteToUDPAddrPort(what, netip.AddrPortFrom(to.Addr(), to.Port()+1))
			}
		}
	}
}

// pretend has p go on with the stream of a from another port.
func (p *party) pretend(a *party, times int) {
	for n := range times {
		next := (&party{ssrc: a.ssrc}).packet(a.sent.Load() + uint64(n))
		next[20] ^= 0xff
		_, _ = p.conn.WriteToUDPAddrPort(next, a.relay) // it is counted where it arrives
	}
}

// repeated checks that a call's packets go by the kernel, where that is under test.
func (l *attackLab) repeated(t *testing.T, a, b *party) {
	t.Helper()
	before := l.metric("lindero_relay_packets_total", `verdict="forwarded"`)
	l.heardAfter(t, a, b, 25)
	l.heardAfter(t, b, a, 25)
	more := l.metric("lindero_relay_packets_total", `verdict="forwarded"`) - before
	if l.kernel && more > 0 || !l.kernel && more < 50 {
		t.Errorf("%v packets went by user space", more)
	}
}

func bye(ssrc uint32) []byte {
	b := rtp.AppendRR(nil, ssrc)
	return append(b, 0x81, 203, 0, 1, byte(ssrc>>24), byte(ssrc>>16), byte(ssrc>>8), byte(ssrc))
}

func report(ssrc uint32) []byte {
	return rtp.AppendSR(nil, rtp.SenderInfo{SSRC: ssrc, NTP: rtp.NTP(time.Now()), Timestamp: 1, Packets: 99999, Bytes: 99999})
}

// Strangers neither hear a call nor are heard in it: before the relay has learned
// where the phone behind the NAT is, in the window in which it may correct that, and
// when that is settled.
func TestStrangersNeitherHearNorAreHeard(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b, s := l.newParty(l.caller), l.newParty(l.callee), l.newParty(l.stranger)
		a.claim = netip.MustParseAddrPort("192.168.1.2:4000") // behind a NAT
		s.ssrc = 0xbad
		l.connect("call", a, b)
		lines := strings.Count(l.relay.Output(), "\n")
		b.talk()
		l.attack(s, a, b, 20)
		l.spared(t, l.stranger)
		if n, foreign := b.hears(a); n+foreign > 0 {
			t.Errorf("%d packets are heard before anybody has said anything", n+foreign)
		}
		early := b.sent.Load()
		a.talk()
		l.heardAfter(t, a, b, 10)
		neighbour := l.newParty(l.caller) // behind the same NAT
		l.attack(s, a, b, 20)             // within the window
		neighbour.pretend(a, 20)
		l.heardAfter(t, a, b, 200)
		l.attack(s, a, b, 20) // after it
		neighbour.pretend(a, 20)
		l.repeated(t, a, b)
		const all = 3*20*2*2*7 + 2*20
		if !eventually(patience, func() bool { return l.stat("call", "wrong source") == all }) {
			t.Errorf("%d packets of a stranger were counted, of %d", l.stat("call", "wrong source"), all)
		}
		held := uint64(l.stat("call", "held"))
		if more := strings.Count(l.relay.Output(), "\n") - lines; more > 5 {
			t.Errorf("%d lines were logged of %d packets", more, all)
		}
		// What comes from the right address and says good-bye ends nothing either.
		l.spoof(l.stranger, a.at, netip.AddrPortFrom(a.relay.Addr(), a.relay.Port()+1), bye(a.ssrc), report(a.ssrc))
		l.spoof(l.stranger, b.at, netip.AddrPortFrom(b.relay.Addr(), b.relay.Port()+1), bye(b.ssrc), report(b.ssrc))
		l.heardAfter(t, a, b, 50)
		l.heardAfter(t, b, a, 50)
		a.pause()
		b.pause()
		if held > b.sent.Load() || held < early {
			t.Errorf("%d packets were held until the phone was known, of %d before it spoke", held, early)
		}
		var got, foreign uint64
		if !eventually(2*time.Second, func() bool { got, foreign = a.hears(b); return got+held == b.sent.Load() }) || foreign > 0 {
			t.Errorf("the caller heard %d packets and %d of nobody, %d were held, of %d", got, foreign, held, b.sent.Load())
		}
		eventually(time.Second, func() bool { n, _ := b.hears(a); return n == a.sent.Load() })
		if n, foreign := b.hears(a); n != a.sent.Load() || foreign > 0 {
			t.Errorf("the callee heard %d packets of %d and %d of nobody", n, a.sent.Load(), foreign)
		}
		l.spared(t, l.stranger)
		l.spared(t, l.victim)
	})
}

// Who sends to every port there might be finds nothing, gets nothing and disturbs
// nothing.
func TestAScanOfAllPortsFindsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b, s := l.newParty(l.caller), l.newParty(l.callee), l.newParty(l.stranger)
		s.ssrc = 0xbad
		over := l.newParty(l.caller)
		l.connect("over", over, l.newParty(l.callee))
		l.do(ng.Command{Name: ng.Delete, CallID: "over", FromTag: "a"})
		l.connect("call", a, b)
		a.talk()
		b.talk()
		l.heardAfter(t, a, b, 10)
		packet := s.packet(1)
		for port := firstMedia; port <= lastMedia; port++ {
			for _, face := range []netip.Addr{relayOutside, relayInside} {
				if _, err := s.conn.WriteToUDPAddrPort(packet, netip.AddrPortFrom(face, uint16(port))); err != nil && port%100 == 0 {
					t.Logf("%d: %v", port, err) // a port that is closed says so
				}
			}
			if port%50 == 0 { // some 10,000 a second
				l.heardAfter(t, a, b, 1)
			}
		}
		if n := l.stat("call", "wrong source"); n != 4 {
			t.Errorf("%d packets of the scan met one of four live ports", n)
		}
		l.spared(t, l.stranger)
		const all = 2 * (lastMedia - firstMedia + 1)
		if l.kernel {
			if n := l.verdicts(t)["no_leg"]; n < all-8 || n > all {
				t.Errorf("the shield counted %d packets to ports without a leg, of %d", n, all)
			}
		} else if n := l.metric("lindero_relay_packets_total", `verdict="wrong_source"`); n != 4 {
			t.Errorf("%v packets from the wrong source are counted", n)
		}
		if n := l.metric("lindero_relay_packets_total", `verdict="resting"`); n > 0 == l.kernel {
			t.Errorf("%v packets to resting ports", n)
		}
		l.complete(t, a, b)
		l.spared(t, l.stranger)
	})
}

// verdicts are the shield's counters.
func (l *relayLab) verdicts(t *testing.T) map[string]uint64 {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.file("shield.sock"))
		},
	}}
	defer client.CloseIdleConnections()
	r, err := client.Get("http://guard/top")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var top struct {
		Counters []struct {
			Verdict string `json:"verdict"`
			Packets uint64 `json:"packets"`
		} `json:"counters"`
	}
	if err == nil {
		err = json.Unmarshal(text, &top)
	}
	if err != nil {
		t.Fatalf("the shield's counters: %v: %.300s", err, text)
	}
	sum := map[string]uint64{}
	for _, c := range top.Counters {
		sum[c.Verdict] += c.Packets
	}
	return sum
}

// An SDP names somebody who never sends. Nothing goes there, however much comes
// from the other side, unless whoever signals says that it is to be believed.
func TestNothingIsSentToWhomAnSDPNames(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		for n, address := range []string{
			"203.0.113.99", "10.0.0.7", "192.168.1.2", "127.0.0.1", "127.9.9.9", "224.0.0.1", "239.255.0.1", "255.255.255.255",
			"0.0.0.0", "0.1.2.3", "169.254.1.1", "198.51.100.10", "198.51.100.11",
		} {
			a, b := l.newParty(l.caller), l.newParty(l.callee)
			a.claim = netip.AddrPortFrom(netip.MustParseAddr(address), 4000)
			id := fmt.Sprint("named-", n)
			l.connect(id, a, b)
			b.relay = netip.AddrPortFrom(relayInside, b.relay.Port()) // what is on hold has no address
			for range 30 {
				b.say()
			}
			if !eventually(patience, func() bool { return l.stat(id, "held") == 30 }) {
				t.Errorf("%s: %d packets of 30 are held", address, l.stat(id, "held"))
			}
			// What is sent in its name from a port that no signalling named proves nothing.
			if address == victimHost.String() {
				l.spoof(l.stranger, netip.AddrPortFrom(victimHost, 4001), a.relay, a.packet(1), a.packet(2))
				b.say()
			}
			// Asked to believe it, the relay still sends nothing where nobody can be.
			if n > 0 {
				l.connect(id, a, b, ng.FlagTrustAddress)
			}
			b.say()
		}
		l.spared(t, l.victim)
		l.spared(t, l.stranger)
	})
}

// The other way round: what is counted above would be seen.
func TestWhomSignallingVouchesForIsSentTo(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b := l.newParty(l.caller), l.newParty(l.callee)
		a.claim = netip.AddrPortFrom(victimHost, 4000)
		l.connect("call", a, b, ng.FlagTrustAddress)
		for range 30 {
			b.say()
		}
		if !eventually(patience, func() bool { return l.victim.Watched()["from relay"].Packets == 30 }) {
			t.Errorf("%+v came of 30 packets", l.victim.Watched()["from relay"])
		}
	})
}

// Datagrams longer than any sound, whole and in fragments, harm nobody.
func TestOversizeAndFragments(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b, s := l.newParty(l.caller), l.newParty(l.callee), l.newParty(l.stranger)
		l.connect("call", a, b)
		a.talk()
		b.talk()
		l.heardAfter(t, a, b, 20)
		for _, size := range []int{1472, 1473, 2048, 2049, 9000, 65507} {
			long := append(a.packet(0), bytes.Repeat([]byte{7}, size)...)[:size]
			for range 10 {
				_, _ = s.conn.WriteToUDPAddrPort(long, a.relay) // whether it leaves is not the question
			}
		}
		l.heardAfter(t, a, b, 50)
		// From the right place, too: what is longer than a packet of sound is lost, alone.
		extra := l.newParty(l.caller)
		long := append(extra.packet(0), make([]byte, 3000)...)
		before := l.metric("lindero_relay_packets_total", `verdict="oversize"`)
		for range 10 {
			if _, err := a.conn.WriteToUDPAddrPort(long, a.relay); err != nil {
				t.Fatal(err)
			}
		}
		if !eventually(patience, func() bool { return l.metric("lindero_relay_packets_total", `verdict="oversize"`) == before+10 }) {
			t.Errorf("%v packets of 10 were too long", l.metric("lindero_relay_packets_total", `verdict="oversize"`)-before)
		}
		l.complete(t, a, b)
		l.spared(t, l.stranger)
	})
}
