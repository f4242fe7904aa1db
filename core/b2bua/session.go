package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	wire "github.com/lindero/lindero/wire/sip"
)

// codeIntervalTooSmall is 422 Session Interval Too Small (RFC 4028 §6).
const codeIntervalTooSmall = 422

// A session is the session timer of one leg (RFC 4028). Each leg has its own: a
// refresh proves that this peer lives, and says nothing of the other.
type session struct {
	interval  time.Duration
	min       time.Duration // the shortest interval the peer takes, as far as we know
	mine      bool          // we refresh
	peerKnows bool          // the peer asked for, or supports, session timers
	timer     *time.Timer
}

func (s *session) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// asked takes what an INVITE or UPDATE of the peer says of the timer (RFC 4028
// §9). The error, if any, is a 422.
func (s *session) asked(req *sip.Request, t Timing) error {
	s.peerKnows = lists(req, "supported", "timer") || lists(req, "require", "timer")
	s.interval, s.mine = t.Session, !s.peerKnows
	if n, _, ok := seconds(header(req, "min-se")); ok {
		s.min = time.Duration(n) * time.Second
	}
	n, params, ok := seconds(header(req, "session-expires"))
	if !ok {
		s.interval = max(s.interval, s.min)
		return nil
	}
	asked := time.Duration(n) * time.Second
	if asked < t.MinSE && s.peerKnows {
		return deny(codeIntervalTooSmall, tenancy.Caller, "session interval too small", sip.NewHeader("Min-SE", secs(t.MinSE)))
	}
	s.interval = max(min(asked, t.Session), s.min, t.MinSE)
	if who, _ := wire.Param(params, "refresher"); string(who) == "uas" {
		s.mine = true
	}
	return nil
}

// grant is what our 2xx says of the timer, which it starts.
func (s *session) grant(l *leg) []sip.Header {
	s.start(l)
	if !s.peerKnows {
		return []sip.Header{sip.NewHeader("Session-Expires", secs(s.interval)+";refresher=uas")}
	}
	if s.mine {
		return []sip.Header{sip.NewHeader("Session-Expires", secs(s.interval)+";refresher=uas")}
	}
	return []sip.Header{
		sip.NewHeader("Session-Expires", secs(s.interval)+";refresher=uac"),
		sip.NewHeader("Require", "timer"),
	}
}

// ask is what a request of ours says of the timer; refresher is "uac" once it is
// settled that we refresh.
func (s *session) ask(t Timing, refresher string) []sip.Header {
	if s.interval == 0 {
		s.interval = t.Session
	}
	value := secs(s.interval)
	if refresher != "" {
		value += ";refresher=" + refresher
	}
	all := []sip.Header{sip.NewHeader("Session-Expires", value)}
	if s.min > 0 {
		all = append(all, sip.NewHeader("Min-SE", secs(s.min)))
	}
	return all
}

// raise takes a 422: the peer wants a longer interval. It is false when there is
// nothing to try again with.
func (s *session) raise(res *sip.Response) bool {
	n, _, ok := seconds(header(res, "min-se"))
	want := time.Duration(n) * time.Second
	if !ok || want <= s.min || want <= s.interval && s.min > 0 {
		return false
	}
	s.min, s.interval = want, max(want, s.interval)
	return true
}

// agreed takes what a 2xx to a request of ours says of the timer (RFC 4028 §7.2),
// and starts it. A peer that says nothing does not know timers: we refresh, so
// that a dead one is noticed all the same.
func (s *session) agreed(l *leg, res *sip.Response) {
	n, params, ok := seconds(header(res, "session-expires"))
	s.mine = true
	if ok {
		s.interval = max(time.Duration(n)*time.Second, time.Second)
		s.peerKnows = true
		if who, _ := wire.Param(params, "refresher"); string(who) == "uas" {
			s.mine = false
		}
	}
	s.start(l)
}

// start runs the timer anew: to half the interval when we refresh, else to the
// moment when a missing refresh means the end (RFC 4028 §10).
func (s *session) start(l *leg) {
	s.stop()
	if s.interval == 0 {
		return
	}
	if s.mine {
		s.timer = l.after(s.interval/2, func(c *call) { c.refresh(l) })
		return
	}
	s.timer = l.after(s.interval-min(32*time.Second, s.interval/3), func(c *call) { c.lost(l, "session expired") })
}

func secs(d time.Duration) string { return itoa(int((d + time.Second - 1) / time.Second)) }

// refresh renews the session of a leg, by UPDATE when the peer knows it.
func (c *call) refresh(l *leg) {
	if c.over || l.ended || !l.confirmed {
		return
	}
	if c.busy || l.in != nil || l.out != nil {
		l.se.timer = l.after(2*time.Second, func(c *call) { c.refresh(l) })
		return
	}
	ask := l.se.ask(c.b.cfg.Timing, "uac")
	if l.canUpdate {
		l.request(sip.UPDATE, body{}, func(c *call, o outcome) { c.refreshed(l, o) }, ask...)
		return
	}
	c.busy = true
	l.reinvite(l.said, func(c *call, o outcome) {
		c.busy = false
		if o.accepted() {
			l.ack(o.res.CSeq().SeqNo, body{})
		}
		c.refreshed(l, o)
	}, ask...)
}

// refreshed takes the answer to a refresh.
func (c *call) refreshed(l *leg, o outcome) {
	switch {
	case !o.final() || c.over || l.ended:
	case o.accepted():
		l.hears(o.body())
		l.se.agreed(l, o.res)
	case o.dialogGone(), o.code == sip.StatusServiceUnavailable && o.res == nil:
		c.lost(l, "session expired")
	case o.code == codeIntervalTooSmall && l.se.raise(o.res), o.code == sip.StatusRequestPending:
		l.se.timer = l.after(2*time.Second, func(c *call) { c.refresh(l) })
	default:
		l.se.start(l) // it answers, so it lives
	}
}
