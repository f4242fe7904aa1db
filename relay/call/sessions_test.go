package call_test

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/session"
)

// count makes the leg at local have counted c.
func (b *table) count(local netip.AddrPort, c forward.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[local] = c
}

func TestSessionsSayWhatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		begun := time.Now()
		l.offer(offer(natted, natted))
		if s := l.Sessions("c", 0); len(s) != 1 || s[0].Answered || len(s[0].Streams) != 1 {
			t.Fatalf("ringing: %+v", s)
		}
		l.answer(answer())
		seen := time.Now()
		l.table.count(l.atOut, forward.Counts{
			Packets: 990, Bytes: 990 * 172, Expected: 1000, Lost: 10, Reordered: 3, Duplicate: 2, Jitter: 1500 * time.Microsecond,
			LastSeen: seen, WrongSource: 4, NotRTP: 5,
		})
		l.table.count(l.atOut2, forward.Counts{RoundTrip: 30 * time.Millisecond})
		l.table.count(l.atIn, forward.Counts{Packets: 10, Expected: 10})
		all := l.Sessions("", 10)
		if len(all) != 1 {
			t.Fatalf("%d sessions", len(all))
		}
		s := all[0]
		if s.CallID != "c" || !s.Answered || s.Held || !s.Created.Equal(begun) || !s.Ended.IsZero() || s.Relay != "lab" {
			t.Errorf("%+v", s)
		}
		out, in := s.Streams[0].Legs[0], s.Streams[0].Legs[1]
		want := session.Quality{
			Packets: 990, Bytes: 990 * 172, Lost: 10, Reordered: 3, Duplicate: 2, Jitter: 1.5, RoundTrip: 30, MOS: out.MOS,
			LastSeen: seen, WrongSource: 4, NotRTP: 5,
		}
		if out.Quality != want || out.MOS < 4 || out.MOS > 4.4 {
			t.Errorf("%+v, want %+v", out.Quality, want)
		}
		if out.Tag != "a" || out.Interface != "external" || out.Local != l.atOut || out.Codec != "PCMU" || out.Path != call.PathUser {
			t.Errorf("from outside: %+v", out)
		}
		if in.Tag != "b" || in.Interface != "internal" || in.Local != l.atIn || in.Remote != addrPort("10.2.0.9:5000") || in.Path != call.PathKernel || in.MOS != 0 {
			t.Errorf("from inside: %+v", in) // ten packets are too few for an opinion
		}
		if l.Sessions("other", 10) != nil || l.Sessions("", 0) != nil {
			t.Error("sessions of nobody, or more than wanted")
		}
	})
}

func TestEndedTellsEveryCallOnce(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer(natted, natted))
		l.answer(answer())
		l.table.count(l.atOut, forward.Counts{Packets: 100, Expected: 100})
		if l.Ended() != nil {
			t.Error("a call that goes on")
		}
		l.after(time.Second)
		if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
			t.Fatal(err)
		}
		m := offer(natted, natted)
		m.CallID = "late"
		l.offer(m)
		l.after(4 * time.Minute)
		last := l.Ended()
		if len(last) != 2 || last[0].CallID != "c" || last[0].Reason != "deleted" || last[0].Streams[0].Legs[0].Packets != 100 ||
			!last[0].Ended.Equal(last[0].Created.Add(time.Second)) || last[1].CallID != "late" || last[1].Reason != "unanswered" {
			t.Errorf("%+v", last)
		}
		if l.Ended() != nil {
			t.Error("told twice")
		}
	})
}

// Words nobody asks for do not fill the memory; the newest are kept.
func TestEndedIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		const calls = 5000
		for i := range calls {
			m := offer(natted, natted)
			m.CallID = fmt.Sprint(i)
			l.offer(m)
			if _, _, err := l.Delete(call.Deletion{CallID: m.CallID}); err != nil {
				t.Fatal(err)
			}
		}
		last := l.Ended()
		if len(last) > 4096 || len(last) < 3000 || last[len(last)-1].CallID != fmt.Sprint(calls-1) {
			t.Errorf("%d, the last %v", len(last), last[len(last)-1].CallID)
		}
	})
}

func TestHistory(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer(natted, natted))
		l.answer(answer())
		c := forward.Counts{}
		for i := range 500 { // s, of which five minutes are kept
			c.Packets, c.Expected, c.Jitter = c.Packets+45, c.Expected+50, time.Duration(i)*time.Millisecond
			c.Lost, c.LastSeen = c.Expected-c.Packets, time.Now()
			l.table.count(l.atOut, c)
			l.after(time.Second)
		}
		legs := l.Sessions("c", 1)[0].Streams[0].Legs
		if legs[1].History != nil {
			t.Errorf("a leg without a packet has %+v", legs[1].History)
		}
		points := legs[0].History
		if len(points) != session.History {
			t.Fatalf("%d points", len(points))
		}
		for i, p := range points {
			if math.Abs(p.Lost-0.1) > 0.001 || p.Rate != 45 {
				t.Fatalf("point %d: %+v", i, p)
			}
			if i > 0 && (p.At.Sub(points[i-1].At) != session.Every || p.Jitter <= points[i-1].Jitter) {
				t.Fatalf("points %d and %d: %+v, %+v", i-1, i, points[i-1], p)
			}
		}
		if age := time.Since(points[len(points)-1].At); age > session.Every+time.Second {
			t.Errorf("the last is %v old", age)
		}
		if l.Sessions("", 1)[0].Streams[0].Legs[0].History != nil {
			t.Error("a list has histories")
		}
	})
}
