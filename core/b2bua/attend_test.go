package b2bua_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// replaces is the Refer-To that names a dialog of ours.
func replaces(d *dialogue) string {
	return fmt.Sprintf("<%s?Replaces=%s>", d.target, url.PathEscape(d.callID+";to-tag="+tag(d.remote)+";from-tag="+tag(d.local)))
}

func tag(value string) string {
	_, t, _ := strings.Cut(value, ";tag=")
	return t
}

// TestAttendedTransfer joins the far ends of bob's two calls.
func TestAttendedTransfer(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	db.reinvite(describe("bob", 2, "sendonly"))
	da.answer(a.expect("INVITE"), 200, describe("alice", 2, "recvonly"))
	db.expect(200)
	db.ack("")
	db2, dc := talk(t, b, c)

	db.refer(replaces(db2))
	m := c.expect("INVITE") // carol first: she is offered alice
	if !strings.Contains(m.body(), "s=alice") || !strings.Contains(m.body(), "o=bob 7 2 ") || !strings.Contains(m.body(), "a=sendrecv") {
		t.Errorf("carol was offered\n%s", m.body())
	}
	dc.answer(m, 200, describe("carol", 2, "sendrecv"))
	c.expect("ACK")
	da.swapped("carol", "bob")
	b.notified("200", "terminated")
	b.ok(b.expect("BYE"))
	b.ok(b.expect("BYE"))

	dc.request("INFO", "application/dtmf", "7")
	m = a.expect("INFO")
	if m.body() != "7" {
		t.Errorf("alice got\n%s", m.raw)
	}
	a.ok(m)
	c.expect("200 INFO")
	da.request("BYE", "", "")
	a.expect("200 BYE")
	c.ok(c.expect("BYE"))
	for _, cdr := range w.cdrs(2) {
		if cdr.Verdict != tenancy.OK {
			t.Errorf("CDR is %+v", cdr)
		}
	}
	w.ended()
}

// TestAttendedTransferFails gives the borrowed far end back.
func TestAttendedTransferFails(t *testing.T) {
	finish := func(t *testing.T, w *world, a, b, c *phone, da, db2 *dialogue) {
		t.Helper()
		da.request("BYE", "", "")
		a.expect("200 BYE")
		b.ok(b.expect("BYE"))
		db2.request("BYE", "", "")
		b.expect("200 BYE")
		c.ok(c.expect("BYE"))
		w.cdrs(2)
		w.ended()
	}
	t.Run("no such dialog", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db2, _ := talk(t, b, c)
		wrong := *db2
		wrong.local += "x"
		db.refer(replaces(&wrong))
		b.notified("481", "terminated")
		finish(t, w, a, b, c, da, db2)
	})
	t.Run("the target refuses", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db2, dc := talk(t, b, c)
		db.refer(replaces(db2))
		dc.answer(c.expect("INVITE"), 488, "")
		b.notified("488", "terminated")
		m := c.expect("INVITE") // she is told of bob again
		if !strings.Contains(m.body(), "s=bob") {
			t.Errorf("carol was offered\n%s", m.body())
		}
		dc.answer(m, 200, describe("carol", 3, "sendrecv"))
		c.seen = nil
		finish(t, w, a, b, c, da, db2)
	})
	t.Run("the rest refuses", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db2, dc := talk(t, b, c)
		db.refer(replaces(db2))
		dc.answer(c.expect("INVITE"), 200, describe("carol", 2, "sendrecv"))
		da.answer(a.expect("INVITE"), 488, "")
		b.notified("488", "terminated")
		dc.answer(c.expect("INVITE"), 200, describe("carol", 3, "sendrecv"))
		db2.request("INFO", "", "") // both calls live
		c.ok(c.expect("INFO"))
		b.expect("200 INFO")
		finish(t, w, a, b, c, da, db2)
	})
	t.Run("the target hangs up meanwhile", func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db2, dc := talk(t, b, c)
		db.refer(replaces(db2))
		m := c.expect("INVITE")
		dc.request("BYE", "", "")
		c.expect("200 BYE")
		dc.answer(m, 487, "")
		b.notified("480", "terminated")
		b.ok(b.expect("BYE"))
		end2(t, w, a, b, da)
	})
}

func end2(t *testing.T, w *world, a, b *phone, da *dialogue) {
	t.Helper()
	da.request("BYE", "", "")
	a.expect("200 BYE")
	b.ok(b.expect("BYE"))
	w.cdrs(2)
	w.ended()
}

// takeOver is the Replaces line that names a dialog.
func takeOver(d *dialogue) string {
	return "Replaces: " + d.callID + ";to-tag=" + tag(d.remote) + ";from-tag=" + tag(d.local)
}

