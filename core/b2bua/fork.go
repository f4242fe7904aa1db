package b2bua

import (
	"context"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// An attempt is the search for somebody who answers: all of a user's phones ring
// at once, the first 2xx wins and the others are cancelled (RFC 3261 §16.7).
type attempt struct {
	c        *call
	caller   who
	dialled  string
	user     tenancy.UserID
	offer    body
	hops     int
	extra    []sip.Header
	progress func(code int, b body)            // 180 and early media, what is worth passing on
	answered func(l *leg, res *sip.Response)   // once, unless failed
	failed   func(code int, v tenancy.Verdict) // once, unless answered

	branches []*branch
	early    *branch // whose early media is heard
	rang     bool
	timer    *time.Timer
	done     bool
}

// A branch is one phone being called.
type branch struct {
	*leg
	heardOf bool // it gave any response beyond 100
	code    int  // its final response; 0 before
}

// start calls all phones of the user. An error means that nobody could be called.
func (a *attempt) start() error {
	var found []tenancy.Binding
	err := a.c.lookup(func(ctx context.Context) (err error) {
		found, err = bindings(ctx, a.c.tenant, a.user)
		return err
	})
	if err != nil {
		return err
	}
	a.c.trying = a
	ring := a.c.company.RingTime
	if ring <= 0 {
		ring = a.c.b.cfg.Timing.Ring
	}
	a.timer = a.c.after(ring, a.timeout)
	for _, b := range found {
		a.call(b)
	}
	return nil
}

// call sends the INVITE to one phone, by the Path of its binding.
func (a *attempt) call(b tenancy.Binding) {
	l := a.c.newLeg(a.caller, a.dialled, a.c.company.Domain)
	br := &branch{leg: l}
	l.who = who{user: a.user, number: number(a.dialled)}
	l.routes = b.Path
	a.branches = append(a.branches, br)
	if err := sip.ParseUri(b.Contact, &l.target); err != nil {
		a.c.log.Warn("b2bua: a binding's contact cannot be called", "err", err)
		l.ended, br.code = true, sip.StatusServiceUnavailable
		a.c.mail.post(a.settle)
		return
	}
	a.invite(br)
}

// invite sends the branch's INVITE, also a second time after 422.
func (a *attempt) invite(br *branch) {
	l := br.leg
	l.localSeq++
	extra := append(l.se.ask(a.c.b.cfg.Timing, ""), a.extra...)
	req := l.compose(sip.INVITE, l.localSeq, extra...)
	req.RemoveHeader("Max-Forwards")
	addHeader(req, "Max-Forwards", itoa(a.hops))
	setBody(req, a.offer)
	l.said = a.offer
	l.out = l.send(req, func(_ *call, o outcome) { a.outcome(br, o) })
}

// outcome takes what a phone said to the INVITE.
func (a *attempt) outcome(br *branch, o outcome) {
	if !o.final() {
		a.provisional(br, o)
		return
	}
	br.out = nil
	if o.accepted() {
		a.accepted(br, o.res)
		return
	}
	if o.code == codeIntervalTooSmall && !a.done && br.se.raise(o.res) {
		a.invite(br)
		return
	}
	br.code, br.ended = o.code, true
	if a.early == br {
		a.early = nil // another may be heard now
	}
	if o.code >= 600 && !a.done {
		a.cancelExcept(nil) // nobody else will say better (RFC 3261 §16.7)
		a.finish(o.code)
		return
	}
	a.settle()
}

// provisional passes on the first ringing, and the early media of one phone.
func (a *attempt) provisional(br *branch, o outcome) {
	if o.code == sip.StatusTrying {
		return
	}
	br.heardOf = true
	if a.done {
		return
	}
	b := o.body()
	if b.isSDP() && (a.early == nil || a.early == br) {
		a.early, a.rang = br, a.rang || o.code == sip.StatusRinging
		br.hears(b)
		a.progress(o.code, b)
		return
	}
	if o.code == sip.StatusRinging && !a.rang && a.early == nil {
		a.rang = true
		a.progress(o.code, body{})
	}
}

// accepted takes a 2xx: the first wins, a later one is thanked and hung up.
func (a *attempt) accepted(br *branch, res *sip.Response) {
	br.learn(res)
	br.confirmed = true
	if a.done {
		br.ack(res.CSeq().SeqNo, body{})
		br.ended = false // a cancelled branch counts as ended, but this dialog is not
		br.hangUp("answered elsewhere")
		return
	}
	a.close()
	a.cancelExcept(br)
	br.hears(bodyOf(res))
	a.answered(br.leg, res)
}

// settle ends the attempt when every phone has refused.
func (a *attempt) settle() {
	if a.done {
		return
	}
	for _, br := range a.branches {
		if br.code == 0 {
			return
		}
	}
	a.finish(a.best())
}

// best is the response that says most (RFC 3261 §16.7 step 6): a 6xx, else the
// lowest class, and within it busy before the rest.
func (a *attempt) best() int {
	best := 0
	for _, br := range a.branches {
		if better(br.code, best) {
			best = br.code
		}
	}
	return best
}

func better(code, than int) bool {
	switch {
	case than == 0:
		return true
	case code >= 600 || than >= 600:
		return code >= 600 && than < 600
	case code/100 != than/100:
		return code/100 < than/100
	}
	return code == sip.StatusBusyHere && than != sip.StatusBusyHere
}

// timeout ends the attempt when the company's ring time is over.
func (a *attempt) timeout() {
	if a.done {
		return
	}
	code := sip.StatusRequestTimeout
	for _, br := range a.branches {
		if br.heardOf {
			code = sip.StatusTemporarilyUnavailable
		}
	}
	a.cancelExcept(nil)
	a.finish(code)
}

// finish reports the failure in words the caller's phone can use.
func (a *attempt) finish(code int) {
	a.close()
	a.failed(forCaller(code))
}

// forCaller maps what a phone said to what the caller is told: a challenge, a
// redirection or a dead flow of the callee is not the caller's to act on.
func forCaller(code int) (int, tenancy.Verdict) {
	switch {
	case code < 400, code == sip.StatusUnauthorized, code == sip.StatusProxyAuthRequired, code == 430:
		return sip.StatusTemporarilyUnavailable, tenancy.Callee
	case code == sip.StatusRequestTimeout, code == sip.StatusGone, code == sip.StatusTemporarilyUnavailable,
		code == sip.StatusBusyHere, code >= 600, code == sip.StatusRequestTerminated:
		return code, tenancy.Callee
	case code >= 500:
		return code, tenancy.Upstream
	default:
		return code, tenancy.Caller
	}
}

// stop gives the attempt up without a word.
func (a *attempt) stop() {
	if a.done {
		return
	}
	a.close()
	a.cancelExcept(nil)
}

func (a *attempt) close() {
	a.done = true
	a.timer.Stop()
	if a.c.trying == a {
		a.c.trying = nil
	}
}

func (a *attempt) cancelExcept(winner *branch) {
	for _, br := range a.branches {
		if br != winner {
			br.hangUp("")
		}
	}
}
