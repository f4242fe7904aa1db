package b2bua_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// end hangs up from a's side.
func end(w *world, da *dialogue, a, b *phone) {
	w.t.Helper()
	da.request("BYE", "", "")
	a.expect("200 BYE")
	b.ok(b.expect("BYE"))
	w.cdr(tenancy.OK, 200, "caller")
	w.ended()
}

// TestHold changes the session from either side and back.
func TestHold(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)

	hold := describe("alice", 2, "sendonly")
	da.reinvite(hold)
	m := b.expect("INVITE")
	if m.body() != hold || !strings.Contains(m.header("To"), db.tag) || m.header("Call-ID") != db.callID {
		t.Errorf("the callee got\n%s", m.raw)
	}
	held := describe("bob", 2, "recvonly")
	db.answer(m, 200, held)
	b.expect("ACK")
	if got := da.expect(200); got.body() != held {
		t.Errorf("the caller got\n%s", got.raw)
	}
	da.ack("")

	back := describe("bob", 3, "sendrecv")
	db.reinvite(back)
	m = a.expect("INVITE")
	if m.body() != back {
		t.Errorf("the caller got\n%s", m.raw)
	}
	da.answer(m, 200, describe("alice", 3, "sendrecv"))
	a.expect("ACK")
	if got := db.expect(200).body(); got != describe("alice", 3, "sendrecv") {
		t.Errorf("the callee got\n%s", got)
	}
	db.ack("")
	end(w, da, a, b)
}

// TestNoOffer has INVITEs without a description, first and later: the offer
// comes in the 2xx and the answer in the ACK.
func TestNoOffer(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", "")
	db := b.incoming()
	if db.in.body() != "" {
		t.Errorf("an offer appeared:\n%s", db.in.raw)
	}
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	if got := da.expect(200).body(); got != describe("bob", 1, "sendrecv") {
		t.Errorf("the offer is\n%s", got)
	}
	b.never("ACK", 20*time.Millisecond)
	da.ack(describe("alice", 1, "sendrecv"))
	if got := b.expect("ACK").body(); got != describe("alice", 1, "sendrecv") {
		t.Errorf("the answer is\n%s", got)
	}
	db.reinvite("")
	m := a.expect("INVITE")
	da.answer(m, 200, describe("alice", 2, "sendrecv"))
	if got := db.expect(200).body(); got != describe("alice", 2, "sendrecv") {
		t.Errorf("the second offer is\n%s", got)
	}
	db.ack(describe("bob", 2, "sendonly"))
	if got := a.expect("ACK").body(); got != describe("bob", 2, "sendonly") {
		t.Errorf("the second answer is\n%s", got)
	}
	end(w, da, a, b)
}

// TestRefusedChange passes a refusal back and leaves the call as it was.
func TestRefusedChange(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	da.reinvite(describe("alice", 2, "sendonly"))
	db.answer(b.expect("INVITE"), 488, "")
	b.expect("ACK")
	da.expect(488)
	da.ackFailure()
	db.reinvite(describe("bob", 1, "sendrecv")) // unchanged: answered with what bob was told last that he took
	if got := db.expect(200).body(); got != describe("alice", 1, "sendrecv") {
		t.Errorf("the refresh got\n%s", got)
	}
	db.ack("")
	da.reinvite(describe("alice", 3, "sendonly"))
	db.answer(b.expect("INVITE"), 200, describe("bob", 2, "recvonly"))
	da.expect(200)
	da.ack("")
	end(w, da, a, b)
}

// TestGlare has both sides change the session at once (RFC 3261 §14.2).
func TestGlare(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	da.reinvite(describe("alice", 2, "sendonly"))
	m := b.expect("INVITE")
	db.reinvite(describe("bob", 2, "sendonly"))
	db.expect(491)
	db.ackFailure()
	db.request("UPDATE", "application/sdp", describe("bob", 2, "sendonly"))
	b.expect("491 UPDATE")
	da.reinvite(describe("alice", 2, "inactive")) // and one of them twice
	da.expect(500)
	da.ackFailure()
	da.seq--
	db.answer(m, 491, "")
	a.expect("491 INVITE")
	da.ackFailure()
	db.reinvite(describe("bob", 2, "sendonly"))
	da.answer(a.expect("INVITE"), 200, describe("alice", 2, "recvonly"))
	db.expect(200)
	db.ack("")
	da.seq++
	end(w, da, a, b)
}

// TestReinviteCancelled cancels a change while the other side thinks about it.
func TestReinviteCancelled(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	da.reinvite(describe("alice", 2, "sendonly"))
	m := b.expect("INVITE")
	db.answer(m, 100, "")
	remote := da.remote
	da.cancel()
	a.expect("200 CANCEL")
	da.expect(487)
	da.ackFailure()
	da.remote = remote
	b.ok(b.expect("CANCEL"))
	db.answer(m, 200, describe("bob", 2, "recvonly")) // too late: it is told to go back
	b.expect("ACK")
	m = b.expect("INVITE")
	if m.body() != describe("alice", 1, "sendrecv") {
		t.Errorf("back is\n%s", m.body())
	}
	db.answer(m, 200, describe("bob", 3, "sendrecv"))
	b.expect("ACK")
	end(w, da, a, b)
}

