package b2bua_test

import (
	"testing"

	"github.com/lindero/lindero/core/tenancy"
)

// roamingCaller is what core/front says of a user who may have one call from anywhere.
const roamingCaller = "Lindero-Caller: 1;user=1;terminal=1;roaming=1"

// A user far from the company's networks has as many calls as the company lets,
// and the next one when one of them has ended, however it did.
func TestRoamingCallsAreBounded(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	ring := func() (*dialogue, *dialogue) {
		t.Helper()
		d := a.call("102", describe("alice", 1, "sendrecv"), roamingCaller)
		in := b.incoming()
		in.answer(in.in, 180, "")
		d.expect(180)
		return d, in
	}
	first, atBob := ring()
	refused := a.call("102", describe("alice", 1, "sendrecv"), roamingCaller)
	if got := refused.expect(403).header("Lindero-Credentials"); got != "right" {
		t.Errorf("the edge is told that the credentials were %q", got)
	}
	refused.ackFailure()
	if n := w.count("lindero_b2bua_roaming_refused_total"); n != 1 {
		t.Errorf("%v refusals counted", n)
	}
	// The bound is the user's: others, and the user's own calls from inside, go on.
	da, db := talk(t, w.phone("carol", 3), b)
	inside := a.call("102", describe("alice", 1, "sendrecv"))
	in := b.incoming()
	in.answer(in.in, 486, "")
	inside.expect(486)
	inside.ackFailure()

	atBob.answer(atBob.in, 486, "") // busy: it ends without having been answered
	first.expect(486)
	first.ackFailure()
	second, atBob := ring()
	second.cancel()
	a.expect("200 CANCEL")
	second.expect(487)
	second.ackFailure()
	b.ok(b.expect("CANCEL"))
	atBob.answer(atBob.in, 487, "")
	third, atBob := ring()
	atBob.answer(atBob.in, 486, "")
	third.expect(486)
	third.ackFailure()
	da.request("BYE", "", "")
	b.ok(b.expect("BYE"))
	_ = db
	w.ended()
	for _, c := range w.cdrs(6) {
		if c.Code == 403 && (c.Verdict != tenancy.Caller || c.Reason != "calls from anywhere are all in use") {
			t.Errorf("the refused call's record is %+v", c)
		}
	}
}

// What a callee refuses looks to the edge like a refusal of core's; it must not
// take the caller for somebody who guesses.
func TestACalleesRefusalIsNotTheCallersFault(t *testing.T) {
	w := newWorld(t)
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	for _, code := range []int{403, 404} {
		d := a.call("102", describe("alice", 1, "sendrecv"))
		in := b.incoming()
		in.answer(in.in, code, "")
		want := ""
		if code == 403 {
			want = "right"
		}
		if got := d.expect(code).header("Lindero-Credentials"); got != want {
			t.Errorf("%d says that the credentials were %q, want %q", code, got, want)
		}
		d.ackFailure()
	}
	w.ended()
}
