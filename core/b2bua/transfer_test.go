package b2bua_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// notified waits for a NOTIFY, answers it, and returns what it says.
func (p *phone) notified(want, state string) {
	p.t.Helper()
	m := p.expect("NOTIFY")
	if got := strings.TrimSpace(m.body()); !strings.HasPrefix(got, "SIP/2.0 "+want) {
		p.t.Errorf("NOTIFY says %q, want %s", got, want)
	}
	if got := m.header("Subscription-State"); !strings.HasPrefix(got, state) {
		p.t.Errorf("Subscription-State is %s, want %s", got, state)
	}
	if m.header("Event") != "refer" || m.header("Content-Type") != "message/sipfrag;version=2.0" {
		p.t.Errorf("NOTIFY is\n%s", m.raw)
	}
	p.ok(m)
}

// refer asks for a transfer and waits until it was taken.
func (d *dialogue) refer(to string, lines ...string) {
	d.p.t.Helper()
	d.request("REFER", "", "", append(lines, "r: "+to)...)
	d.p.expect("202 REFER")
	d.p.notified("100", "active")
}

// swapped answers the re-INVITE that gives a party its new peer, and checks that
// the description is that of the new one under the o= line of the old.
func (d *dialogue) swapped(peer, old string) {
	d.p.t.Helper()
	m := d.p.expect("INVITE")
	b := m.body()
	if !strings.Contains(b, "\r\ns="+peer+"\r\n") || !strings.Contains(b, "a=sendrecv") {
		d.p.t.Errorf("%s was offered\n%s", d.p.name, b)
	}
	if !strings.Contains(b, "\r\no="+old+" 7 ") || strings.Contains(b, " 7 1 IN") {
		d.p.t.Errorf("the o= line does not go on:\n%s", b)
	}
	d.answer(m, 200, describe(d.p.name, 9, "sendrecv"))
	d.p.expect("ACK")
}

// TestBlindTransfer has the callee send the caller on to a third phone.
func TestBlindTransfer(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	db.reinvite(describe("bob", 2, "sendonly")) // phones hold before they transfer
	da.answer(a.expect("INVITE"), 200, describe("alice", 2, "recvonly"))
	db.expect(200)
	db.ack("")
	db.refer("<sip:103@demo.lindero.test>", "Referred-By: <sip:102@demo.lindero.test>")

	dc := c.incoming()
	if got := dc.in.header("From"); !strings.HasPrefix(got, `"User 1" <sip:101@demo.lindero.test>`) {
		t.Errorf("carol is called by %s", got)
	}
	if dc.in.header("Referred-By") != "<sip:102@demo.lindero.test>" || dc.in.body() != describe("alice", 2, "sendrecv") {
		t.Errorf("carol got\n%s", dc.in.raw)
	}
	dc.answer(dc.in, 180, "")
	b.notified("180", "active")
	dc.answer(dc.in, 200, describe("carol", 1, "sendrecv"))
	c.expect("ACK")
	da.swapped("carol", "bob")
	b.notified("200", "terminated")
	b.ok(b.expect("BYE"))

	da.reinvite(describe("alice", 10, "sendonly")) // the new pair is a call like any other
	m := c.expect("INVITE")
	if m.body() != describe("alice", 10, "sendonly") {
		t.Errorf("carol got\n%s", m.body())
	}
	dc.answer(m, 200, describe("carol", 2, "recvonly"))
	if got := da.expect(200).body(); !strings.Contains(got, "s=carol") || !strings.Contains(got, "o=bob 7 ") {
		t.Errorf("alice got\n%s", got)
	}
	da.ack("")
	dc.request("BYE", "", "")
	c.expect("200 BYE")
	a.ok(a.expect("BYE"))
	cdr := w.cdr(tenancy.OK, 200, "callee")
	if cdr.CalleeUser != 2 {
		t.Errorf("the CDR names %d as who answered", cdr.CalleeUser)
	}
	w.ended()
}

// TestBlindTransferByCaller has the caller send the callee on, and leave at once.
func TestBlindTransferByCaller(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	da.refer("sip:103@10.1.2.3")
	dc := c.incoming()
	if got := dc.in.header("From"); !strings.Contains(got, "<sip:102@") {
		t.Errorf("carol is called by %s", got)
	}
	da.request("BYE", "", "") // without waiting for the outcome
	a.expect("200 BYE")
	b.never("BYE", 20*time.Millisecond)
	da.request("INFO", "", "") // who left is gone
	a.expect("481 INFO")
	db.request("INFO", "", "") // and the other has nobody to talk to
	b.expect("480 INFO")
	dc.answer(dc.in, 200, describe("carol", 1, "sendrecv"))
	c.expect("ACK")
	db.swapped("carol", "alice")
	db.request("BYE", "", "")
	b.expect("200 BYE")
	c.ok(c.expect("BYE"))
	w.cdr(tenancy.OK, 200, "callee")
	w.ended()
}

