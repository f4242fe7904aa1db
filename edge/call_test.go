package edge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip"
)

// wants fails for every text that m lacks, or has although it begins with '!'.
func (m *msg) wants(l *lab, texts ...string) {
	l.Helper()
	for _, text := range texts {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(string(m.Raw), text) == not {
			l.Errorf("%s: %q is there: %v:\n%s", m.kind(), text, not, m.Raw)
		}
	}
}

// What core learns of a phone's INVITE, and what it does not.
func TestInviteInward(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test",
		"Lindero-Caller: forged", "lindero-source: 192.0.2.9:1", "Path: <sip:evil@192.0.2.1;lr>",
		"P-Asserted-Identity: <sip:boss@demo.lindero.test>", "Route: <sip:192.0.2.66;lr>",
		"User-Agent: Test  of   spaces", "x-Odd:\tkept", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	offer := l.relay.expect(l, ng.Offer)
	if offer.Direction != [2]string{"external", "internal"} || offer.ReceivedFrom != a.me.Addr() || offer.ICE != "remove" || len(offer.Replace) != 2 {
		t.Errorf("offer to the relay: %+v", offer)
	}
	inv := l.core.expect("INVITE")
	inv.wants(l, "!forged", "!evil", "!boss", "!192.0.2.66", "!192.0.2.9", "!192.168.1.10", relayInside,
		"User-Agent: Test  of   spaces\r\n", "x-Odd:\tkept\r\n", "Max-Forwards: 69\r\n",
		fmt.Sprintf("Lindero-Source: %v;transport=udp;edge=edge;nat=0\r\n", a.me))
	if vias := inv.all(sip.Via); len(vias) != 1 || !strings.HasPrefix(vias[0], "SIP/2.0/TCP "+l.addr.Inside.String()+";branch=z9hG4bK") {
		t.Errorf("Vias for core: %q", vias)
	}
	routes := inv.all(sip.RecordRoute)
	if len(routes) != 2 || !strings.HasSuffix(routes[0], "@"+l.addr.Inside.String()+";transport=tcp;lr>") ||
		routes[1] != "<sip:"+l.addr.UDP.String()+";transport=udp;lr>" {
		t.Errorf("Record-Routes for core: %q", routes)
	}
}

// A phone calls core: the answer is anchored, core's contact is sealed, and what
// follows finds its way by tokens alone, in both directions.
func TestCallInward(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	l.relay.expect(l, ng.Offer)
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 180)
	ringing := a.expect("180")
	ringing.wants(l, "!Lindero", "!Server", "!"+l.addr.Inside.String(), ";received=127.0.0.1;rport="+fmt.Sprint(a.me.Port()))
	if len(ringing.all(sip.RecordRoute)) != 1 {
		t.Errorf("180 to the phone:\n%s", ringing.Raw)
	}
	l.core.respond(inv, 200, session("10.77.0.7", 5000))
	answer := l.relay.expect(l, ng.Answer)
	if answer.Direction != [2]string{"internal", "external"} || answer.ToTag != "core" || answer.ReceivedFrom.IsValid() {
		t.Errorf("answer to the relay: %+v", answer)
	}
	ok := a.expect("200")
	ok.wants(l, relayOutside, "!10.77", "!"+l.core.addr.String())
	if ringing.uri(sip.Contact) != ok.uri(sip.Contact) {
		t.Errorf("core's contact looks different in 180 and 200: %s, %s", ringing.uri(sip.Contact), ok.uri(sip.Contact))
	}
	d := dialogOf(a, ok)
	a.send(d.request(l, "ACK", ""))
	ack := l.core.expect("ACK")
	if want := fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr); string(ack.URI) != want || ack.Index(sip.Route) >= 0 {
		t.Errorf("ACK is for %s, want %s:\n%s", ack.URI, want, ack.Raw)
	}
	routes := inv.all(sip.RecordRoute)
	l.core.send(l.request("BYE", "sip:101@"+a.me.String(), "-Contact", "Route: "+routes[0]+", "+routes[1],
		"From: "+ok.get(sip.To), "To: "+ok.get(sip.From), "Call-ID: "+d.callID, "Lindero-Note: x"))
	bye := a.expect("BYE")
	bye.wants(l, "!Route", "!Lindero", "!"+l.addr.Inside.String(), "!"+l.core.addr.String())
	if len(bye.all(sip.Via)) != 1 {
		t.Errorf("BYE to the phone:\n%s", bye.Raw)
	}
	a.answer(bye, 200, "", "")
	if r := l.core.expect("200"); len(r.all(sip.Via)) != 1 || !strings.Contains(r.get(sip.Via), l.core.addr.String()) {
		t.Errorf("200 to core:\n%s", r.Raw)
	}
	if del := l.relay.expect(l, ng.Delete); del.CallID != d.callID {
		t.Errorf("delete: %+v", del)
	}
}

