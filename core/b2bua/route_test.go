package b2bua_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// TestRefused has a row for every INVITE that is refused before anybody is called.
func TestRefused(t *testing.T) {
	tests := map[string]struct {
		number  string
		lines   []string
		prepare func(*world)
		code    int
		verdict tenancy.Verdict
		header  string // a line the response has
		nocdr   bool
	}{
		"nobody knows the number":      {number: "999", code: 404, verdict: tenancy.Caller},
		"the number is of elsewhere":   {number: "102@other.example", code: 404, verdict: tenancy.Caller},
		"an edge's address is dialled": {number: "600@198.51.100.1:5060", code: 480, verdict: tenancy.Ours},
		"the user has no phone":        {number: "105", code: 480, verdict: tenancy.Callee},
		"too many hops":                {number: "102", lines: []string{"Max-Forwards: 0"}, code: 483, verdict: tenancy.Caller},
		"an option we do not know":     {number: "102", lines: []string{"Require: 100rel"}, code: 420, verdict: tenancy.Caller, header: "Unsupported: 100rel"},
		"a session timer too short":    {number: "102", lines: []string{"k: timer", "x: 30"}, code: 422, verdict: tenancy.Caller, header: "Min-SE: 90"},
		"a voice that does not exist":  {number: "600", code: 480, verdict: tenancy.Ours},
		"the directory is dead":        {number: "102", prepare: func(w *world) { w.co.dead = errors.New("no database") }, code: 500, verdict: tenancy.Ours},
		"the callee's edge is dead":    {number: "102", prepare: func(w *world) { w.phones = map0(w) }, code: 503, verdict: tenancy.Upstream},
		"a bug":                        {number: "102", prepare: func(w *world) { w.co.panics = true }, code: 500, verdict: tenancy.Ours},
		"there are too many calls":     {number: "102", prepare: func(w *world) { w.phone("carol", 3).call("102", "") }, code: 503, nocdr: true, header: "Retry-After: 5"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c *b2bua.Config) {
					if tt.nocdr {
						c.MaxCalls = 1
					}
				})
				a := w.phone("alice", 1)
				w.phone("bob", 2)
				if tt.prepare != nil {
					tt.prepare(w)
				}
				began := time.Now()
				d := a.call(tt.number, describe("alice", 1, "sendrecv"), tt.lines...)
				res := d.expect(tt.code)
				d.ackFailure()
				if !strings.Contains(res.raw, tt.header) {
					t.Errorf("no %q in\n%s", tt.header, res.raw)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if !tt.nocdr {
					w.cdr(tt.verdict, tt.code, "core")
					w.ended()
				}
			})
		})
	}
}

// map0 leaves only the first phone reachable.
func map0(w *world) map[addrPort]*phone {
	for addr, p := range w.phones {
		if p.name == "alice" {
			return map[addrPort]*phone{addr: p}
		}
	}
	return nil
}

// TestStranger has the requests of whom core/front did not name: no call, no CDR.
func TestStranger(t *testing.T) {
	w := newWorld(t)
	a := w.phone("alice", 1)
	for _, line := range []string{"X: y", "Lindero-Caller: ", "Lindero-Caller: 1", "Lindero-Caller: x;user=1", "Lindero-Caller: -1;user=1"} {
		d := &dialogue{p: a, callID: "c" + a.branch(), tag: "t", seq: 1, local: "<sip:x@y>;tag=" + a.branch(), remote: "<sip:102@demo.lindero.test>", target: "sip:102@demo.lindero.test"}
		d.sendInvite("", line)
		d.expect(403)
		d.ackFailure()
	}
	w.ended()
	if all := w.co.written(); len(all) != 0 {
		t.Errorf("CDRs: %+v", all)
	}
}

// TestOutside has requests outside dialogs and what they get.
func TestOutside(t *testing.T) {
	w := newWorld(t)
	a := w.phone("alice", 1)
	for method, want := range map[string]string{
		"OPTIONS": "200", "SUBSCRIBE": "489", "PUBLISH": "489", "REFER": "603", "BYE": "481", "INFO": "481", "FOO": "405", "CANCEL": "481",
	} {
		d := &dialogue{p: a, callID: "c" + method, tag: "t", local: "<sip:x@y>;tag=1", remote: "<sip:102@demo.lindero.test>", target: "sip:102@demo.lindero.test"}
		d.request(method, "", "")
		res := a.expect(want + " " + method)
		if want == "405" && !strings.Contains(res.header("Allow"), "INVITE") {
			t.Errorf("405 without Allow:\n%s", res.raw)
		}
	}
	for _, method := range []string{"BYE", "INVITE", "INFO", "REFER", "UPDATE", "OPTIONS"} {
		d := &dialogue{p: a, callID: "d" + method, tag: "t", local: "<sip:x@y>;tag=1", remote: "<sip:102@demo.lindero.test>;tag=unknown", target: "sip:102@demo.lindero.test"}
		d.request(method, "", "")
		a.expect("481 " + method)
	}
}

// TestGarbage feeds what is no SIP; nothing happens but counting.
func TestGarbage(t *testing.T) {
	w := newWorld(t)
	a := w.phone("alice", 1)
	for _, text := range []string{
		"", "\r\n\r\n", "hello", "SIP/2.0 200 OK\r\n\r\n", "INVITE sip:x SIP/2.0\r\n\r\n", "INVITE  SIP/2.0\r\n\r\n",
		"INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\r\n",
		"ACK sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bK1\r\nCSeq: 1 ACK\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\nFrom: x;tag=\r\nTo: <;;\r\nCall-ID: \r\n\r\n",
		"BYE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bK2\r\nCSeq: x BYE\r\n\r\n",
	} {
		a.send(text)
	}
	if n := w.count("lindero_b2bua_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	w.ended()
}
