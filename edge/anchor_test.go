package edge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip"
)

// A relay that never answers costs its own calls 503 within two seconds, and
// nobody else anything.
func TestDeadRelay(t *testing.T) {
	t.Parallel()
	l := setup(t, func(l *lab, c *edge.Config) { c.Relays = []edge.Relay{mute(l)} })
	a, b := l.udp("phone A", "127.0.0.1"), l.udp("phone B", "127.0.0.1")
	for range 5 {
		begin := time.Now()
		text := l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000))
		a.send(text)
		a.expect("100")
		for range 20 { // meanwhile
			sent := time.Now()
			b.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
			m := l.core.expect("MESSAGE")
			m.conn.answer(m, 200, "core", "")
			if took := b.expect("200").at.Sub(sent); took > 500*time.Millisecond {
				t.Errorf("another's request took %v", took)
			}
		}
		r := a.expect("503")
		if took := r.at.Sub(begin); took > 2*time.Second {
			t.Errorf("503 came after %v", took)
		}
		a.send(hop("ACK", text, r.get(sip.To)))
	}
	// By now the breaker is open: refusal is immediate, calls without SDP pass.
	begin := time.Now()
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	if took := a.expect("503").at.Sub(begin); took > 500*time.Millisecond {
		t.Errorf("with the relay known to be down, 503 came after %v", took)
	}
	if l.edge.Ready() == nil {
		t.Error("ready without a relay")
	}
	l.silent("core", l.core.in)
}

func TestOffersThatAreRefused(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	for name, body := range map[string]string{
		"by the relay":    "\n" + session("192.168.1.10", 4000) + "a=refuse\n",
		"SDES only":       strings.Replace(sdpBody("192.168.1.10", 4000), "RTP/AVP", "RTP/SAVP", 1),
		"DTLS only":       strings.Replace(sdpBody("192.168.1.10", 4000), "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1),
		"no SDP in truth": "\nthis is no SDP\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := l.request("INVITE", "sip:102@demo.lindero.test", body)
			a.send(text)
			a.expect("100")
			r := a.expect("488")
			r.wants(l, "SIP/2.0 488 Not Acceptable Here\r\n", "!10.77")
			a.send(hop("ACK", text, r.get(sip.To)))
		})
	}
	l.silent("core", l.core.in)
}

// Nothing is wrong with an offer that a relay has no room for: the phone may try
// again.
func TestRelayAtItsLimit(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test", "\n"+session("192.168.1.10", 4000)+"a=full\n")
	a.send(text)
	a.expect("100")
	r := a.expect("503")
	r.wants(l, "Retry-After: ", "!10.77")
	a.send(hop("ACK", text, r.get(sip.To)))
	l.silent("core", l.core.in)
}

