package call_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
)

func TestACallNobodyAnswersEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer(natted, natted))
		for range 180 { // music while it rings does not count
			l.table.hears(l.atIn)
			l.after(time.Second)
		}
		if l.live() != 1 {
			t.Fatal("ended before three minutes were over")
		}
		l.after(time.Second)
		if _, legs, ended := l.Counts(); l.live() != 0 || legs != 0 || ended[call.Unanswered] != 1 {
			t.Errorf("%d calls, %d legs, ended %v", l.live(), legs, ended)
		}
		if leg := l.table.leg(l.atIn); leg != (forward.Leg{}) {
			t.Errorf("still served: %+v", leg)
		}
	})
}

func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer(natted, natted))
		l.answer(answer())
		for range 5 {
			l.after(50 * time.Second)
			l.table.hears(l.atOut) // one way is enough
		}
		l.after(time.Minute)
		if l.live() != 1 {
			t.Fatal("ended within the idle time")
		}
		l.after(1)
		if _, _, ended := l.Counts(); l.live() != 0 || ended[call.Idle] != 1 {
			t.Errorf("%d calls, ended %v", l.live(), ended)
		}
	})
}

func TestSignallingKeepsACall(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		for range 5 { // session timers
			l.offer(offer(natted, natted))
			l.answer(answer())
			l.after(50 * time.Second)
		}
		if l.live() != 1 {
			t.Error("ended")
		}
	})
}

func TestHoldMayBeSilentForAnHour(t *testing.T) {
	for name, sdp := range map[string][]byte{
		"old style":   body("0.0.0.0", 4000),
		"new style":   append(body(natted, 4000), "a=sendonly\n"...),
		"both silent": append(body(natted, 4000), "a=inactive\n"...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.offer(offer(natted, natted))
				l.answer(answer())
				m := offer(natted, natted)
				m.SDP = sdp
				l.offer(m)
				l.after(time.Hour)
				if l.live() != 1 {
					t.Fatal("ended")
				}
				l.after(1)
				if l.live() != 0 {
					t.Error("kept for ever")
				}
			})
		})
	}
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, branch string
		early            string // tag of a fork that spoke before b answered
		unanswered       bool
		ended            bool
	}{
		"without tags":                      {ended: true},
		"from the caller":                   {from: "a", to: "b", ended: true},
		"from the callee":                   {from: "b", to: "a", ended: true},
		"by one tag":                        {from: "a", ended: true},
		"unknown tags":                      {from: "x", to: "y"},
		"a fork that never spoke":           {from: "a", to: "z"},
		"a fork that lost":                  {from: "a", to: "e", early: "e"},
		"the one that won":                  {from: "a", to: "b", early: "e", ended: true},
		"a failure nobody answered before":  {from: "a", to: "z", unanswered: true, ended: true},
		"of the transaction":                {from: "a", branch: "z9hG4bK1", ended: true},
		"of a transaction that came before": {from: "a", branch: "z9hG4bK0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := offer(natted, natted)
			m.Branch = "z9hG4bK1"
			l.offer(m)
			if c.early != "" {
				m := answer()
				m.ToTag = c.early
				l.answer(m)
			}
			if !c.unanswered {
				l.answer(answer())
			}
			_, forks, err := l.Delete(call.Deletion{CallID: "c", From: c.from, To: c.to, Branch: c.branch})
			if ended := forks == 1; err != nil || ended != c.ended || (l.live() == 0) != c.ended {
				t.Errorf("%d forks ended, %d live, %v", forks, l.live(), err)
			}
		})
	}
	l := newLab(t)
	if _, _, err := l.Delete(call.Deletion{CallID: "c"}); !errors.Is(err, call.ErrUnknownCall) {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	l := newLab(t)
	l.offer(offer(natted, natted))
	for i := range 9 {
		m := offer(natted, natted)
		m.CallID = fmt.Sprint(i)
		if _, err := l.Offer(m); err != nil {
			t.Fatal(err)
		}
	}
	m := offer(natted, natted)
	m.CallID = "one too many"
	if _, err := l.Offer(m); !errors.Is(err, call.ErrTooMany) {
		t.Errorf("an eleventh of ten: %v", err)
	}
	if n := len(l.List(3)); n != 3 {
		t.Errorf("%d listed", n)
	}

	var last error
	for i := range 100 { // forks without end
		m := answer()
		m.ToTag = fmt.Sprint(i)
		_, last = l.Answer(m)
	}
	if last == nil {
		t.Error("a hundred forks")
	}
	m = offer(natted, natted)
	for range 8 {
		m.SDP = append(m.SDP, "m=audio 4000 RTP/AVP 0\n"...)
	}
	if _, err := l.Offer(m); err == nil {
		t.Error("nine streams")
	}
}

