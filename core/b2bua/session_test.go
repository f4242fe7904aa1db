package b2bua_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// connect sets up a call with header lines of our choice in its INVITE and 200.
func connect(t *testing.T, a, b *phone, invite, answer []string) (da, db *dialogue, ok msg) {
	t.Helper()
	da = a.call("102", describe("alice", 1, "sendrecv"), invite...)
	db = b.incoming()
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"), answer...)
	b.expect("ACK")
	ok = da.expect(200)
	da.ack("")
	return da, db, ok
}

// TestTimerTerms has what the caller's INVITE and the callee's 200 say of the
// session timer, and what becomes of it (RFC 4028 §9, table 2).
func TestTimerTerms(t *testing.T) {
	tests := map[string]struct {
		invite []string
		want   string
		req    string
	}{
		"nothing is said":             {nil, "1800;refresher=uas", ""},
		"timers are known":            {[]string{"Supported: 100rel, timer"}, "1800;refresher=uac", "timer"},
		"the caller wants to refresh": {[]string{"k: timer", "Session-Expires: 600;refresher=uac"}, "600;refresher=uac", "timer"},
		"we are to refresh":           {[]string{"k: timer", "x: 600;refresher=uas"}, "600;refresher=uas", ""},
		"too long for us":             {[]string{"k: timer", "x: 7200"}, "1800;refresher=uac", "timer"},
		"but not below its minimum":   {[]string{"k: timer", "x: 7200", "Min-SE: 3600"}, "3600;refresher=uac", "timer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.phone("alice", 1), w.phone("bob", 2)
			da, _, ok := connect(t, a, b, tt.invite, nil)
			if got := ok.header("Session-Expires"); got != tt.want {
				t.Errorf("Session-Expires is %q, want %q", got, tt.want)
			}
			if got := ok.header("Require"); got != tt.req {
				t.Errorf("Require is %q, want %q", got, tt.req)
			}
			end(w, da, a, b)
		})
	}
}

// TestWeRefresh keeps both sides alive for hours, then one stops answering.
func TestWeRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		_, db, _ := connect(t, a, b,
			[]string{"k: timer", "x: 1000;refresher=uas"}, []string{"Session-Expires: 600;refresher=uac", "Allow: INVITE, ACK, BYE"})
		began := time.Now()
		m := b.expect("INVITE") // bob does not allow UPDATE
		if took := time.Since(began); took != 300*time.Second {
			t.Errorf("the callee was refreshed after %v", took)
		}
		if m.body() != describe("alice", 1, "sendrecv") || m.header("Session-Expires") != "600;refresher=uac" {
			t.Errorf("the refresh is\n%s", m.raw)
		}
		db.answer(m, 200, describe("bob", 1, "sendrecv"), "Session-Expires: 600;refresher=uac")
		b.expect("ACK")
		m = a.expect("UPDATE") // alice does
		if took := time.Since(began); took != 500*time.Second || m.body() != "" {
			t.Errorf("the caller was refreshed after %v:\n%s", took, m.raw)
		}
		a.respond(m, 200, "", "", "Session-Expires: 1000;refresher=uac")
		db.answer(b.expect("INVITE"), 491, "") // it is tried again soon
		b.expect("ACK")
		m = b.expect("INVITE")
		if took := time.Since(began); took != 602*time.Second {
			t.Errorf("tried again after %v", took)
		}
		db.answer(m, 200, describe("bob", 1, "sendrecv"), "Session-Expires: 600;refresher=uac")
		b.expect("ACK")
		b.expect("INVITE") // and now bob is dead: Timer B
		b.expect("BYE")
		if took := time.Since(began); took != 902*time.Second+32*time.Second {
			t.Errorf("given up after %v", took)
		}
		a.ok(a.expect("BYE"))
		w.cdr(tenancy.Upstream, 200, "core")
		a.never("UPDATE", time.Hour)
		w.ended()
	})
}

// TestTheyRefresh ends a call whose caller was to refresh and does not.
func TestTheyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		da, _, _ := connect(t, a, b, []string{"k: timer", "x: 300"}, []string{"Session-Expires: 3600;refresher=uas"})
		began := time.Now()
		<-time.After(200 * time.Second)
		da.request("UPDATE", "", "", "k: timer", "x: 300;refresher=uac")
		a.expect("200 UPDATE")
		<-time.After(200 * time.Second)
		da.reinvite(describe("alice", 1, "sendrecv"), "k: timer", "x: 300;refresher=uac") // unchanged: a refresh
		if got := da.expect(200); got.body() != describe("bob", 1, "sendrecv") || got.header("Session-Expires") != "300;refresher=uac" {
			t.Errorf("the refresh got\n%s", got.raw)
		}
		da.ack("")
		b.never("INVITE", 0)
		a.ok(a.expect("BYE"))
		b.ok(b.expect("BYE"))
		if took := time.Since(began); took != 400*time.Second+300*time.Second-32*time.Second {
			t.Errorf("it expired after %v", took)
		}
		w.cdr(tenancy.Upstream, 200, "core")
		w.ended()
	})
}

// TestPeerWithoutTimers is refreshed all the same, so that its death is noticed.
func TestPeerWithoutTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withTiming(func(x *b2bua.Timing) { x.Session = 100 * time.Second }))
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		_, db, _ := connect(t, a, b, []string{"k: timer", "x: 3600;refresher=uac"}, nil)
		began := time.Now()
		m := b.expect("INVITE")
		if time.Since(began) != 50*time.Second || m.header("Require") != "" {
			t.Errorf("after %v:\n%s", time.Since(began), m.raw)
		}
		db.answer(m, 481, "") // it restarted
		b.expect("ACK")
		b.respond(b.expect("BYE"), 481, "", "")
		a.ok(a.expect("BYE"))
		w.cdr(tenancy.Upstream, 200, "core")
		w.ended()
	})
}