// TestTransferFails leaves the old call as it was.
func TestTransferFails(t *testing.T) {
	t.Run("to nobody", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da, db := talk(t, a, b)
		db.refer("<sip:999@x>")
		b.notified("404", "terminated")
		da.request("INFO", "application/dtmf", "1")
		b.ok(b.expect("INFO"))
		end(w, da, a, b)
	})
	t.Run("to who is busy", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db.refer("<sip:103@x>")
		db.request("REFER", "", "", "Refer-To: <sip:103@x>") // one at a time
		b.expect("491 REFER")
		dc := c.incoming()
		dc.answer(dc.in, 486, "")
		b.notified("486", "terminated")
		end(w, da, a, b)
	})
	t.Run("the rest refuses the target", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db.refer("<sip:103@x>")
		dc := c.incoming()
		dc.answer(dc.in, 200, describe("carol", 1, "sendrecv"))
		da.answer(a.expect("INVITE"), 488, "")
		a.expect("ACK")
		c.ok(c.expect("BYE"))
		b.notified("488", "terminated")
		end(w, da, a, b)
	})
	t.Run("and the referrer has left", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		_, db := talk(t, a, b)
		db.refer("<sip:103@x>")
		dc := c.incoming()
		db.request("BYE", "", "")
		b.expect("200 BYE")
		dc.answer(dc.in, 486, "")
		a.ok(a.expect("BYE"))
		w.cdr(tenancy.OK, 200, "core")
		w.ended()
	})
	t.Run("the rest hangs up meanwhile", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db.refer("<sip:103@x>")
		dc := c.incoming()
		dc.answer(dc.in, 180, "")
		b.notified("180", "active")
		da.request("BYE", "", "")
		a.expect("200 BYE")
		b.notified("487", "terminated")
		b.ok(b.expect("BYE"))
		c.ok(c.expect("CANCEL"))
		dc.answer(dc.in, 487, "")
		w.cdr(tenancy.OK, 200, "caller")
		w.ended()
	})
}

// TestBadRefer has REFERs that make no sense, and one that wants no NOTIFY.
func TestBadRefer(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	db.request("REFER", "", "")
	b.expect("400 REFER")
	db.request("REFER", "", "", "Refer-To: <sip:103@x>, <sip:104@x>")
	b.expect("400 REFER")
	db.request("REFER", "", "", "Refer-To: <sip:103@x>", "Refer-Sub: false")
	if m := b.expect("202 REFER"); m.header("Refer-Sub") != "false" {
		t.Errorf("the 202 is\n%s", m.raw)
	}
	dc := c.incoming()
	dc.answer(dc.in, 486, "")
	b.never("NOTIFY", 20*time.Millisecond)
	end(w, da, a, b)
}

// TestManyTransfers fails a hundred times in one call, which does not collect the dead.
func TestManyTransfers(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, _ := talk(t, a, b)
	for range 100 {
		da.request("REFER", "", "", "Refer-To: <sip:103@x>", "Refer-Sub: false")
		a.expect("202 REFER")
		dc := c.incoming()
		dc.answer(dc.in, 486, "")
		c.expect("ACK")
		w.until("the transfer to be over", func() bool { return w.count("lindero_b2bua_transactions") == 0 })
	}
	if n := w.count("lindero_b2bua_dialogs"); n > 40 {
		t.Errorf("%v dialogs are kept", n)
	}
	end(w, da, a, b)
}

// TestTransferFromOldHold has a phone that held by c=0.0.0.0: its peer is given
// the description from before that, not one that leads nowhere.
func TestTransferFromOldHold(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	da.reinvite(strings.Replace(describe("alice", 2, "sendrecv"), "c=IN IP4 192.0.2.77", "c=IN IP4 0.0.0.0", 1))
	db.answer(b.expect("INVITE"), 200, describe("bob", 2, "sendrecv"))
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	db.refer("<sip:103@x>")
	dc := c.incoming()
	if dc.in.body() != describe("alice", 1, "sendrecv") {
		t.Errorf("carol got\n%s", dc.in.body())
	}
	dc.answer(dc.in, 486, "")
	b.notified("486", "terminated")
	end(w, da, a, b)
}