// Ports that nobody was told of, and to which nothing came, need no rest; else
// calls that go nowhere would tie up all ports.
func TestWhichPortsRest(t *testing.T) {
	for name, c := range map[string]struct {
		answered, heard bool
		resting         int
	}{"nothing came of it": {}, "answered": {answered: true, resting: 1}, "early media": {heard: true, resting: 1}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.offer(offer(natted, natted))
			if c.answered {
				l.answer(answer())
			}
			if c.heard {
				l.table.hears(l.atIn)
			}
			if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
				t.Fatal(err)
			}
			l.inner.Sweep(time.Now())
			if _, lent, resting := l.inner.Counts(); lent != 0 || resting != c.resting {
				t.Errorf("%d lent, %d resting", lent, resting)
			}
		})
	}
}

// When there are ports for half a call only, the offer fails and gives back what
// it took.
func TestNoPortsLeft(t *testing.T) {
	l := newLab(t)
	var failed error
	for i := range 10 {
		m := offer(natted, natted)
		m.CallID = fmt.Sprint(i)
		for range 7 {
			m.SDP = append(m.SDP, "m=audio 4000 RTP/AVP 0\n"...)
		}
		// Ten calls of eight streams fit into a hundred pairs; what rests does not count.
		if _, err := l.Offer(m); err != nil {
			t.Fatal(err)
		}
		if i == 9 {
			break
		}
		// Answered, so that its ports rest.
		m.ToTag = "rests"
		if _, err := l.Answer(m); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Delete(call.Deletion{CallID: m.CallID}); err != nil {
			t.Fatal(err)
		}
	}
	calls, legs, _ := l.Counts()
	for i := range 3 {
		m := offer(natted, natted)
		m.CallID = fmt.Sprint("more", i)
		for range 7 {
			m.SDP = append(m.SDP, "m=audio 4000 RTP/AVP 0\n"...)
		}
		if _, err := l.Offer(m); err != nil {
			failed = err
			break
		}
		calls, legs = calls+1, legs+32
	}
	if failed == nil {
		t.Fatal("ports without end")
	}
	nowCalls, nowLegs, ended := l.Counts()
	if nowCalls != calls || nowLegs != legs || ended[call.Failed] != 1 {
		t.Errorf("%d calls with %d legs, want %d and %d; ended %v", nowCalls, nowLegs, calls, legs, ended)
	}
}

func TestQuery(t *testing.T) {
	l := newLab(t)
	l.offer(offer("192.168.1.2", natted))
	l.answer(answer())
	l.Learn(l.atOut, addrPort(natted+":61000"))
	l.table.hears(l.atOut)
	l.table.hears(l.atIn2)
	s, err := l.Query("c")
	if err != nil || len(s.Tags) != 2 || s.RTP.Packets != 1 || s.RTCP.Packets != 1 || !s.Answered || s.OnHold {
		t.Fatalf("%+v %v", s, err)
	}
	a := s.Tags[0]
	if a.Tag != "a" || a.With != "b" || len(a.Media) != 1 {
		t.Fatalf("%+v", a)
	}
	m := a.Media[0]
	rtp := m.Streams[0]
	if m.Kind != "audio" || m.Proto != "RTP/AVP" || m.Codec != "PCMU" || rtp.Local != l.atOut || !rtp.Confirmed ||
		rtp.Remote != addrPort(natted+":61000") || rtp.Signalled != addrPort("192.168.1.2:4000") || rtp.Counts.Packets != 1 {
		t.Errorf("%+v", m)
	}
	if m.Streams[1].Confirmed {
		t.Error("RTCP is confirmed though none came")
	}
	if _, err := l.Query("x"); !errors.Is(err, call.ErrUnknownCall) {
		t.Error(err)
	}
}