// TestReplaces has carol take alice's place beside bob, and fail to take bob's.
func TestReplaces(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	dc := c.call("whatever", describe("carol", 1, "sendrecv"), "Require: replaces", takeOver(da))
	m := b.expect("INVITE")
	if !strings.Contains(m.body(), "s=carol") || !strings.Contains(m.body(), "o=alice 7 2 ") {
		t.Errorf("bob was offered\n%s", m.body())
	}
	db.answer(m, 200, describe("bob", 2, "sendrecv"))
	b.expect("ACK")
	if got := dc.expect(200).body(); got != describe("bob", 2, "sendrecv") {
		t.Errorf("carol got\n%s", got)
	}
	dc.ack("")
	a.ok(a.expect("BYE"))
	dc.request("INFO", "application/dtmf", "1")
	b.ok(b.expect("INFO"))
	c.expect("200 INFO")

	da = a.call("whatever", describe("alice", 5, "sendrecv"), takeOver(db))
	m = c.expect("INVITE")
	dc.answer(m, 488, "")
	c.expect("ACK")
	da.expect(488)
	da.ackFailure()
	dc.answer(c.expect("INVITE"), 200, describe("carol", 2, "sendrecv")) // she is told of bob again
	c.expect("ACK")
	for _, line := range []string{takeOver(da), "Replaces: x;to-tag=1;from-tag=2", "Replaces: x"} {
		d := a.call("whatever", describe("alice", 6, "sendrecv"), line)
		d.expect(481)
		d.ackFailure()
	}
	db.request("BYE", "", "")
	b.expect("200 BYE")
	c.ok(c.expect("BYE"))
	w.cdrs(6)
	w.ended()
}

// TestHandOver has everybody send INFO while the target changes calls: each gets
// its answer, whichever call owned the dialog when it came.
func TestHandOver(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	for range 20 {
		da, db := talk(t, a, b)
		db2, dc := talk(t, b, c)
		storm := make(chan struct{})
		go func() {
			defer close(storm)
			for range 50 {
				dc.request("INFO", "application/dtmf", "1")
			}
		}()
		db.refer(replaces(db2))
		<-storm
		c.serve(dc, a, da, b)
		da.request("BYE", "", "")
		a.expect("200 BYE")
		c.ok(c.expect("BYE"))
		w.ended()
		a.seen, b.seen, c.seen = nil, nil, nil
	}
	w.cdrs(40)
}

// serve answers everything there is for three phones until the transfer is done
// and all of carol's INFOs have an answer.
func (p *phone) serve(dc *dialogue, a *phone, da *dialogue, b *phone) {
	p.t.Helper()
	answers, byes, joined := 0, 0, false
	p.w.until("the transfer", func() bool {
		for _, q := range []*phone{p, a, b} {
			q.left()
			seen := q.seen
			q.seen = nil
			for _, m := range seen {
				switch {
				case m.what() == "INVITE" && q == p:
					dc.answer(m, 200, describe("carol", 2, "sendrecv"))
				case m.what() == "INVITE" && q == a:
					da.answer(m, 200, describe("alice", 2, "sendrecv"))
					joined = true
				case m.what() == "INFO" || m.what() == "NOTIFY":
					q.ok(m)
				case m.what() == "BYE":
					q.ok(m)
					byes++
				case strings.HasSuffix(m.what(), " INFO"):
					answers++
				}
			}
		}
		return joined && byes == 2 && answers == 50
	})
}

// TestMailFollowsTheLeg has the target hang up when its dialog has been promised
// to another call but not handed over yet: the BYE finds the new owner.
func TestMailFollowsTheLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *b2bua.Config) {
			inner := c.Directory
			c.Directory = func(id tenancy.CompanyID) b2bua.Tenant { return slowNumbers{inner(id)} }
		})
		a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
		da, db := talk(t, a, b)
		db2, dc := talk(t, b, c)
		db2.request("REFER", "", "", "Refer-To: <sip:999@x>", "Refer-Sub: false") // the second call is busy for a second
		synctest.Wait()
		db.request("REFER", "", "", "Refer-To: "+replaces(db2))
		synctest.Wait()
		dc.request("BYE", "", "")
		b.expect("202 REFER")
		b.expect("202 REFER")
		c.expect("200 BYE")
		b.notified("100", "active")
		for _, m := range c.seen { // the offer may have been on its way
			c.respond(m, 481, "", "")
		}
		m := b.expect("NOTIFY")
		if !strings.Contains(m.header("Subscription-State"), "terminated") || strings.Contains(m.body(), "200") {
			t.Errorf("NOTIFY is\n%s", m.raw)
		}
		b.ok(m)
		b.ok(b.expect("BYE"))
		end2(t, w, a, b, da)
	})
}
