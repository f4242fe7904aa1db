package relay_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

func (p *phone) sendRTCP(b []byte) {
	p.t.Helper()
	if _, err := p.rtcp.WriteToUDPAddrPort(b, p.peerRTCP); err != nil {
		p.t.Fatal(err)
	}
}

// One side has RTP and RTCP on one port, the other apart; RTCP finds its way both ways.
func TestOnePortOnOneSide(t *testing.T) {
	report := rtp.AppendRR(nil, 7)
	for name, c := range map[string]struct {
		offer, answer []string // attributes
		mux           string
		a, b          bool // has one port
	}{
		"taken from the caller only": {offer: []string{"a=rtcp-mux"}, mux: ng.MuxDemux, a: true},
		"offered to the callee only": {answer: []string{"a=rtcp-mux"}, mux: ng.MuxOffer, b: true},
		"both":                       {offer: []string{"a=rtcp-mux"}, answer: []string{"a=rtcp-mux"}, a: true, b: true},
		"refused by the callee":      {offer: []string{"a=rtcp-mux"}},
		"required of the callee":     {answer: []string{"a=rtcp-mux"}, mux: ng.MuxRequire, b: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			a, b := newPhone(t, outside), newPhone(t, inside)
			first, second := offer(a, outside), answer(b)
			first.SDP, second.SDP = a.sdp(c.offer...), b.sdp(c.answer...)
			if c.mux != "" {
				first.Mux = []string{c.mux}
			}
			b.hear(g.do(first, ng.ResultOK).SDP)
			a.hear(g.do(second, ng.ResultOK).SDP)
			talk(a, b, 3)
			for _, way := range []struct {
				from, to       *phone
				fromOne, toOne bool
			}{{a, b, c.a, c.b}, {b, a, c.b, c.a}} {
				if way.fromOne != (way.from.peer == way.from.peerRTCP) && !(c.mux == ng.MuxRequire || way.fromOne) {
					t.Errorf("RTP to %v and RTCP to %v", way.from.peer, way.from.peerRTCP)
				}
				if way.fromOne {
					way.from.sendFrom(way.from.rtp, report)
				} else {
					way.from.sendRTCP(report)
				}
				conn, from := way.to.rtcp, way.to.peerRTCP
				if way.toOne {
					conn, from = way.to.rtp, way.to.peer
				}
				if got, at := read(t, conn, 5*time.Second); string(got) != string(report) || at != from {
					t.Errorf("RTCP %x from %v, want it from %v", got, at, from)
				}
			}
			talk(a, b, 3)
		})
	}
}

// A party that is asymmetric sends from another port than it receives at.
func TestAsymmetric(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	first := offer(a, outside)
	first.Flags = []string{ng.FlagAsymmetric}
	b.hear(g.do(first, ng.ResultOK).SDP)
	a.hear(g.do(answer(b), ng.ResultOK).SDP)
	elsewhere := listen(t, outside)
	for range 3 {
		packet := a.packet()
		a.sendFrom(elsewhere, packet)
		b.wants(packet)
		a.wants(b.send()) // still where its SDP says
	}
	stranger := listen(t, "127.0.3.1")
	a.sendFrom(stranger, a.packet())
	g.until("a", "wrong source", 1)
	if got, _ := read(t, elsewhere, 20*time.Millisecond); got != nil {
		t.Errorf("%x was sent to where it sends from", got)
	}
}

// A source may move to another port when that was asked for, with the same SSRC;
// somebody else may not, and not to another address.
func TestMediaHandover(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprint("asked ", asked), func(t *testing.T) {
			g := newRig(t, func(c *relay.Config) { c.LatchWindow = relay.Duration(time.Millisecond) })
			a, b := newPhone(t, outside), newPhone(t, inside)
			first := offer(a, outside)
			if asked {
				first.Flags = []string{ng.FlagMediaHandover}
			}
			b.hear(g.do(first, ng.ResultOK).SDP)
			a.hear(g.do(answer(b), ng.ResultOK).SDP)
			talk(a, b, 3)
			thief, stranger, moved := listen(t, outside), listen(t, "127.0.3.1"), listen(t, outside)
			other := rtp.Header{Sequence: 9, SSRC: 8}.Append(nil)
			a.sendFrom(thief, other)         // the same NAT, another SSRC
			a.sendFrom(stranger, a.packet()) // another address
			g.until("a", "wrong source", 2)
			packet := a.packet()
			a.sendFrom(moved, packet)
			if !asked {
				g.until("a", "wrong source", 3)
				b.silent()
				a.wants(b.send())
				return
			}
			b.wants(packet)
			back := b.send()
			if got, from := read(t, moved, 5*time.Second); string(got) != string(back) || from != a.peer {
				t.Errorf("%x from %v", got, from)
			}
			a.silent()
		})
	}
}