// TestUpdate has UPDATE to a phone that knows it and to one that does not.
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	db.request("UPDATE", "application/sdp", describe("bob", 2, "sendonly"))
	m := a.expect("UPDATE") // alice allows it
	if m.body() != describe("bob", 2, "sendonly") {
		t.Errorf("the caller got\n%s", m.raw)
	}
	da.answer(m, 200, describe("alice", 2, "recvonly"))
	if got := b.expect("200 UPDATE").body(); got != describe("alice", 2, "recvonly") {
		t.Errorf("the answer is\n%s", got)
	}
	da.request("UPDATE", "application/sdp", describe("alice", 3, "sendonly"))
	m = b.expect("INVITE") // bob does not
	db.answer(m, 200, describe("bob", 3, "recvonly"))
	b.expect("ACK")
	if got := a.expect("200 UPDATE").body(); got != describe("bob", 3, "recvonly") {
		t.Errorf("the answer is\n%s", got)
	}
	da.request("UPDATE", "", "", "Supported: timer", "Session-Expires: 300;refresher=uac")
	if got := a.expect("200 UPDATE").header("Session-Expires"); got != "300;refresher=uac" {
		t.Errorf("Session-Expires is %s", got)
	}
	b.never("UPDATE", 10*time.Millisecond)
	end(w, da, a, b)
}

// TestEarlyRequests has requests before there is an answer.
func TestEarlyRequests(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db := b.incoming()
	db.answer(db.in, 180, "")
	da.expect(180)
	da.request("UPDATE", "application/sdp", describe("alice", 2, "sendrecv"))
	a.expect("491 UPDATE")
	da.request("INFO", "application/dtmf", "5")
	a.expect("480 INFO")
	da.request("REFER", "", "", "Refer-To: <sip:103@x>")
	a.expect("491 REFER")
	db.request("BYE", "", "")
	b.expect("481 BYE")
	da.request("BYE", "", "") // a caller may leave an early dialog so
	a.expect("200 BYE")
	a.expect("487 INVITE")
	b.ok(b.expect("CANCEL"))
	db.answer(db.in, 487, "")
	w.cdr(tenancy.Caller, 487, "caller")
	w.ended()
}

// TestCarried has what passes from one side to the other, and what does not.
func TestCarried(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	da.request("INFO", "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "Info-Package: x", "X-Secret: 1")
	m := b.expect("INFO")
	if m.body() != "Signal=5\r\nDuration=160\r\n" || m.header("Content-Type") != "application/dtmf-relay" ||
		m.header("Info-Package") != "x" || m.header("X-Secret") != "" {
		t.Errorf("INFO arrived as\n%s", m.raw)
	}
	b.ok(m)
	a.expect("200 INFO")
	db.request("MESSAGE", "text/plain", "hello")
	m = a.expect("MESSAGE")
	if m.body() != "hello" {
		t.Errorf("MESSAGE arrived as\n%s", m.raw)
	}
	a.respond(m, 415, "", "")
	b.expect("415 MESSAGE")
	da.request("OPTIONS", "", "")
	a.expect("200 OPTIONS")
	da.request("NOTIFY", "", "", "Event: refer")
	a.expect("481 NOTIFY")
	da.request("SUBSCRIBE", "", "")
	a.expect("489 SUBSCRIBE")
	da.request("FOO", "", "")
	a.expect("405 FOO")
	da.request("INFO", "", "", "Require: unicorn")
	a.expect("420 INFO")
	stranger := *da // knows the Call-ID and our tag, but not the caller's
	stranger.local += "x"
	stranger.request("BYE", "", "")
	a.expect("481 BYE")
	da.seq -= 3
	da.request("INFO", "", "") // out of order (RFC 3261 §12.2.2)
	a.expect("500 INFO")
	da.seq += 3
	end(w, da, a, b)
	da.request("INFO", "", "")
	a.expect("481 INFO")
}

// TestInOrder sends a burst that is delivered in one go; it must arrive in order.
func TestInOrder(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, _ := talk(t, a, b)
	for i := range 200 {
		da.request("INFO", "application/dtmf", fmt.Sprint(i))
	}
	for i := range 200 {
		m := b.expect("INFO")
		if got := m.body(); got != fmt.Sprint(i) {
			t.Fatalf("INFO %d carries %s", i, got)
		}
		b.ok(m)
		a.expect("200 INFO")
	}
	end(w, da, a, b)
}

// TestBothHangUp has the two BYEs cross.
func TestBothHangUp(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	for range 50 {
		da, db := talk(t, a, b)
		done := make(chan struct{})
		go func() { defer close(done); db.request("BYE", "", "") }()
		da.request("BYE", "", "")
		<-done
		a.expect("200 BYE")
		b.expect("200 BYE")
		w.until("the other BYE", func() bool { a.left(); b.left(); return len(a.seen)+len(b.seen) > 0 })
		for _, p := range []*phone{a, b} {
			for _, m := range p.seen {
				if m.what() != "BYE" {
					t.Errorf("%s got %s", p.name, m.what())
				}
				p.ok(m)
			}
			p.seen = nil
		}
		w.ended()
	}
	w.cdrs(50)
}

// TestLostACK repeats the 2xx until the caller's ACK comes, or hangs up both.
func TestLostACK(t *testing.T) {
	t.Run("it comes late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.phone("alice", 1), w.phone("bob", 2)
			da := a.call("102", describe("alice", 1, "sendrecv"))
			db := b.incoming()
			began := time.Now()
			db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
			var at []time.Duration
			for range 6 {
				da.expect(200)
				at = append(at, time.Since(began))
			}
			if got, want := fmt.Sprint(at), "[0s 500ms 1.5s 3.5s 7.5s 11.5s]"; got != want {
				t.Errorf("the 200 came at %s, want %s", got, want)
			}
			da.ack("")
			a.never("200 INVITE", 20*time.Second)
			end(w, da, a, b)
		})
	})
	t.Run("it never comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.phone("alice", 1), w.phone("bob", 2)
			da := a.call("102", describe("alice", 1, "sendrecv"))
			db := b.incoming()
			began := time.Now()
			db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
			da.expect(200)
			b.ok(b.expect("BYE"))
			if took := time.Since(began); took < 31*time.Second || took > 36*time.Second {
				t.Errorf("it was given up after %v", took)
			}
			a.ok(a.expect("BYE"))
			w.cdr(tenancy.Upstream, 200, "core")
			w.ended()
		})
	})
}

