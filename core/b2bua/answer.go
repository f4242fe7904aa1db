package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// after runs f on the call's goroutine when d has passed.
func (c *call) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { c.mail.post(f) })
}

// progress tells the caller that a phone rings, or what it is made to hear.
func (c *call) progress(code int, b body) {
	in := c.caller.in
	if in == nil || in.res != nil {
		return
	}
	if b.isSDP() {
		c.caller.said = b
	}
	_ = in.stx.reply(in.stx.response(code, b, // the next one, or the final one, says more
		sip.NewHeader("Contact", c.caller.contact()), sip.NewHeader("Allow", allow)))
}

// answered joins the caller with the phone that answered first.
func (c *call) answered(l *leg, res *sip.Response) {
	l.se.agreed(l, res)
	c.sides[1] = l
	c.cdr.CalleeUser = l.who.user
	seq := res.CSeq().SeqNo
	offered := !l.said.empty()
	if offered {
		l.ack(seq, body{})
	} else {
		l.owes = seq
	}
	c.acceptCaller(bodyOf(res), func(b body) {
		if !offered { // the offer was in the 2xx, so the answer came with the caller's ACK
			l.ack(seq, b)
		}
	})
}

// acceptCaller answers the caller's INVITE; then runs when its ACK has come.
func (c *call) acceptCaller(b body, then func(body)) {
	c.cdr.Answer = time.Now()
	c.busy = true
	a := c.caller
	a.confirmed = true
	a.accept(b, func(b body) {
		c.busy = false
		then(b)
	}, a.se.grant(a)...)
}

// unanswered ends a call that nobody took.
func (c *call) unanswered(code int, v tenancy.Verdict) {
	reason := "refused"
	switch code {
	case sip.StatusBusyHere, sip.StatusGlobalBusyEverywhere:
		reason = "busy"
	case sip.StatusRequestTimeout, sip.StatusTemporarilyUnavailable:
		reason = "no answer"
	case sip.StatusServiceUnavailable:
		reason = "unreachable"
	}
	by := byCallee
	if v != tenancy.Callee {
		by = byCore
	}
	c.finish(ending{verdict: v, code: code, by: by, reason: reason})
}

// repeatedAnswer takes a 2xx that comes after the INVITE's transaction was over.
func (c *call) repeatedAnswer(l *leg, res *sip.Response) {
	if l.remoteTag != "" && tagOf(header(res, "to")) != l.remoteTag || !l.confirmed {
		c.b.declineAnswer(res) // another phone behind the same contact
		return
	}
	if l.ackd.seq == res.CSeq().SeqNo {
		l.sendACK()
	}
}

// declineAnswer thanks for a 2xx that nobody waits for and hangs up at once
// (RFC 3261 §13.2.2.4), from what the response itself says.
func (b *B2BUA) declineAnswer(res *sip.Response) {
	l := &leg{b: b, callID: header(res, "call-id"), local: header(res, "from"), localTag: tagOf(header(res, "from"))}
	l.learn(res)
	if l.remoteTag == "" || l.target.Host == "" {
		b.metrics.dropped.WithLabelValues("response").Inc()
		return
	}
	seq := res.CSeq().SeqNo
	l.ack(seq, body{})
	if to, ok := l.hop(); ok {
		bye := l.compose(sip.BYE, seq+1)
		bye.SetBody(nil)
		_, _ = b.request(bye, to, func(*sip.Response, error) {}) // nobody waits for the answer
	}
}
