package b2bua_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// TestFork rings two phones of one user; one answers and the other is cancelled.
func TestFork(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db, db2 := b.incoming(), b2.incoming()
	if db.callID == db2.callID || db.in.header("From") == db2.in.header("From") {
		t.Error("the two INVITEs share a Call-ID or a tag")
	}
	db.answer(db.in, 180, "")
	db2.answer(db2.in, 180, "")
	da.expect(180)
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	cancel := b2.expect("CANCEL")
	if got, want := cancel.header("Via"), db2.in.header("Via"); got != want {
		t.Errorf("Via of the CANCEL is %s, want %s", got, want)
	}
	b2.ok(cancel)
	db2.answer(db2.in, 487, "")
	b2.expect("ACK")
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	if left := a.left(); len(left) != 0 {
		t.Errorf("the caller also got %v", left)
	}
	da.request("BYE", "", "")
	a.expect("200 BYE")
	b.ok(b.expect("BYE"))
	w.cdr(tenancy.OK, 200, "caller")
	w.ended()
}

// TestBothAnswer has a second phone whose 200 crosses its CANCEL: it is
// acknowledged and hung up, and the call goes on.
func TestBothAnswer(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db, db2 := b.incoming(), b2.incoming()
	db2.answer(db2.in, 180, "")
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	b2.ok(b2.expect("CANCEL"))
	db2.answer(db2.in, 200, describe("bob2", 1, "sendrecv"))
	b2.expect("ACK")
	b2.ok(b2.expect("BYE"))
	b.never("BYE", 50*time.Millisecond)
	da.request("BYE", "", "")
	b.ok(b.expect("BYE"))
	w.cdr(tenancy.OK, 200, "caller")
	w.ended()
}

// TestSecondAnswerOfOneBranch has a proxy behind one contact that forks itself
// and lets two 200s through, and a 200 that is repeated because our ACK was lost.
func TestSecondAnswerOfOneBranch(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, db := talk(t, a, b)
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	if ack := b.expect("ACK"); !strings.Contains(ack.header("To"), db.tag) {
		t.Errorf("the repeated 200 got the ACK of %s", ack.header("To"))
	}
	b.never("BYE", 20*time.Millisecond)
	other := *db
	other.tag = "another"
	other.answer(db.in, 200, describe("carol", 1, "sendrecv"))
	for _, what := range []string{"ACK", "BYE"} {
		m := b.expect(what)
		if !strings.Contains(m.header("To"), "tag=another") || len(m.all("Route")) != 2 {
			t.Errorf("%s of the second 200 is\n%s", what, m.raw)
		}
		if what == "BYE" {
			b.ok(m)
		}
	}
	da.request("BYE", "", "")
	b.ok(b.expect("BYE"))
	w.ended()

	db.answer(db.in, 200, describe("bob", 1, "sendrecv")) // when nothing is left of the call
	b.expect("ACK")
	b.ok(b.expect("BYE"))
	w.cdrs(1)
}

// TestBest has what phones say and what the caller is told (RFC 3261 §16.7).
func TestBest(t *testing.T) {
	tests := map[string]struct {
		codes   [2]int
		want    int
		verdict tenancy.Verdict
	}{
		"both busy":                     {[2]int{486, 486}, 486, tenancy.Callee},
		"busy says more than not found": {[2]int{404, 486}, 486, tenancy.Callee},
		"a 4xx before a 5xx":            {[2]int{500, 480}, 480, tenancy.Callee},
		"declined":                      {[2]int{603, 0}, 603, tenancy.Callee},
		"no common codec":               {[2]int{488, 488}, 488, tenancy.Caller},
		"a challenge is not passed on":  {[2]int{407, 407}, 480, tenancy.Callee},
		"nor a redirection":             {[2]int{302, 302}, 480, tenancy.Callee},
		"the flow is gone":              {[2]int{430, 430}, 480, tenancy.Callee},
		"the relay is dead":             {[2]int{503, 503}, 503, tenancy.Upstream},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
			da := a.call("102", describe("alice", 1, "sendrecv"))
			db, db2 := b.incoming(), b2.incoming()
			db2.answer(db2.in, 180, "")
			db.answer(db.in, tt.codes[0], "")
			b.expect("ACK")
			if tt.codes[1] == 0 { // a 6xx ends all
				b2.ok(b2.expect("CANCEL"))
				db2.answer(db2.in, 487, "")
			} else {
				a.never("486 INVITE", 5*time.Millisecond)
				db2.answer(db2.in, tt.codes[1], "")
			}
			b2.expect("ACK")
			da.expect(tt.want)
			da.ackFailure()
			by := "callee"
			if tt.verdict != tenancy.Callee {
				by = "core"
			}
			w.cdr(tt.verdict, tt.want, by)
			w.ended()
		})
	}
}

