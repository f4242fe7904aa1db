package b2bua_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// text sends a MESSAGE outside any dialog.
func (p *phone) text(number, b string, lines ...string) {
	d := &dialogue{p: p, callID: "m" + p.branch(), seq: 1, local: "<sip:x@y>;tag=" + p.branch(), remote: "<sip:" + number + "@demo.lindero.test>", target: "sip:" + number + "@demo.lindero.test"}
	d.request("MESSAGE", "text/plain", b, append(lines, fmt.Sprintf("Lindero-Caller: 1;user=%d;terminal=1", p.user))...)
}

func TestMessage(t *testing.T) {
	w := newWorld(t)
	a, b, b2 := w.phone("alice", 1), w.phone("bob", 2), w.phone("bob2", 2)
	a.text("102", "hello")
	for _, p := range []*phone{b, b2} {
		m := p.expect("MESSAGE")
		if m.body() != "hello" || m.header("Content-Type") != "text/plain" || m.header("Max-Forwards") != "67" ||
			!strings.HasPrefix(m.header("From"), `"User 1" <sip:101@demo.lindero.test>;tag=`) || strings.Contains(m.raw, "Lindero") ||
			!strings.HasPrefix(m.header("Route"), "<sip:token-"+p.name+"@") {
			t.Errorf("%s got\n%s", p.name, m.raw)
		}
		if p == b {
			p.respond(m, 486, "x", "")
		} else {
			p.respond(m, 200, "x", "")
		}
	}
	a.expect("200 MESSAGE")
	for number, code := range map[string]string{"999": "404", "105": "480", "600": "480"} {
		a.text(number, "hello")
		a.expect(code + " MESSAGE")
	}
	a.text("102", "hello", "Require: unicorn")
	a.expect("420 MESSAGE")
	w.co.panics = true
	a.text("102", "hello")
	a.expect("500 MESSAGE")
	if all := w.co.written(); len(all) != 0 {
		t.Errorf("a MESSAGE wrote CDRs: %+v", all)
	}
}

func TestMessageFromNobody(t *testing.T) {
	w := newWorld(t)
	a := w.phone("alice", 1)
	d := &dialogue{p: a, callID: "m", seq: 1, local: "<sip:x@y>;tag=1", remote: "<sip:102@demo.lindero.test>", target: "sip:102@demo.lindero.test"}
	d.request("MESSAGE", "text/plain", "x")
	a.expect("403 MESSAGE")
}

// TestMessageUnanswered ends when no phone answers.
func TestMessageUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		a.text("102", "hello")
		b.expect("MESSAGE")
		a.expect("408 MESSAGE")
	})
}