func TestBlockAndSilence(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 3)
	run := func(name string, change ...func(c *ng.Command)) {
		t.Helper()
		c := ng.Command{Name: name, CallID: "call", FromTag: "a"}
		for _, f := range change {
			f(&c)
		}
		g.do(c, ng.ResultOK)
	}
	run(ng.BlockMedia)
	a.send()
	g.until("a", "blocked", 1)
	b.silent()
	a.wants(b.send()) // the other way goes on
	report := rtp.AppendRR(nil, 7)
	a.sendRTCP(report)
	if got, _ := read(t, b.rtcp, 5*time.Second); string(got) != string(report) {
		t.Errorf("RTCP of who is blocked: %x", got)
	}
	run(ng.UnblockMedia)
	talk(a, b, 3)

	run(ng.SilenceMedia)
	want := a.send() // its payload is zeros, which is loud in PCMU
	for i := rtp.HeaderSize; i < len(want); i++ {
		want[i] = rtp.SilencePCMU
	}
	b.wants(want)
	run(ng.UnsilenceMedia, func(c *ng.Command) { c.FromTag, c.Address = "", netip.MustParseAddr(outside) })
	talk(a, b, 3)

	run(ng.BlockMedia, func(c *ng.Command) { c.FromTag, c.All = "", ng.AllParties })
	a.send()
	b.send()
	g.until("a", "blocked", 2)
	g.until("b", "blocked", 1)
	// A re-offer changes nothing of that.
	g.do(offer(a, outside), ng.ResultOK)
	g.do(answer(b), ng.ResultOK)
	a.send()
	g.until("a", "blocked", 3)
	run(ng.UnblockMedia, func(c *ng.Command) { c.FromTag = "" })
	talk(a, b, 3)
}

const eventType = 101

func events(lines ...string) []string {
	return append([]string{"a=rtpmap:101 telephone-event/8000"}, lines...)
}

func TestBlockDTMF(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	first, second := offer(a, outside), answer(b)
	first.SDP, second.SDP = a.sdp(events()...), b.sdp(events()...)
	b.hear(g.do(first, ng.ResultOK).SDP)
	a.hear(g.do(second, ng.ResultOK).SDP)
	key := func() []byte {
		a.sequence++
		h := rtp.Header{Sequence: a.sequence, PayloadType: eventType, Timestamp: 1600, SSRC: a.ssrc}
		packet := rtp.Event{Code: 5, Duration: 160}.Append(h.Append(nil))
		a.sendFrom(a.rtp, packet)
		return packet
	}
	b.wants(key())
	g.do(ng.Command{Name: ng.BlockDTMF, CallID: "call", FromTag: "a"}, ng.ResultOK)
	key()
	b.wants(a.send()) // audio is passed on, the key was not
	g.do(ng.Command{Name: ng.UnblockDTMF, CallID: "call", FromTag: "a"}, ng.ResultOK)
	b.wants(key())
}

