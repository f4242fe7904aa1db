package call_test

import (
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
)

// A source that may move does so to another port of its address, once a window;
// its RTCP is learned anew then. A repeated SDP changes nothing of that.
func TestHandover(t *testing.T) {
	for name, received := range map[string]string{"a phone outside": natted, "one of our own network": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				m := offer(natted, received)
				m.Handover = true
				l.offer(m)
				l.answer(answer())
				if received != "" && !(l.Learn(l.atOut, addrPort(natted+":4000")) && l.Learn(l.atOut2, addrPort(natted+":4001"))) {
					t.Fatal("nobody is learned")
				}
				l.after(latch + 1)
				if leg := l.table.leg(l.atOut); leg.Flags&forward.Follow == 0 || leg.Learn != mustAddr(natted) {
					t.Errorf("nobody is followed: %+v", leg)
				}
				for from, yes := range map[string]bool{"203.0.113.10:4000": false, natted + ":5555": true} {
					if got := l.Learn(l.atOut, addrPort(from)); got != yes {
						t.Errorf("%s is believed: %v", from, got)
					}
				}
				if l.Learn(l.atOut, addrPort(natted+":6666")) {
					t.Error("it moves twice in a window")
				}
				l.leg("moved", l.atOut, natted+":5555", "10.2.0.9:5000")
				l.leg("sent after it", l.atIn, "10.2.0.9:5000", natted+":5555")
				if l.Learn(l.atOut2, addrPort("203.0.113.10:5556")) || !l.Learn(l.atOut2, addrPort(natted+":5556")) {
					t.Error("RTCP is not learned anew")
				}
				l.offer(m)
				l.leg("after the same SDP", l.atOut, natted+":5555", "10.2.0.9:5000")
				l.leg("RTCP after the same SDP", l.atOut2, natted+":5556", "10.2.0.9:5001")
				l.after(latch + 1)
				if !l.Learn(l.atOut, addrPort(natted+":6666")) {
					t.Error("it does not move again")
				}
			})
		})
	}
}

// An asymmetric party is sent to where its SDP says, and heard from where it sends.
func TestAsymmetricParties(t *testing.T) {
	for name, c := range map[string]struct{ sdp, received, from, to string }{
		"outside":                 {natted, natted, natted + ":7000", natted + ":4000"},
		"of our own network":      {natted, "", natted + ":7000", natted + ":4000"},
		"behind a NAT":            {"192.168.1.2", natted, natted + ":7000", ""},
		"that proves its SDP":     {"192.168.1.2", natted, "192.168.1.2:4000", "192.168.1.2:4000"},
		"with somebody's address": {"198.51.100.99", natted, natted + ":7000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := offer(c.sdp, c.received)
			m.Asymmetric = true
			l.offer(m)
			l.answer(answer())
			if l.Learn(l.atOut, addrPort("203.0.113.10:4000")) {
				t.Error("a stranger is believed")
			}
			if !l.Learn(l.atOut, addrPort(c.from)) {
				t.Errorf("%s is not believed", c.from)
			}
			l.leg("from outside", l.atOut, c.from, "10.2.0.9:5000")
			l.leg("from inside", l.atIn, "10.2.0.9:5000", c.to)
		})
	}
}

// All branches of a call are cut off at once, and come back.
func TestDroppedTraffic(t *testing.T) {
	l := newLab(t)
	l.ring("1", "b")
	first := l.atIn
	l.ring("2", "c")
	cut := func() bool { return l.table.leg(first).Treat != nil && l.table.leg(l.atIn).Treat != nil }
	m := answer()
	m.ToTag, m.Drop = "c", true
	if l.answer(m); !cut() {
		t.Error("not cut off")
	}
	m.Drop, m.Undrop = false, true
	if l.answer(m); cut() {
		t.Error("still cut off")
	}
}

func TestTotals(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer(natted, natted))
		l.answer(answer())
		for range 100 {
			l.table.hears(l.atOut) // one way
		}
		l.table.expects(l.atOut, 100)
		_, now := l.Totals()
		if now.Calls != 1 || now.Answered != 1 || now.Streams != 1 || now.Legs != 4 || now.Flow.Packets != 100 {
			t.Errorf("%+v", now)
		}
		l.after(10 * time.Second)
		if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
			t.Fatal(err)
		}
		past, now := l.Totals()
		if now.Calls != 0 || past.Answered != 1 || past.RTP.Packets != 100 || past.OneWay != 1 || past.ZeroWay != 0 || past.Talk != 10*time.Second {
			t.Errorf("%+v", past)
		}
		if past.Rated != 1 || past.MOS < 4 || past.MOS > 4.5 {
			t.Errorf("%d rated with %v", past.Rated, past.MOS)
		}
	})
}