// TestRingTime ends calls that nobody takes.
func TestRingTime(t *testing.T) {
	for name, tt := range map[string]struct {
		ring bool
		code int
	}{"it rang": {true, 480}, "nothing ever answered": {false, 408}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.co.ring = 20 * time.Second
				a, b := w.phone("alice", 1), w.phone("bob", 2)
				began := time.Now()
				da := a.call("102", describe("alice", 1, "sendrecv"))
				db := b.incoming()
				if tt.ring {
					db.answer(db.in, 180, "")
				}
				da.expect(tt.code)
				da.ackFailure()
				if took := time.Since(began); took != 20*time.Second {
					t.Errorf("it rang for %v", took)
				}
				if tt.ring {
					b.ok(b.expect("CANCEL"))
					db.answer(db.in, 487, "")
					b.expect("ACK")
				} else {
					b.never("CANCEL", 100*time.Second) // RFC 3261 §9.1: not before a provisional response
				}
				w.cdr(tenancy.Callee, tt.code, "callee")
				w.ended()
			})
		})
	}
}

// TestSilentBranch has a phone that rings, is cancelled, and never says another
// word: sipgo would wait for ever, we do not.
func TestSilentBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da := a.call("102", describe("alice", 1, "sendrecv"))
		db := b.incoming()
		db.answer(db.in, 180, "")
		da.expect(180)
		da.cancel()
		a.expect("200 CANCEL")
		da.expect(487)
		da.ackFailure()
		b.expect("CANCEL")
		b.never("BYE", 70*time.Second)
		if n := w.b.Calls(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
		w.cdr(tenancy.Caller, 487, "caller")
	})
}

// TestEarlyMedia passes the early media of the first phone that has some.
func TestEarlyMedia(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db, db2 := b.incoming(), b2.incoming()
	db.answer(db.in, 180, "")
	da.expect(180)
	db2.answer(db2.in, 180, "") // a second ringing says nothing new
	db2.answer(db2.in, 183, describe("bob2", 1, "sendrecv"))
	if got := da.expect(183).body(); got != describe("bob2", 1, "sendrecv") {
		t.Errorf("early media is\n%s", got)
	}
	db.answer(db.in, 183, describe("bob", 1, "sendrecv"))
	a.never("183 INVITE", 20*time.Millisecond)
	a.never("180 INVITE", 0)
	db2.answer(db2.in, 486, "") // the announcement is over: now the other may be heard
	b2.expect("ACK")
	db.answer(db.in, 183, describe("bob", 1, "sendrecv"))
	if got := da.expect(183).body(); got != describe("bob", 1, "sendrecv") {
		t.Errorf("early media is\n%s", got)
	}
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	if got := da.expect(200).body(); got != describe("bob", 1, "sendrecv") {
		t.Errorf("the answer is\n%s", got)
	}
	da.ack("")
	da.request("BYE", "", "")
	b.ok(b.expect("BYE"))
	w.ended()
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db, db2 := b.incoming(), b2.incoming()
	db.answer(db.in, 180, "")
	rung := da.expect(180)
	da.cancel()
	ok := a.expect("200 CANCEL")
	if got, want := ok.header("To"), rung.header("To"); got != want {
		t.Errorf("To of the 200 to CANCEL is %s, want %s", got, want)
	}
	da.expect(487)
	da.ackFailure()
	b.ok(b.expect("CANCEL"))
	db.answer(db.in, 487, "")
	b.expect("ACK")
	b2.never("CANCEL", 20*time.Millisecond)
	db2.answer(db2.in, 100, "") // only now is it known to have the INVITE
	b2.ok(b2.expect("CANCEL"))
	db2.answer(db2.in, 487, "")
	b2.expect("ACK")
	w.cdr(tenancy.Caller, 487, "caller")
	w.ended()
	a.never("200 INVITE", 0)
}

