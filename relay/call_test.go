package relay_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

const outside, inside, behindNAT = "127.0.1.1", "127.0.2.1", "127.0.1.9"

func TestTwoPhonesTalk(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	if a.peer.Addr() != netip.MustParseAddr("127.0.0.2") || b.peer.Addr() != netip.MustParseAddr("127.0.0.3") {
		t.Errorf("a sends to %v and b to %v", a.peer, b.peer)
	}
	talk(a, b, 50)
	report := rtp.AppendRR(nil, 7)
	if _, err := a.rtcp.WriteToUDPAddrPort(report, a.peerRTCP); err != nil {
		t.Fatal(err)
	}
	if got, from := read(t, b.rtcp, 5*time.Second); string(got) != string(report) || from != b.peerRTCP {
		t.Errorf("RTCP %x from %v", got, from)
	}
	for _, tag := range []string{"a", "b"} {
		s := g.stats(tag, 0)
		if s.Int("packets") != 50 || s.Int("bytes") != 50*172 || s.Int("lost") != 0 || s.Int("wrong source") != 0 || s.Int("held") != 0 {
			t.Errorf("%s: %v", tag, s)
		}
	}
	if n := g.stats("a", 1).Int("packets"); n != 1 {
		t.Errorf("%d RTCP packets", n)
	}
	list := g.do(ng.Command{Name: ng.List}, ng.ResultOK).More.Texts(ng.KeyCalls)
	if len(list) != 1 || list[0] != "call" {
		t.Errorf("live calls %v", list)
	}
	totals := g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK).More.Dict(ng.KeyTotals).Dict("RTP")
	if totals.Int("packets") != 100 {
		t.Errorf("totals %v", totals)
	}
	a.send()
	b.silent()
	g.do(ng.Command{Name: ng.Query, CallID: "call"}, ng.ResultError)
}

// The SDP of a phone behind a NAT names an address nobody can reach. Nothing is
// sent there; the first packet from where its signalling came from tells.
func TestPhoneBehindNAT(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, behindNAT), newPhone(t, inside)
	a.claims = netip.MustParseAddr(outside) // somebody else's address, with a socket that must stay silent
	victim, err := net4(t, outside, addr(a.rtp).Port())
	if err != nil {
		t.Skip(err)
	}
	g.connect(a, b, behindNAT)
	b.send()
	g.until("b", "held", 1)
	a.silent()
	if got, _ := read(t, victim, 20*time.Millisecond); got != nil {
		t.Errorf("a packet went to an address that never proved itself: %x", got)
	}
	b.wants(a.send())
	talk(a, b, 5)

	// Another port of the same NAT comes too late.
	neighbour := listen(t, behindNAT)
	a.sendFrom(neighbour, a.packet())
	b.wants(a.send())
	g.until("a", "wrong source", 1)
	a.wants(b.send())
}

func TestStrangersAreNeverHeard(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	b.hear(g.do(offer(a, outside), ng.ResultOK).SDP)
	stranger := listen(t, "127.0.3.1")
	spray := func(ports ...netip.AddrPort) {
		t.Helper()
		for _, to := range ports {
			for _, packet := range [][]byte{a.packet(), []byte("x"), rtp.AppendRR(nil, 1)} {
				if _, err := stranger.WriteToUDPAddrPort(packet, to); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	spray(b.peer, b.peerRTCP) // before the answer
	a.hear(g.do(answer(b), ng.ResultOK).SDP)
	spray(a.peer, b.peer, a.peerRTCP, b.peerRTCP) // before anybody spoke
	g.until("a", "wrong source", 3)
	g.until("b", "wrong source", 6)
	a.sequence, b.sequence = 0, 0
	talk(a, b, 5)
	spray(a.peer, b.peer, a.peerRTCP, b.peerRTCP) // in the middle
	g.until("a", "wrong source", 6)
	talk(a, b, 5)
	if n := g.stats("a", 0).Int("packets"); n != 10 {
		t.Errorf("%d packets of 10", n)
	}
	if got, _ := read(t, stranger, 20*time.Millisecond); got != nil {
		t.Errorf("the stranger got %x", got)
	}
}

func TestReofferOfTheSameKeepsWhatWasLearned(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, behindNAT), newPhone(t, inside)
	a.claims = netip.MustParseAddr("192.0.2.77")
	g.connect(a, b, behindNAT)
	b.wants(a.send())
	talk(a, b, 3)
	before := a.peer

	for _, again := range []ng.Command{offer(a, behindNAT), func() ng.Command { // a itself, and b asking back
		c := answer(b)
		c.Name, c.FromTag, c.ToTag = ng.Offer, "b", "a"
		return c
	}()} {
		g.do(again, ng.ResultOK)
	}
	back := offer(a, behindNAT)
	back.Name, back.FromTag, back.ToTag = ng.Answer, "b", "a"
	b.hear(g.do(back, ng.ResultOK).SDP)
	a.hear(g.do(answer(b), ng.ResultOK).SDP)
	if a.peer != before {
		t.Errorf("the port changed from %v to %v", before, a.peer)
	}
	a.wants(b.send()) // without waiting for a
	talk(a, b, 3)
}

// A re-offer that names another address hands the stream over: the old source is
// a stranger from then on, the new one is learned.
func TestReofferWithAnotherAddressHandsOver(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 3)
	moved := newPhone(t, "127.0.1.2")
	moved.sequence = a.sequence
	g.do(offer(moved, "127.0.1.2"), ng.ResultOK)
	moved.hear(g.do(answer(b), ng.ResultOK).SDP)
	if moved.peer != a.peer {
		t.Errorf("the port changed from %v to %v", a.peer, moved.peer)
	}
	a.send()
	g.until("a", "wrong source", 1)
	talk(moved, b, 3)
	a.silent()
}

func TestHold(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, behindNAT), newPhone(t, inside)
	a.claims = netip.MustParseAddr("192.0.2.77")
	g.connect(a, b, behindNAT)
	b.wants(a.send())
	talk(a, b, 3)

	held := offer(a, behindNAT)
	held.SDP = []byte("v=0\r\no=- 1 2 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n")
	got := string(g.do(held, ng.ResultOK).SDP)
	want := "v=0\r\no=- 1 2 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio " + port(b.peer) + " RTP/AVP 0\r\na=sendonly\r\n"
	if got != want {
		t.Errorf("held: %q, want %q", got, want)
	}
	b.send()
	g.until("b", "held", 1)
	b.wants(a.send()) // music on hold

	g.do(offer(a, behindNAT), ng.ResultOK)
	a.wants(b.send()) // what was learned is still known
}

