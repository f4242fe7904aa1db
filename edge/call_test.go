package edge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip"
)

// register registers user from c and returns the REGISTER as core saw it.
func (l *lab) register(c *wire, user string, extra ...string) *msg {
	l.Helper()
	n := l.next()
	c.send(fmt.Sprintf(`REGISTER sip:demo.lindero.test SIP/2.0
Via: $via;branch=z9hG4bKreg%d;rport
Max-Forwards: 70
From: <sip:%s@demo.lindero.test>;tag=f%d
To: <sip:%s@demo.lindero.test>
Call-ID: reg%d
CSeq: 1 REGISTER
Contact: <sip:%s@$me>
Expires: 300
%s`, n, user, n, user, n, user, strings.Join(extra, "\n")))
	m := l.core.expect("REGISTER")
	m.conn.answer(m, 200, "core", "Contact: "+m.get(sip.Contact)+";expires=300\nPath: "+m.get(sip.Path)+"\nLindero-Thing: secret\n")
	c.expect("200")
	return m
}

// A side of a call in a test: what each of its later requests needs.
type dialog struct {
	c      *wire
	callID string
	from   string // local address with tag
	to     string // remote address with tag
	target string // Request-URI
	routes []string
	seq    int
}

// request is a request within the dialog.
func (d *dialog) request(l *lab, method string, body string, extra ...string) string {
	if method != "ACK" {
		d.seq++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\nVia: $via;branch=z9hG4bKdlg%d;rport\nMax-Forwards: 70\n", method, d.target, l.next())
	for _, r := range d.routes {
		fmt.Fprintf(&b, "Route: %s\n", r)
	}
	fmt.Fprintf(&b, "From: %s\nTo: %s\nCall-ID: %s\nCSeq: %d %s\n", d.from, d.to, d.callID, d.seq, method)
	for _, line := range extra {
		b.WriteString(line + "\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\n")
	}
	return b.String() + "\n" + body
}

// A phone calls through the edge: offer and answer are anchored, core's contact is
// sealed, and what follows in the dialog finds its way by tokens alone.
func TestCallInward(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(`INVITE sip:102@demo.lindero.test SIP/2.0
Via: $via;branch=z9hG4bKinv1;rport
Max-Forwards: 70
From: "A" <sip:101@demo.lindero.test>;tag=a1
To: <sip:102@demo.lindero.test>
Call-ID: call1
CSeq: 1 INVITE
Contact: <sip:101@$me>
Lindero-Caller: forged
Path: <sip:evil@192.0.2.1;lr>
P-Asserted-Identity: <sip:boss@demo.lindero.test>
Route: <sip:192.0.2.66;lr>
User-Agent: Test  of   spaces
Content-Type: application/sdp

` + session("192.168.1.10", 4000))
	a.expect("100")
	offer := l.relay.expect(l, ng.Offer)
	if offer.Direction != [2]string{"external", "internal"} || offer.ReceivedFrom != a.me.Addr() || offer.FromTag != "a1" {
		t.Errorf("offer to the relay: %+v", offer)
	}
	inv := l.core.expect("INVITE")
	if inv.Len() == 0 || len(inv.all(sip.Via)) != 1 || len(inv.all(sip.RecordRoute)) != 2 {
		t.Errorf("core got\n%s", inv.Raw)
	}
	for _, gone := range []string{"Lindero-Caller", "evil", "boss", "192.0.2.66", "192.168.1.10"} {
		if strings.Contains(string(inv.Raw), gone) {
			t.Errorf("%q went through to core:\n%s", gone, inv.Raw)
		}
	}
	for _, kept := range []string{"User-Agent: Test  of   spaces\r\n", relayInside, "Max-Forwards: 69\r\n",
		fmt.Sprintf("Lindero-Source: %v;transport=udp;edge=edge;nat=0\r\n", a.me)} {
		if !strings.Contains(string(inv.Raw), kept) {
			t.Errorf("core misses %q:\n%s", kept, inv.Raw)
		}
	}
	contact := fmt.Sprintf("Contact: <sip:x7f@%v;transport=tcp>\n", l.core.addr)
	rr := "Record-Route: " + strings.Join(inv.all(sip.RecordRoute), "\nRecord-Route: ") + "\n"
	inv.conn.answer(inv, 180, "b1", contact+rr)
	if r := a.expect("180"); r.get(sip.Via) == "" || !strings.Contains(r.get(sip.Via), "z9hG4bKinv1") || len(r.all(sip.RecordRoute)) != 1 {
		t.Errorf("180 to the phone:\n%s", r.Raw)
	}
	inv.conn.answer(inv, 200, "b1", contact+rr, session("10.77.0.7", 5000))
	answer := l.relay.expect(l, ng.Answer)
	if answer.Direction != [2]string{"internal", "external"} || answer.FromTag != "a1" || answer.ToTag != "b1" {
		t.Errorf("answer to the relay: %+v", answer)
	}
	ok := a.expect("200")
	if !strings.Contains(string(ok.Body), relayOutside) || strings.Contains(string(ok.Raw), "10.77.0.7") {
		t.Errorf("200 to the phone:\n%s", ok.Raw)
	}
	d := &dialog{c: a, callID: "call1", from: `"A" <sip:101@demo.lindero.test>;tag=a1`, to: ok.get(sip.To), target: ok.uri(sip.Contact), routes: ok.all(sip.RecordRoute), seq: 1}
	a.send(d.request(l, "ACK", ""))
	ack := l.core.expect("ACK")
	if want := fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr); string(ack.URI) != want || ack.Index(sip.Route) >= 0 {
		t.Errorf("ACK is for %s, want %s:\n%s", ack.URI, want, ack.Raw)
	}
	// Core hangs up: its route set leads in by the flow token, out by the outside.
	routes := inv.all(sip.RecordRoute)
	l.core.send(fmt.Sprintf(`BYE sip:101@%v SIP/2.0
Via: $via;branch=z9hG4bKbye1
Max-Forwards: 70
Route: %s
Route: %s
From: %s
To: "A" <sip:101@demo.lindero.test>;tag=a1
Call-ID: call1
CSeq: 9 BYE
Lindero-Note: x
`, a.me, routes[0], routes[1], ok.get(sip.To)))
	hangup := a.expect("BYE")
	if hangup.Index(sip.Route) >= 0 || strings.Contains(string(hangup.Raw), "Lindero") || len(hangup.all(sip.Via)) != 1 {
		t.Errorf("BYE to the phone:\n%s", hangup.Raw)
	}
	a.answer(hangup, 200, "", "")
	if r := l.core.expect("200"); !strings.Contains(r.get(sip.Via), "z9hG4bKbye1") {
		t.Errorf("200 to core:\n%s", r.Raw)
	}
	if del := l.relay.expect(l, ng.Delete); del.CallID != "call1" {
		t.Errorf("delete: %+v", del)
	}
	l.eventually("the BYE's transaction lingers, all others end", func() bool { return l.metric("lindero_edge_live", "transactions") <= 2 })
}

