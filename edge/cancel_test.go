package edge_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip"
)

// short are timers for tests that wait for them.
func short() transaction.Timing {
	return transaction.Timing{T1: 20 * time.Millisecond, T2: 80 * time.Millisecond, T4: 100 * time.Millisecond, C: 400 * time.Millisecond}
}

// cancel is the CANCEL, or the ACK, of an INVITE that was sent as text.
func hop(method, text string, to string) string {
	start, rest, _ := strings.Cut(text, "\n")
	var b strings.Builder
	b.WriteString(strings.Replace(start, "INVITE", method, 1) + "\n")
	for line := range strings.SplitSeq(rest, "\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "Call-ID", "Route":
			b.WriteString(line + "\n")
		case "To":
			if to != "" {
				line = "To: " + to
			}
			b.WriteString(line + "\n")
		case "CSeq":
			b.WriteString("CSeq: 1 " + method + "\n")
		}
	}
	return b.String()
}

// mute is the address of a relay that never answers.
func mute(l *lab) edge.Relay {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.Close() })
	return edge.Relay{ID: "mute", NG: edge.UDP(conn.LocalAddr().(*net.UDPAddr).AddrPort())}
}

func TestCancelWhileRinging(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000))
	a.send(text)
	a.expect("100")
	l.relay.expect(l, ng.Offer)
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 180)
	a.expect("180")
	a.send(hop("CANCEL", text, "") + "Reason: SIP;cause=200;text=\"elsewhere\"\n")
	if r := a.expect("200"); r.get(sip.CSeq) != "1 CANCEL" {
		t.Errorf("answer to CANCEL:\n%s", r.Raw)
	}
	c := l.core.expect("CANCEL")
	if c.get(sip.Via) != inv.get(sip.Via) || string(c.URI) != string(inv.URI) || c.get(sip.CSeq) != "1 CANCEL" {
		t.Errorf("CANCEL to core does not match the INVITE:\n%s\n%s", c.Raw, inv.Raw)
	}
	c.wants(l, `Reason: SIP;cause=200;text="elsewhere"`)
	c.conn.answer(c, 200, "core", "")
	l.core.respond(inv, 487)
	if ack := l.core.expect("ACK"); ack.get(sip.Via) != inv.get(sip.Via) || !strings.Contains(ack.get(sip.To), "tag=core") || ack.get(sip.CSeq) != "1 ACK" {
		t.Errorf("ACK to core:\n%s", ack.Raw)
	}
	gone := a.expect("487")
	a.send(hop("ACK", text, gone.get(sip.To)))
	if del := l.relay.expect(l, ng.Delete); del.CallID != inv.get(sip.CallID) {
		t.Errorf("delete: %+v", del)
	}
	l.silent("core", l.core.in)
	a.send(hop("CANCEL", text, "")) // too late, and repeated
	a.expect("200")
	l.silent("core", l.core.in)
}

// Nothing may be cancelled before it was heard (RFC 3261 §9.1): the CANCEL waits.
func TestCancelWaitsForAProvisional(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test")
	a.send(text)
	a.expect("100")
	inv := l.core.expect("INVITE")
	a.send(hop("CANCEL", text, ""))
	a.expect("200")
	l.silent("core", l.core.in)
	inv.conn.answer(inv, 100, "", "")
	l.core.expect("CANCEL")
	// The far side may have been faster: a 2xx wins.
	l.core.respond(inv, 200)
	a.expect("200")
}

// The INVITE is still at the relay: nothing has gone to core, and nothing will.
func TestCancelWhileTheRelayIsAsked(t *testing.T) {
	l := setup(t, func(l *lab, c *edge.Config) { c.Relays = []edge.Relay{mute(l)} })
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000))
	a.send(text)
	a.expect("100")
	a.send(hop("CANCEL", text, ""))
	for range 2 { // in whatever order
		select {
		case r := <-a.in:
			if r.kind() != "200" && r.kind() != "487" {
				t.Errorf("after CANCEL:\n%s", r.Raw)
			}
			if r.kind() == "487" {
				a.send(hop("ACK", text, r.get(sip.To)))
			}
		case <-time.After(patience):
			t.Fatal("CANCEL was not answered")
		}
	}
	l.eventually("the transaction ends after the relay's deadline", func() bool { return l.metric("lindero_edge_live", "transactions") <= 1 })
	l.silent("core", l.core.in)
	l.silent("phone A", a.in)
}

// A caller whose connection breaks cannot cancel: that is done for it.
func TestCallerIsGone(t *testing.T) {
	l := setup(t, nil)
	a := l.tcp("phone A", nil)
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 180)
	a.expect("180")
	a.close()
	c := l.core.expect("CANCEL")
	c.conn.answer(c, 200, "core", "")
	l.core.respond(inv, 487)
	l.core.expect("ACK")
}

// Core cancels an INVITE to a phone over UDP that answers neither: the CANCEL is
// repeated, and the INVITE ends with 487.
func TestCancelOutward(t *testing.T) {
	t.Parallel()
	l := setup(t, func(_ *lab, c *edge.Config) { c.Timing = short() })
	b := l.udp("phone B", "127.0.0.1")
	text := l.request("INVITE", "sip:102@"+b.me.String(), l.path(b))
	l.core.send(text)
	l.core.expect("100")
	inv := b.expect("INVITE")
	b.accept(inv, 180)
	l.core.expect("180")
	l.core.send(hop("CANCEL", text, ""))
	l.core.expect("200")
	first := b.expect("CANCEL")
	if first.get(sip.Via) != inv.get(sip.Via) {
		t.Errorf("CANCEL has another branch:\n%s\n%s", first.Raw, inv.Raw)
	}
	b.expect("CANCEL")
	b.expect("CANCEL")
	b.answer(first, 200, "phone", "")
	l.core.expect("487")
}