// TestCancelMeetsAnswer has the CANCEL and the 200 cross, in both orders. The
// caller must see one final response, and nobody may be left in a call alone.
func TestCancelMeetsAnswer(t *testing.T) {
	t.Run("the CANCEL is first", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da := a.call("102", describe("alice", 1, "sendrecv"))
		db := b.incoming()
		db.answer(db.in, 180, "")
		da.expect(180)
		da.cancel()
		db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
		a.expect("200 CANCEL")
		da.expect(487)
		b.expect("ACK")
		b.ok(b.expect("BYE"))
		da.ackFailure()
		w.cdr(tenancy.Caller, 487, "caller")
		w.ended()
		a.never("200 INVITE", 20*time.Millisecond)
	})
	t.Run("the 200 is first", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da := a.call("102", describe("alice", 1, "sendrecv"))
		db := b.incoming()
		db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
		da.expect(200)
		da.cancel()
		a.expect("200 CANCEL")
		a.never("487 INVITE", 20*time.Millisecond)
		da.ack("")
		b.expect("ACK")
		da.request("BYE", "", "")
		a.expect("200 BYE")
		b.ok(b.expect("BYE"))
		w.cdr(tenancy.OK, 200, "caller")
		w.ended()
	})
	t.Run("many times at once", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		for range 200 {
			da := a.call("102", describe("alice", 1, "sendrecv"))
			db := b.incoming()
			db.answer(db.in, 180, "")
			da.expect(180)
			done := make(chan struct{})
			go func() { defer close(done); db.answer(db.in, 200, describe("bob", 1, "sendrecv")) }()
			da.cancel()
			<-done
			a.expect("200 CANCEL")
			b.expect("ACK")
			w.settleRace(a, b, da)
		}
		w.ended()
		w.cdrs(200)
	})
}

// settleRace ends a call that was cancelled or answered, whichever won.
func (w *world) settleRace(a, b *phone, da *dialogue) {
	w.t.Helper()
	finals := 0
	w.until("a final response", func() bool {
		for _, what := range a.left() {
			if what == "200 INVITE" || what == "487 INVITE" {
				finals++
			}
		}
		return finals > 0
	})
	if finals != 1 {
		w.t.Fatalf("the caller got %d final responses", finals)
	}
	if a.seen[len(a.seen)-1].what() == "200 INVITE" {
		da.expect(200)
		da.ack("")
		da.request("BYE", "", "")
		a.expect("200 BYE")
	} else {
		da.expect(487)
		da.ackFailure()
	}
	b.ok(b.expect("BYE"))
	for _, m := range b.seen { // a CANCEL may have been sent or not
		b.ok(m)
	}
	b.seen = nil
}

// TestSameInviteTwice has one INVITE come by two ways, and one repeated.
func TestSameInviteTwice(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db := b.incoming()
	a.send(da.invite)
	b.never("INVITE", 20*time.Millisecond)
	a.send(strings.Replace(da.invite, ";branch=z9hG4bK", ";branch=z9hG4bKother", 1))
	a.expect("482 INVITE")
	db.answer(db.in, 486, "")
	da.expect(486)
	da.ackFailure()
	w.cdr(tenancy.Callee, 486, "callee")
	w.ended()
}

// TestRaisedInterval tries again when a phone wants a longer session interval.
func TestRaisedInterval(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da := a.call("102", describe("alice", 1, "sendrecv"))
	db := b.incoming()
	if got := db.in.header("Session-Expires"); got != "1800" {
		t.Errorf("Session-Expires is %s", got)
	}
	db.answer(db.in, 422, "", "Min-SE: 3600")
	again := b.incoming()
	if again.callID != db.callID || again.in.header("Session-Expires") != "3600" || again.in.header("Min-SE") != "3600" || again.in.CSeq().SeqNo != 2 {
		t.Errorf("the second INVITE is\n%s", again.in.raw)
	}
	again.answer(again.in, 486, "")
	da.expect(486)
	da.ackFailure()
	w.ended()
}

// TestCancelDuringLookup has the caller give up while the directory is asked:
// nobody's phone rings.
func TestCancelDuringLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *b2bua.Config) {
			inner := c.Directory
			c.Directory = func(id tenancy.CompanyID) b2bua.Tenant { return late{inner(id)} }
		})
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da := a.call("102", describe("alice", 1, "sendrecv"))
		<-time.After(time.Second)
		da.cancel()
		a.expect("200 CANCEL")
		da.expect(487)
		da.ackFailure()
		b.never("INVITE", time.Minute)
		w.cdr(tenancy.Caller, 487, "caller")
		w.ended()
	})
}

type late struct{ b2bua.Tenant }

func (l late) Company(ctx context.Context) (tenancy.Company, error) {
	<-time.After(2 * time.Second)
	return l.Tenant.Company(ctx)
}

// TestTrying sends 100 when the callee says nothing, and not after the answer.
func TestTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da := a.call("102", describe("alice", 1, "sendrecv"))
		db := b.incoming()
		da.expect(100)
		db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
		da.expect(200)
		da.ack("")
		db.reinvite(describe("bob", 2, "sendonly"))
		da.answer(a.expect("INVITE"), 200, describe("alice", 2, "recvonly"))
		db.expect(200)
		b.never("100 INVITE", 400*time.Millisecond) // sipgo's timer would send it after 200 ms
		b.send(db.invite)                           // and a repetition gets the 200 again, by the clock
		db.expect(200)
		b.never("180 INVITE", 0)
		db.ack("")
		end(w, da, a, b)
	})
}