// The call's later offers go to the relay of the first, whoever makes them,
// though by then another relay is preferred.
func TestLaterOffersStayAtTheRelay(t *testing.T) {
	t.Parallel()
	var other *fakeRelay
	l := setup(t, func(l *lab, c *edge.Config) {
		other = newRelay(l)
		c.Relays = append([]edge.Relay{{ID: "dead", NG: mute(l).NG}}, c.Relays...)
		c.Relays = append(c.Relays, edge.Relay{ID: "r3", NG: edge.UDP(other.addr)})
	})
	a := l.udp("phone A", "127.0.0.1")
	for known := false; !known; { // that the first relay is dead
		text := l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000))
		a.send(text)
		a.expect("100")
		select {
		case r := <-a.in:
			a.send(hop("ACK", text, r.get(sip.To)))
		case <-l.relay.seen:
			known = true
		case <-time.After(patience):
			t.Fatal("neither refused nor sent to the second relay")
		}
	}
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 200, session("10.77.0.7", 5000))
	l.relay.expect(l, ng.Answer)
	ok := a.expect("200")
	d := dialogOf(a, ok)
	// The order of relays changes with a restart; the tokens do not.
	l.stop()
	l.cfg.SIP, l.cfg.Inside = l.addr.UDP, l.addr.Inside
	l.cfg.Relays[0], l.cfg.Relays[2] = l.cfg.Relays[2], l.cfg.Relays[0]
	l.core.hangUp()
	l.start()
	a.send(d.request(l, "ACK", ""))
	l.core.expect("ACK")

	a.send(d.request(l, "INVITE", session("192.168.1.10", 4002), "Contact: <sip:101@$me>"))
	a.expect("100")
	if again := l.relay.expect(l, ng.Offer); again.ToTag != "core" || again.CallID != d.callID {
		t.Errorf("second offer: %+v", again)
	}
	re := l.core.expect("INVITE")
	if rr := re.all(sip.RecordRoute); len(rr) != 0 {
		t.Errorf("a re-INVITE got Record-Routes: %q", rr)
	}
	l.core.respond(re, 488)
	l.core.expect("ACK")
	a.expect("488")

	// Core's hold, by the route set of the first INVITE.
	routes := inv.all(sip.RecordRoute)
	l.core.send(l.request("INVITE", "sip:101@"+a.me.String(), "Route: "+routes[0]+", "+routes[1],
		"From: "+ok.get(sip.To), "To: "+ok.get(sip.From), "Call-ID: "+d.callID, "Contact: <sip:x7f@$me;transport=tcp>", sdpBody("10.77.0.7", 5000)))
	l.core.expect("100")
	if hold := l.relay.expect(l, ng.Offer); hold.FromTag != "core" || hold.Direction[1] != "external" {
		t.Errorf("core's offer: %+v", hold)
	}
	hold := a.expect("INVITE")
	a.accept(hold, 200, session("192.168.1.10", 4002))
	l.relay.expect(l, ng.Answer)
	l.core.expect("200")
	a.send(d.request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	bye.conn.answer(bye, 200, "", "")
	a.expect("200")
	l.relay.expect(l, ng.Delete)
	if len(other.seen) > 0 {
		t.Errorf("another relay was asked: %+v", <-other.seen)
	}
}

// INVITE without an offer: the 2xx brings it, the ACK answers; the tags follow
// who offers.
func TestOfferIn2xx(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	b.accept(inv, 200, session("192.168.9.9", 7000))
	offer := l.relay.expect(l, ng.Offer)
	if offer.FromTag != "phone" || offer.ToTag != string(inv.Tag(sip.From)) || offer.Direction[0] != "external" {
		t.Errorf("offer: %+v", offer)
	}
	ok := l.core.expect("200")
	ok.wants(l, relayInside)
	d := dialogOf(l.core.calls, ok)
	l.core.send(d.request(l, "ACK", session("10.77.0.7", 5000)))
	answer := l.relay.expect(l, ng.Answer)
	if answer.FromTag != "phone" || answer.ToTag != string(inv.Tag(sip.From)) || answer.Direction[0] != "internal" {
		t.Errorf("answer: %+v", answer)
	}
	b.expect("ACK").wants(l, relayOutside, "!10.77")

	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	l.core.respond(l.core.expect("INVITE"), 200, session("10.77.0.7", 5000))
	l.relay.expect(l, ng.Offer)
	got := a.expect("200")
	got.wants(l, relayOutside, "!10.77")
	a.send(dialogOf(a, got).request(l, "ACK", session("192.168.1.10", 4000)))
	l.relay.expect(l, ng.Answer)
	l.core.expect("ACK").wants(l, relayInside)
}

func TestUpdateAndPrack(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	l.core.respond(l.core.expect("INVITE"), 200)
	d := dialogOf(a, a.expect("200"))
	for _, method := range []string{"UPDATE", "PRACK"} {
		a.send(d.request(l, method, session("192.168.1.10", 4000)))
		l.relay.expect(l, ng.Offer)
		m := l.core.expect(method)
		m.wants(l, relayInside)
		l.core.respond(m, 200, session("10.77.0.7", 5000))
		l.relay.expect(l, ng.Answer)
		a.expect("200").wants(l, relayOutside)
	}
	a.send(d.request(l, "UPDATE", "")) // refreshes the session, no offer
	m := l.core.expect("UPDATE")
	l.core.respond(m, 200)
	a.expect("200")
	if n := len(l.relay.seen); n != 0 {
		t.Errorf("the relay was asked %d times more", n)
	}
}