// Core calls a registered phone by its Path.
func TestCallOutward(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	reg := l.register(b, "102")
	path := reg.get(sip.Path)
	if !strings.HasSuffix(path, fmt.Sprintf("@%v;transport=tcp;lr;ob>", l.addr.Inside)) {
		t.Fatalf("Path is %s", path)
	}
	l.core.send(fmt.Sprintf(`INVITE sip:102@%v SIP/2.0
Via: $via;branch=z9hG4bKout1
Max-Forwards: 70
Route: %s
From: <sip:101@demo.lindero.test>;tag=c1
To: <sip:102@demo.lindero.test>
Call-ID: out1
CSeq: 1 INVITE
Contact: <sip:q9@$me;transport=tcp>;+x="y"
Lindero-Caller: 1;user=2
Content-Type: application/sdp

`, b.me, path) + session("10.77.0.7", 5000))
	l.core.expect("100")
	l.relay.expect(l, ng.Offer)
	inv := b.expect("INVITE")
	if strings.Contains(string(inv.Raw), "Lindero") || strings.Contains(string(inv.Raw), l.core.addr.String()) || !strings.Contains(inv.get(sip.Contact), `;+x="y"`) {
		t.Errorf("INVITE to the phone:\n%s", inv.Raw)
	}
	rr := "Record-Route: " + inv.get(sip.RecordRoute) + "\n"
	b.answer(inv, 200, "b1", "Contact: <sip:102@"+b.me.String()+">\n"+rr, session("192.168.9.9", 7000))
	l.relay.expect(l, ng.Answer)
	ok := l.core.expect("200")
	routes := ok.all(sip.RecordRoute)
	if len(routes) != 2 || !strings.Contains(routes[0], l.addr.UDP.String()) || !strings.Contains(routes[1], l.addr.Inside.String()) {
		t.Fatalf("Record-Routes to core: %q", routes)
	}
	if ok.uri(sip.Contact) != "sip:102@"+b.me.String() || !strings.Contains(string(ok.Body), relayInside) {
		t.Errorf("200 to core:\n%s", ok.Raw)
	}
	l.core.send(fmt.Sprintf(`ACK sip:102@%v SIP/2.0
Via: $via;branch=z9hG4bKout1ack
Route: %s
Route: %s
From: <sip:101@demo.lindero.test>;tag=c1
To: <sip:102@demo.lindero.test>;tag=b1
Call-ID: out1
CSeq: 1 ACK
`, b.me, routes[1], routes[0]))
	b.expect("ACK")
	// The phone hangs up, by core's sealed contact.
	d := &dialog{c: b, callID: "out1", from: "<sip:102@demo.lindero.test>;tag=b1", to: "<sip:101@demo.lindero.test>;tag=c1", target: inv.uri(sip.Contact), routes: inv.all(sip.RecordRoute), seq: 4}
	b.send(d.request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	if string(bye.URI) != fmt.Sprintf("sip:q9@%v;transport=tcp", l.core.addr) {
		t.Errorf("BYE to core is for %s", bye.URI)
	}
	bye.conn.answer(bye, 200, "", "")
	b.expect("200")
	l.relay.expect(l, ng.Delete)
}