// A digit takes the place of the stream's own packets: same SSRC, sequence without
// a gap, and then audio again.
func TestPlayDTMF(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	first, second := offer(a, outside), answer(b)
	first.SDP, second.SDP = a.sdp(events()...), b.sdp("a=rtpmap:97 telephone-event/8000")
	second.SDP = []byte(replaceOnce(string(second.SDP), "RTP/AVP 0 101", "RTP/AVP 0 97"))
	b.hear(g.do(first, ng.ResultOK).SDP)
	a.hear(g.do(second, ng.ResultOK).SDP)
	talk(a, b, 3)
	g.do(ng.Command{Name: ng.PlayDTMF, CallID: "call", FromTag: "a", Digit: "5", Duration: 100 * time.Millisecond}, ng.ResultOK)
	heard := keyOf(t, b, a, 97)
	if heard.Code != 5 || heard.Duration != 800 {
		t.Errorf("%+v", heard)
	}
	b.wants(a.send())
	talk(a, b, 3)

	// Nobody speaks: then it is a source of its own.
	ticker := time.NewTimer(150 * time.Millisecond)
	<-ticker.C
	g.do(ng.Command{Name: ng.PlayDTMF, CallID: "call", FromTag: "a", Digit: "#", Duration: 60 * time.Millisecond}, ng.ResultOK)
	last := rtp.Header{}
	for ends := 0; ends < 3; {
		packet, from := read(t, b.rtp, 5*time.Second)
		h, payload, err := rtp.Parse(packet)
		e, ok := rtp.ParseEvent(payload)
		if err != nil || !ok || from != b.peer || h.PayloadType != 97 || e.Code != 11 || h.SSRC == a.ssrc || last.SSRC != 0 && h.Sequence != last.Sequence+1 {
			t.Fatalf("%+v %+v from %v after %+v: %v", h, e, from, last, err)
		}
		if last = h; e.End {
			ends++
		}
	}
	talk(a, b, 3)
	if r := g.try(ng.Command{Name: ng.PlayDTMF, CallID: "call", FromTag: "a"}); r.Result != ng.ResultError {
		t.Errorf("a digit that is none: %+v", r)
	}
}

// keyOf makes a speak until the digit at b is over, and returns its last event.
func keyOf(t *testing.T, b, a *phone, payloadType uint8) (last rtp.Event) {
	t.Helper()
	var stamp uint32
	for ends := 0; ends < 3; {
		sent, _, err := rtp.Parse(a.send())
		if err != nil {
			t.Fatal(err)
		}
		packet, _ := read(t, b.rtp, 5*time.Second)
		h, payload, err := rtp.Parse(packet)
		e, ok := rtp.ParseEvent(payload)
		if err != nil || !ok || h.PayloadType != payloadType || h.SSRC != a.ssrc || h.Sequence != sent.Sequence {
			t.Fatalf("%+v in place of %+v: %v", h, sent, err)
		}
		if h.Marker != (stamp == 0) || stamp != 0 && h.Timestamp != stamp {
			t.Errorf("%+v, the event began at %d", h, stamp)
		}
		if stamp, last = h.Timestamp, e; e.End {
			ends++
		}
	}
	return last
}

func replaceOnce(s, old, with string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + with + s[i+len(old):]
		}
	}
	return s
}

// A caller of IPv4 and a callee of IPv6.
func TestAcrossFamilies(t *testing.T) {
	g := newRig(t, manyInterfaces)
	a := newPhone(t, outside)
	b := &phone{t: t, rtp: listen6(t), rtcp: listen6(t), claims: netip.IPv6Loopback(), ssrc: 9}
	first := offer(a, outside)
	first.Direction = [2]string{"external", "dual"}
	first.Family = ng.FamilyIPv6
	b.hear(g.do(first, ng.ResultOK).SDP)
	if b.peer.Addr() != netip.IPv6Loopback() {
		t.Fatalf("b is told %v", b.peer)
	}
	second := answer(b)
	second.Direction, second.Family = [2]string{}, ng.FamilyIPv4
	second.SDP = bodyOf("::1", fmt.Sprintf("m=audio %d RTP/AVP 0", addr(b.rtp).Port()), fmt.Sprintf("a=rtcp:%d", addr(b.rtcp).Port()))
	a.hear(g.do(second, ng.ResultOK).SDP)
	talk(a, b, 20)
}