// Timer C: a phone that rings for ever is cancelled.
func TestTimerC(t *testing.T) {
	t.Parallel()
	l := setup(t, func(_ *lab, c *edge.Config) { c.Timing = short() })
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	b.accept(inv, 180)
	l.core.expect("180")
	c := b.expect("CANCEL")
	b.answer(c, 200, "phone", "")
	b.answer(inv, 487, "phone", "")
	b.expect("ACK")
	l.core.expect("487")
}

// A phone over UDP that does not answer: INVITE is repeated and gets 408. A
// request of another method gets 408 inside, where it does no harm, and nothing
// outside (RFC 4320).
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	l := setup(t, func(_ *lab, c *edge.Config) { c.Timing = short() })
	b := l.udp("phone B", "127.0.0.1")
	path := l.path(b)
	for _, method := range []string{"INVITE", "MESSAGE"} {
		l.core.send(l.request(method, "sip:102@"+b.me.String(), path))
		if method == "INVITE" {
			l.core.expect("100")
		}
		first := b.expect(method)
		for range 3 {
			if again := b.expect(method); string(again.Raw) != string(first.Raw) {
				t.Errorf("a retransmission differs:\n%s\n%s", first.Raw, again.Raw)
			}
		}
		l.core.expect("408")
		for len(b.in) > 0 {
			b.expect(method)
		}
	}
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	l.core.expect("MESSAGE")
	l.eventually("the transaction is over", func() bool { return l.verdict("timeout") == 3 })
	l.silent("phone A", a.in)
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	l.core.expect("INVITE")
	a.expect("408")
}

// What a phone repeats is absorbed and gets the last response again; what core
// says again to a request that is over goes nowhere.
func TestRetransmissionsAreAbsorbed(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("MESSAGE", "sip:102@demo.lindero.test")
	a.send(text)
	m := l.core.expect("MESSAGE")
	a.send(text)
	l.silent("phone A before the answer", a.in)
	m.conn.answer(m, 202, "core", "")
	first := a.expect("202")
	a.send(text)
	if again := a.expect("202"); string(again.Raw) != string(first.Raw) {
		t.Errorf("the response differs when repeated:\n%s\n%s", first.Raw, again.Raw)
	}
	m.conn.answer(m, 404, "core", "")
	l.silent("core", l.core.in)
	l.silent("phone A", a.in)

	text = l.request("INVITE", "sip:102@demo.lindero.test")
	a.send(text)
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 183)
	a.expect("183")
	a.send(text)
	a.expect("183")
	l.silent("core", l.core.in)
}

// A failure is acknowledged by the edge at once and again when core repeats it;
// towards a phone over UDP the edge repeats it until the phone's ACK comes.
func TestFailureOfInvite(t *testing.T) {
	l := setup(t, func(_ *lab, c *edge.Config) { c.Timing = short() })
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test")
	a.send(text)
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 486)
	l.core.expect("ACK")
	l.core.respond(inv, 486)
	l.core.expect("ACK")
	a.expect("486")
	a.expect("486")
	busy := a.expect("486")
	a.send(hop("ACK", text, busy.get(sip.To)))
	l.eventually("all is over", func() bool { return l.metric("lindero_edge_live", "transactions") == 0 })
	l.silent("core", l.core.in) // the ACK ended here
}

// Every 2xx passes, of every fork and repeated, and its ACK goes end to end.
func TestForksAndRepeated2xx(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b), sdpBody("10.77.0.7", 5000)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	send := func(code int, tag string) {
		b.answer(inv, code, tag, "Contact: <sip:"+tag+"@"+b.me.String()+">\nRecord-Route: "+inv.get(sip.RecordRoute)+"\n", session("192.168.9.9", 7000))
		if got := l.core.expect(fmt.Sprint(code)); string(got.Tag(sip.To)) != tag || !strings.Contains(string(got.Body), relayInside) {
			t.Errorf("fork %s:\n%s", tag, got.Raw)
		}
	}
	send(183, "one")
	send(183, "two")
	send(200, "one")
	send(200, "one") // repeated: no ACK came
	send(200, "two")
	b.answer(inv, 180, "three", "") // after a 2xx nothing provisional passes
	b.answer(inv, 486, "three", "")
	l.silent("core", l.core.in)
	l.relay.expect(l, ng.Offer)
	for range 2 {
		l.relay.expect(l, ng.Answer)
	}
	if c := l.relay.expect(l, ng.Answer); c.ToTag != "one" {
		t.Errorf("third answer is of fork %s", c.ToTag)
	}
}

// A response is believed only down the flow its request went by.
func TestResponseOfAnother(t *testing.T) {
	l := setup(t, nil)
	b, thief := l.udp("phone B", "127.0.0.1"), l.udp("a thief", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	thief.accept(inv, 200)
	l.silent("core", l.core.in)
	if l.verdict("wrong_flow") != 1 {
		t.Error("the forged response was not counted")
	}
	b.accept(inv, 486)
	l.core.expect("486")
}
