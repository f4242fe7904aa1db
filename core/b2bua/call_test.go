package b2bua_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// TestCall walks through one ordinary call and looks at every message.
func TestCall(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"), "Subject: hello", "X-Private: secret")
	db := b.incoming()
	for name, want := range map[string]string{
		"From":         `"User 1" <sip:101@demo.lindero.test>;tag=`,
		"To":           "<sip:102@demo.lindero.test>",
		"Max-Forwards": "67",
		"Route":        "<sip:token-bob@" + b.addr.String() + ";transport=tcp;lr;ob>",
		"Subject":      "hello",
		"Via":          "SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK",
	} {
		if got := db.in.header(name); !strings.HasPrefix(got, want) {
			t.Errorf("the callee sees %s: %s, want %s", name, got, want)
		}
	}
	if !strings.HasPrefix(db.in.raw, "INVITE sip:bob@10.0.0.9:5062;ob SIP/2.0\r\n") {
		t.Errorf("Request-URI is not the binding's contact: %.60s", db.in.raw)
	}
	if strings.Contains(db.in.raw, "secret") || strings.Contains(db.in.raw, "Lindero") || strings.Contains(db.in.raw, da.callID) {
		t.Errorf("something of the caller's side leaked:\n%s", db.in.raw)
	}
	if db.in.body() != describe("alice", 1, "sendrecv") {
		t.Errorf("the offer was changed:\n%s", db.in.body())
	}

	db.answer(db.in, 180, "")
	ringing := da.expect(180)
	if !strings.Contains(ringing.header("From"), `"Phone, alice"`) {
		t.Errorf("From came back as %s", ringing.header("From"))
	}
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	ack := b.expect("ACK")
	if got := ack.all("Route"); len(got) != 2 || !strings.Contains(got[0], "token-bob") || got[1] != outsideRoute {
		t.Errorf("Route of the ACK: %q", got)
	}
	if !strings.HasPrefix(ack.raw, "ACK sip:bob@10.0.0.9:5062;x=1 ") {
		t.Errorf("the ACK does not go to the contact: %.50s", ack.raw)
	}
	ok := da.expect(200)
	if ok.body() != describe("bob", 1, "sendrecv") {
		t.Errorf("the answer was changed:\n%s", ok.body())
	}
	if got := strings.Join(ok.all("Record-Route"), ", "); got != a.insideRoute()+", "+outsideRoute {
		t.Errorf("Record-Route came back as %s", got)
	}
	da.ack("")

	da.request("BYE", "", "")
	a.expect("200 BYE")
	bye := b.expect("BYE")
	if got := bye.all("Route"); len(got) != 2 || !strings.Contains(got[0], "token-bob") {
		t.Errorf("Route of the BYE: %q", got)
	}
	b.ok(bye)
	cdr := w.cdr(tenancy.OK, 200, "caller")
	if cdr.Company != 1 || cdr.CallerUser != 1 || cdr.CalleeUser != 2 || cdr.From != "101" || cdr.To != "102" ||
		cdr.CallID != da.callID || cdr.Answer.Before(cdr.Start) || cdr.End.Before(cdr.Answer) {
		t.Errorf("CDR is %+v", cdr)
	}
	w.ended()
}

func TestCalleeHangsUp(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	_, db := talk(t, a, b)
	db.request("BYE", "", "")
	b.expect("200 BYE")
	bye := a.expect("BYE")
	if got := bye.all("Route"); len(got) != 2 || !strings.Contains(got[0], "token-alice") || got[1] != outsideRoute {
		t.Errorf("Route of the BYE: %q", got)
	}
	a.ok(bye)
	w.cdr(tenancy.OK, 200, "callee")
	w.ended()
}

// TestConnectionLost has the connection that an INVITE came by be gone when it is
// answered: the answer goes where the Via says (RFC 3261 §18.2.2).
func TestConnectionLost(t *testing.T) {
	w := newWorld(t)
	a := w.phone("alice", 1)
	a.out = func(data []byte) { w.b.Deliver(netip.MustParseAddrPort("192.0.2.200:40000"), data) }
	d := a.call("999", "")
	d.expect(404)
	d.ackFailure()
	w.cdr(tenancy.Caller, 404, "core")
}

// TestEdgeLost has the connection to the callee's edge break: a phone behind it
// that has said nothing is given up at once, one that rings is not.
func TestEdgeLost(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	b.incoming()
	db2 := b2.incoming()
	db2.answer(db2.in, 180, "")
	da.expect(180)
	w.b.Lost(b.addr)
	w.b.Lost(b2.addr)
	a.never("503 INVITE", 20*time.Millisecond)
	db2.answer(db2.in, 486, "")
	da.expect(486)
	da.ackFailure()
	w.cdr(tenancy.Callee, 486, "callee")

	da = a.call("102", describe("alice", 1, "sendrecv"))
	b.incoming()
	b2.incoming()
	w.b.Lost(b.addr)
	w.b.Lost(b2.addr)
	da.expect(503)
	da.ackFailure()
	w.cdrs(2)
	w.ended()
}