// A phone goes from an IPv4 network to an IPv6 one in the middle of a call: both sides
// go on hearing each other.
func TestAPhoneChangesItsFamily(t *testing.T) {
	g := newRig(t, manyInterfaces)
	a, b := newPhone(t, outside), newPhone(t, inside)
	first := offer(a, "")
	first.Direction = [2]string{"dual", "internal"}
	second := answer(b)
	second.Direction = [2]string{"internal", "dual"}
	b.hear(g.do(first, ng.ResultOK).SDP)
	a.hear(g.do(second, ng.ResultOK).SDP)
	talk(a, b, 10)

	moved := &phone{t: t, rtp: listen6(t), rtcp: listen6(t), claims: netip.IPv6Loopback(), ssrc: a.ssrc, sequence: a.sequence}
	again := first
	again.ToTag = "b"
	again.SDP = bodyOf("::1", fmt.Sprintf("m=audio %d RTP/AVP 0", addr(moved.rtp).Port()), fmt.Sprintf("a=rtcp:%d", addr(moved.rtcp).Port()))
	was := b.peer
	b.hear(g.do(again, ng.ResultOK).SDP)
	if b.peer != was {
		t.Errorf("the other side is moved from %v to %v", was, b.peer)
	}
	moved.hear(g.do(second, ng.ResultOK).SDP)
	if moved.peer.Addr() != netip.IPv6Loopback() {
		t.Fatalf("it is told %v", moved.peer)
	}
	talk(moved, b, 10)
	a.send()
	b.silent() // who was there before is not heard any more
	r := g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)
	if n := r.More.Dict(ng.KeyTotals).Dict("RTP").Int("packets"); n != 40 {
		t.Errorf("%d packets in all", n)
	}
}

// listen6 is a phone's socket at an address that is the relay's, too: its port must be
// none that the relay lends, to which nothing would be sent.
func listen6(t *testing.T) *net.UDPConn {
	t.Helper()
	for {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { conn.Close() })
		if media := relay.DefaultConfig().MediaPorts; addr(conn).Port() > media.High {
			return conn
		}
	}
}

// Two branches ring at once, each with ports of its own; one is deleted, the other
// goes on.
func TestBranches(t *testing.T) {
	g := newRig(t)
	a, b, c := newPhone(t, outside), newPhone(t, inside), newPhone(t, "127.0.2.2")
	ring := func(p *phone, tag, branch string) (caller phone) {
		t.Helper()
		first := offer(a, outside)
		first.ViaBranch = branch
		p.hear(g.do(first, ng.ResultOK).SDP)
		second := answer(p)
		second.ViaBranch, second.ToTag = branch, tag
		caller = *a
		caller.hear(g.do(second, ng.ResultOK).SDP)
		return caller
	}
	toB, toC := ring(b, "b", "z9hG4bK1"), ring(c, "c", "z9hG4bK2")
	if toB.peer == toC.peer || b.peer == c.peer {
		t.Fatalf("the caller has %v and %v, the callees %v and %v", toB.peer, toC.peer, b.peer, c.peer)
	}
	talk(&toB, b, 3) // early media of both
	toC.sequence = toB.sequence
	talk(&toC, c, 3)
	r := g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ViaBranch: "z9hG4bK1"}, ng.ResultOK)
	if r.Warning != "" {
		t.Errorf("%+v", r)
	}
	talk(&toC, c, 3)
	toB.send()
	b.silent()
	g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "c"}, ng.ResultOK)
	g.do(ng.Command{Name: ng.Query, CallID: "call"}, ng.ResultError)
}

// From audio to fax and back, over the same ports.
func TestFax(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 3)
	fax := func(p *phone) []byte {
		return bodyOf(p.claims.String(), fmt.Sprintf("m=image %d udptl t38", addr(p.rtp).Port()))
	}
	first, second := answer(b), offer(a, outside)
	first.Name, first.FromTag, first.ToTag, first.SDP = ng.Offer, "b", "a", fax(b)
	second.Name, second.FromTag, second.ToTag, second.SDP = ng.Answer, "b", "a", fax(a)
	g.do(first, ng.ResultOK)
	g.do(second, ng.ResultOK)
	page := []byte{0, 1, 2, 3}
	b.sendFrom(b.rtp, page)
	a.wants(page)
	a.sendFrom(a.rtp, page)
	b.wants(page)
	g.do(ng.Command{Name: ng.BlockMedia, CallID: "call", FromTag: "a"}, ng.ResultOK)
	a.sendFrom(a.rtp, page)
	b.silent()
	g.do(ng.Command{Name: ng.UnblockMedia, CallID: "call", FromTag: "a"}, ng.ResultOK)
	g.connect(a, b, outside)
	talk(a, b, 3)
}