// An SDP within a multipart body is anchored, the other parts pass as they are.
func TestMultipart(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	text := l.request("INVITE", "sip:102@demo.lindero.test", `Content-Type: multipart/mixed; boundary="b-1"`)
	a.send(text + "\n--b-1\nContent-Type: text/plain\n\nhello\n--b-1\ncontent-type: application/SDP\nX: y\n\n" +
		session("192.168.1.10", 4000) + "\n--b-1--\n")
	a.expect("100")
	if offer := l.relay.expect(l, ng.Offer); !strings.HasPrefix(string(offer.SDP), "v=0\r\n") || strings.Contains(string(offer.SDP), "b-1") {
		t.Errorf("offer: %q", offer.SDP)
	}
	inv := l.core.expect("INVITE")
	inv.wants(l, "--b-1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b-1\r\ncontent-type: application/SDP\r\nX: y\r\n\r\nv=0", relayInside, "\r\n--b-1--\r\n", "!192.168.1.10")
}

// A call without credentials is challenged, so it costs no ports. Should core
// answer it all the same, nobody could hear anything, and it ends at once.
func TestOffersOfStrangersAreNotAnchored(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	invite := func() *msg {
		text := l.request("INVITE", "sip:102@demo.lindero.test", "-Proxy-Authorization", sdpBody("192.168.1.10", 4000))
		a.send(text)
		a.expect("100")
		inv := l.core.expect("INVITE")
		inv.wants(l, "192.168.1.10")
		return inv
	}
	l.core.respond(invite(), 407)
	a.expect("407")
	l.core.expect("ACK")

	l.core.respond(invite(), 200, session("10.77.0.7", 7000))
	a.expect("503").wants(l, "!10.77", "!v=0")
	l.core.expect("ACK")
	bye := l.core.expect("BYE")
	bye.conn.answer(bye, 200, "", "")

	select {
	case c := <-l.relay.seen:
		t.Errorf("the relay was asked to %s", c.Name)
	default:
	}
}

// An answer that no relay takes is not passed on. Early, only its body is lost; a
// 2xx ends as it would if its caller hung up at once.
func TestAnswerThatIsRefused(t *testing.T) {
	l := setup(t, nil)
	bad := func(host string) string { return session(host, 7000) + "a=refuse\n" }
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 183, bad("10.77.0.7"))
	early := a.expect("183")
	early.wants(l, "!10.77", "!Content-Type", "Content-Length: 0\r\n")
	l.core.respond(inv, 200, bad("10.77.0.7"))
	a.expect("488")
	for _, method := range []string{"ACK", "BYE"} {
		m := l.core.expect(method)
		if string(m.URI) != fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr) || string(m.Tag(sip.To)) != "core" {
			t.Errorf("%s to core:\n%s", method, m.Raw)
		}
		if method == "BYE" {
			m.conn.answer(m, 200, "", "")
		}
	}

	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b), sdpBody("10.77.0.7", 5000)))
	l.core.expect("100")
	in := b.expect("INVITE")
	b.accept(in, 200, bad("192.168.9.9"))
	l.core.expect("488")
	b.expect("ACK")
	bye := b.expect("BYE")
	b.answer(bye, 200, "", "")
	l.silent("phone B", b.in)
}

// SDP that was never asked about, in a 488 or an answer to OPTIONS, does not leave.
func TestSDPOfCapabilities(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	l.core.respond(l.core.expect("INVITE"), 488, session("10.77.0.7", 5000))
	l.core.expect("ACK")
	a.expect("488").wants(l, "!10.77", "!v=0")
	a.send(l.request("OPTIONS", "sip:102@demo.lindero.test"))
	l.core.respond(l.core.expect("OPTIONS"), 200, session("10.77.0.7", 5000))
	for {
		if m := <-a.in; m.kind() == "200" {
			m.wants(l, "!10.77", "!v=0")
			break
		}
	}
}

// Responses keep their order though the relay is asked about some and not others.
func TestResponsesKeepTheirOrder(t *testing.T) {
	l := setup(t, nil)
	a := l.tcp("phone A", nil)
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 183, session("10.77.0.7", 5000))
	l.core.respond(inv, 180)
	l.core.respond(inv, 182)
	l.core.respond(inv, 200, session("10.77.0.7", 5001))
	for _, want := range []string{"183", "180", "182", "200"} {
		a.expect(want)
	}
}