// Core calls a registered phone by its Path.
func TestCallOutward(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	path := l.path(b)
	if !strings.HasSuffix(path, fmt.Sprintf("@%v;transport=tcp;lr;ob>", l.addr.Inside)) {
		t.Fatalf("Path is %s", path)
	}
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), path, "Contact: <sip:q9@$me;transport=tcp>;+x=\"y\"",
		"Lindero-Caller: 1;user=2", "Record-Route: <sip:$me;lr>", sdpBody("10.77.0.7", 5000)))
	l.core.expect("100")
	if offer := l.relay.expect(l, ng.Offer); offer.Direction != [2]string{"internal", "external"} {
		t.Errorf("offer to the relay: %+v", offer)
	}
	inv := b.expect("INVITE")
	inv.wants(l, "!Lindero", "!"+l.core.addr.String(), "!"+l.addr.Inside.String(), `>;+x="y"`, relayOutside)
	if rr := inv.all(sip.RecordRoute); len(rr) != 1 || rr[0] != "<sip:"+l.addr.UDP.String()+";transport=udp;lr>" {
		t.Errorf("Record-Routes to the phone: %q", rr)
	}
	b.accept(inv, 200, session("192.168.9.9", 7000))
	if answer := l.relay.expect(l, ng.Answer); answer.Direction != [2]string{"external", "internal"} || answer.ReceivedFrom != b.me.Addr() {
		t.Errorf("answer to the relay: %+v", answer)
	}
	ok := l.core.expect("200")
	ok.wants(l, relayInside, "!192.168.9.9", "<sip:phone@"+b.me.String()+">")
	d := dialogOf(l.core.calls, ok)
	if len(d.routes) != 2 || !strings.Contains(d.routes[0], l.addr.Inside.String()) || !strings.Contains(d.routes[1], l.addr.UDP.String()) {
		t.Fatalf("core's route set: %q", d.routes)
	}
	l.core.send(d.request(l, "ACK", ""))
	b.expect("ACK").wants(l, "!Route", "!"+l.core.addr.String())
	back := dialogTo(b, inv, "phone")
	b.send(back.request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	if string(bye.URI) != fmt.Sprintf("sip:q9@%v;transport=tcp", l.core.addr) {
		t.Errorf("BYE to core is for %s", bye.URI)
	}
	bye.conn.answer(bye, 200, "", "")
	b.expect("200")
	l.relay.expect(l, ng.Delete)
}

// The phone copies no Record-Route; core gets a whole route set all the same.
func TestRecordRouteIsMadeUp(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	b.answer(inv, 200, "phone", "Contact: <sip:phone@"+b.me.String()+">\n")
	if rr := l.core.expect("200").all(sip.RecordRoute); len(rr) != 2 || !strings.Contains(rr[0], l.addr.UDP.String()) || !strings.Contains(rr[1], l.addr.Inside.String()) {
		t.Errorf("Record-Routes to core: %q", rr)
	}
}

// An attended transfer names core's sealed contact; core gets its own back.
func TestReferToIsOpened(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 200)
	d := dialogOf(a, a.expect("200"))
	for _, value := range []string{
		`"B" <` + d.target + `?Replaces=call%40x%3Bto-tag%3D1>;x=y`, // both with brackets and
		d.target, // without
	} {
		a.send(d.request(l, "REFER", "", "Refer-To: "+value))
		got := l.core.expect("REFER")
		if want := fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr); !strings.Contains(got.get(sip.ReferTo), "<"+want) {
			t.Errorf("Refer-To %s became %s", value, got.get(sip.ReferTo))
		}
		if strings.Contains(value, "Replaces") && !strings.Contains(got.get(sip.ReferTo), "?Replaces=call%40x%3Bto-tag%3D1>;x=y") {
			t.Errorf("Refer-To lost its rest: %s", got.get(sip.ReferTo))
		}
	}
}