// TestLostACKInACall has a callee that waits for it too, and one that hangs up.
func TestLostACKInACall(t *testing.T) {
	t.Run("it would have had the answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.phone("alice", 1), w.phone("bob", 2)
			da := a.call("102", "")
			db := b.incoming()
			db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
			da.expect(200)
			b.expect("ACK") // before the BYE, so that bob stops repeating
			b.ok(b.expect("BYE"))
			a.ok(a.expect("BYE"))
			w.ended()
		})
	})
	t.Run("the callee hangs up meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.phone("alice", 1), w.phone("bob", 2)
			da := a.call("102", describe("alice", 1, "sendrecv"))
			db := b.incoming()
			db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
			b.expect("ACK")
			da.expect(200)
			db.request("BYE", "", "")
			b.expect("200 BYE")
			a.never("BYE", 100*time.Millisecond) // RFC 3261 §15: not before its ACK
			da.ack("")
			a.ok(a.expect("BYE"))
			w.cdr(tenancy.OK, 200, "callee")
			w.ended()
		})
	})
}

// TestPeerForgot ends the call when one side does not know it any more.
func TestPeerForgot(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	da.reinvite(describe("alice", 2, "sendonly"))
	db.answer(b.expect("INVITE"), 481, "")
	b.expect("ACK")
	da.expect(481)
	da.ackFailure()
	a.ok(a.expect("BYE"))
	b.respond(b.expect("BYE"), 481, "", "")
	w.cdr(tenancy.Upstream, 200, "core")
	w.ended()
}

// TestFlood buries a call in provisional responses and requests.
func TestFlood(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db := b.incoming()
	for range 5000 {
		db.answer(db.in, 183, "")
	}
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	da.expect(200)
	da.ack("")
	end(w, da, a, b)
}

// TestSilentChange has a phone that takes a re-INVITE, says 180, and no more:
// sipgo would wait for ever.
func TestSilentChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da, db := talk(t, a, b)
		began := time.Now()
		da.reinvite(describe("alice", 2, "sendonly"))
		db.answer(b.expect("INVITE"), 180, "")
		b.ok(b.expect("CANCEL"))
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("it was cancelled after %v", took)
		}
		da.expect(408)
		da.ackFailure()
		a.ok(a.expect("BYE"))
		b.ok(b.expect("BYE"))
		w.cdr(tenancy.Upstream, 200, "core")
		w.ended()
	})
}

// TestBuried floods a call that is busy: what is too much is refused, and the call lives.
func TestBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *b2bua.Config) {
			inner := c.Directory
			c.Directory = func(id tenancy.CompanyID) b2bua.Tenant { return slowNumbers{inner(id)} }
		})
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da, _ := talk(t, a, b)
		da.request("REFER", "", "", "Refer-To: <sip:999@x>")
		synctest.Wait() // the call asks the directory
		for range 800 {
			da.request("OPTIONS", "", "")
		}
		a.expect("202 REFER")
		a.notified("100", "active")
		a.notified("404", "terminated")
		synctest.Wait()
		served, refused := 0, 0
		for _, what := range a.left() {
			switch what {
			case "200 OPTIONS":
				served++
			case "503 OPTIONS":
				refused++
			}
		}
		if served != 512 || refused != 288 {
			t.Errorf("%d were served and %d refused", served, refused)
		}
		a.seen = nil
		end(w, da, a, b)
	})
}

type slowNumbers struct{ b2bua.Tenant }

func (s slowNumbers) Extension(ctx context.Context, number string) (tenancy.Extension, error) {
	<-time.After(time.Second)
	return s.Tenant.Extension(ctx, number)
}