// A fork that answers after another has the ports from then on.
func TestForkThatWinsIsRepointed(t *testing.T) {
	g := newRig(t)
	a, first, second := newPhone(t, outside), newPhone(t, inside), newPhone(t, "127.0.2.2")
	sdp := g.do(offer(a, outside), ng.ResultOK).SDP
	first.hear(sdp)
	second.hear(sdp)
	a.hear(g.do(answer(first), ng.ResultOK).SDP)
	talk(a, first, 2)
	won := answer(second)
	won.ToTag = "c"
	before := a.peer
	a.hear(g.do(won, ng.ResultOK).SDP)
	if a.peer != before {
		t.Errorf("the caller's port changed from %v to %v", before, a.peer)
	}
	first.send()
	g.until("c", "wrong source", 1)
	second.sequence = first.sequence
	talk(a, second, 2)
	first.silent()

	lost := g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)
	if lost.Warning == "" {
		t.Error("the fork that lost took the call along")
	}
	talk(a, second, 2)
	g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "c"}, ng.ResultOK)
	g.do(ng.Command{Name: ng.Query, CallID: "call"}, ng.ResultError)
}

// Both sides of a call are anchored, often at one relay: audio goes through two
// calls, whose inner sides are each other's peers.
func TestTwoAnchorsOnOneRelay(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, "127.0.1.2")
	first := offer(a, outside)
	second := first
	second.CallID, second.Direction, second.ReceivedFrom = "other", [2]string{"internal", "external"}, netip.Addr{}
	second.SDP = g.do(first, ng.ResultOK).SDP
	b.hear(g.do(second, ng.ResultOK).SDP)

	reply := offer(b, "127.0.1.2")
	reply.Name, reply.CallID, reply.ToTag = ng.Answer, "other", "b"
	inner := g.do(reply, ng.ResultOK).SDP
	reply = answer(b)
	reply.SDP = inner
	a.hear(g.do(reply, ng.ResultOK).SDP)
	talk(a, b, 20)
}

func TestMaxCalls(t *testing.T) {
	g := newRig(t, func(c *relay.Config) { c.MaxCalls = 1 })
	a := newPhone(t, outside)
	g.do(offer(a, outside), ng.ResultOK)
	second := offer(a, outside)
	second.CallID = "second"
	if r := g.do(second, ng.ResultLoadLimit); r.ErrorReason != "too many calls: 1, and the limit is 1" {
		t.Errorf("%q", r.ErrorReason)
	}
	g.do(offer(a, outside), ng.ResultOK) // the first one may go on
	g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
	g.do(second, ng.ResultOK)
}

func TestPortsRestAfterTheCall(t *testing.T) {
	g := newRig(t, func(c *relay.Config) {
		c.MediaPorts = relay.PortRange{Low: 31000, High: 31003}
		c.PortRest = relay.Duration(time.Second)
	})
	a := newPhone(t, outside)
	g.connect(a, newPhone(t, inside), outside)
	second := offer(a, outside)
	second.CallID = "second"
	g.do(second, ng.ResultOK) // two pairs on each interface
	third := offer(a, outside)
	third.CallID = "third"
	g.do(third, ng.ResultLoadLimit)
	g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
	begun := time.Now()
	g.do(third, ng.ResultLoadLimit)
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for g.try(third).Result != ng.ResultOK {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the ports never came back")
		}
	}
	if rested := time.Since(begun); rested < time.Second {
		t.Errorf("lent again after %v", rested)
	}
}
