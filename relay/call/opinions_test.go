package call_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
)

// sounds makes the leg at local have got so many packets more, of which some are lost.
func (b *table) sounds(local string, ssrc uint32, expected, lost uint64, jitter time.Duration) {
	at := addrPort(local)
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts[at]
	c.SSRC, c.Jitter = ssrc, jitter
	c.Expected += expected
	c.Lost += lost
	c.Packets += expected - lost
	c.LastSeen = time.Now()
	b.counts[at] = c
}

// What comes is rated every few seconds by what came since, so a call that was bad for
// a while says when, and how bad.
func TestOpinions(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer("203.0.113.9", ""))
		l.answer(answer())
		begun := time.Now()
		sources := func() []call.Source {
			s, err := l.Query("c")
			if err != nil || s.Tags[0].Tag != "a" {
				t.Fatal(s, err)
			}
			return s.Tags[0].Media[0].Sources
		}
		if got := sources(); len(got) != 0 {
			t.Errorf("opinions of what never came: %+v", got)
		}
		l.table.sounds(l.atOut.String(), 7, 10, 0, 0)
		if got := sources(); len(got) != 1 || got[0].Samples != 1 || got[0].SSRC != 7 {
			t.Errorf("few packets are better than nothing: %+v", got)
		}
		for i := range 6 {
			lost := uint64(0)
			if i == 2 {
				lost = 50
			}
			l.table.sounds(l.atOut.String(), 7, 250, lost, 2*time.Millisecond)
			l.after(5 * time.Second)
		}
		got := sources()
		if len(got) != 1 || got[0].Samples != 6 || len(got[0].Progress) != 6 {
			t.Fatalf("%+v", got)
		}
		s := got[0]
		if at := s.Lowest.At.Sub(begun); at != 15*time.Second || s.Lowest.Loss != 0.2 || s.Lowest.MOS > 3 {
			t.Errorf("the lowest: %v, %+v", at, s.Lowest)
		}
		if at := s.Highest.At.Sub(begun); at != 5*time.Second || s.Highest.Loss != 0 || s.Highest.MOS < 4.2 {
			t.Errorf("the highest: %v, %+v", at, s.Highest)
		}
		want := (5*s.Highest.MOS + s.Lowest.MOS) / 6
		if d := s.Average.MOS - want; d < -1e-9 || d > 1e-9 || s.Average.Jitter != 2*time.Millisecond {
			t.Errorf("the average: %+v, want a MOS of %v", s.Average, want)
		}
		l.after(5 * time.Second) // silence is no opinion
		l.table.sounds(l.atOut.String(), 8, 250, 0, 0)
		l.after(5 * time.Second)
		if got = sources(); len(got) != 2 || got[0].Samples != 6 || got[1].SSRC != 8 || got[1].Samples != 1 {
			t.Errorf("another source: %+v", got)
		}
		for ssrc := range uint32(10) { // bounded, whatever a stranger sends
			l.table.sounds(l.atOut.String(), 100+ssrc, 250, 0, 0)
			l.after(5 * time.Second)
		}
		if got = sources(); len(got) != 4 || got[3].SSRC != 109 {
			t.Errorf("%d sources, the last %+v", len(got), got)
		}
		for range 1000 {
			l.table.sounds(l.atOut.String(), 109, 250, 0, 0)
			l.after(5 * time.Second)
		}
		if p := sources()[3]; p.Samples != 1001 || len(p.Progress) < 5 || len(p.Progress) > 12 ||
			p.Progress[len(p.Progress)-1].At.Sub(p.Progress[0].At) < 4000*time.Second/2 {
			t.Errorf("of a long call: %d opinions, %d told: %+v", p.Samples, len(p.Progress), p.Progress)
		}
	})
}

// What calls have seen only grows, whatever becomes of calls, forks and ports.
func TestFlow(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		flows := func(want uint64) {
			t.Helper()
			l.Sweep(time.Now())
			if got := l.Flow().Packets; got != want {
				t.Errorf("%d packets, not %d", got, want)
			}
		}
		l.offer(offer("203.0.113.9", ""))
		l.answer(answer())
		flows(0)
		l.table.sounds(l.atOut.String(), 7, 100, 0, 0)
		flows(100)
		flows(100)
		l.table.sounds(l.atIn.String(), 7, 10, 0, 0)
		if _, s := l.Totals(); s.Flow.Packets != 110 || s.User != 2 {
			t.Errorf("%+v", s)
		}
		l.table.sounds(l.atIn.String(), 7, 10, 0, 0)
		if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
			t.Fatal(err)
		}
		flows(120)
		clear(l.table.counts)
		l.offer(offer("203.0.113.9", ""))
		flows(120)
	})
}

// Sides of streams by who repeats them.
func TestWhoRepeats(t *testing.T) {
	kernel := map[string]bool{}
	l := newLab(t, func(c *call.Config) {
		c.Repeated = func(local netip.AddrPort) bool { return kernel[local.String()] }
	})
	l.offer(offer("203.0.113.9", ""))
	l.answer(answer())
	for _, want := range [][3]int{{2, 0, 0}, {0, 2, 0}, {0, 0, 2}} {
		if _, s := l.Totals(); [3]int{s.User, s.Mixed, s.Kernel} != want {
			t.Errorf("%d by user space, %d mixed, %d by the kernel; want %v", s.User, s.Mixed, s.Kernel, want)
		}
		if kernel[l.atOut.String()] {
			kernel[l.atIn.String()] = true
		}
		kernel[l.atOut.String()] = true
	}
}
