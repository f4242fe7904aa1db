package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	wire "github.com/lindero/lindero/wire/sip"
)

// An attended transfer joins the far ends of two calls of one person. Each call
// is a goroutine with state of its own, so the far end of the second call is
// lent to the first: it changes owner, and comes back if the transfer fails.

// A loan is the far end of another call that this one has borrowed.
type loan struct {
	from    *call
	far     party
	changed bool // it was given a new session meanwhile
}

// borrow asks the call that a Replaces value names (RFC 3891) for the far end of
// that dialog. then runs on this call's goroutine, with the loan or a code why
// there is none.
func (c *call) borrow(replaces string, then func(ln *loan, code int)) {
	callID, params := split(replaces)
	to, _ := wire.Param(params, "to-tag")
	from, _ := wire.Param(params, "from-tag")
	theirs := string(from)
	with := c.b.legs.find(callID, string(to))
	if with == nil { // some phones name the tags from their own side
		with, theirs = c.b.legs.find(callID, string(from)), string(to)
	}
	if with == nil || with.owner.Load() == c || !with.post(func(other *call) { other.lend(with, theirs, c, then) }) {
		then(nil, sip.StatusCallTransactionDoesNotExists)
	}
}

// lend gives the far end of leg with to the call by, or says why not.
func (c *call) lend(with *leg, theirs string, by *call, then func(*loan, int)) {
	far := c.other(with)
	code := 0
	switch {
	case with.remoteTag != theirs || !with.confirmed || c.over || far == nil:
		code = sip.StatusCallTransactionDoesNotExists
	case c.cdr.Company != by.cdr.Company:
		code = sip.StatusForbidden
	case c.busy || c.transfer != nil || with.in != nil || with.out != nil || !free(far):
		code = sip.StatusRequestPending
	}
	if code != 0 {
		by.mail.post(func() { then(nil, code) })
		return
	}
	c.lent, c.lentSide, c.busy = far, c.side(far), true
	if l, ok := far.(*leg); ok {
		c.note(l)
		delete(c.legs, l)
	}
	c.sides[c.lentSide] = nil
	far.belong(by)
	ln := &loan{from: c, far: far}
	if !by.mail.post(func() { by.borrowed(ln, then) }) {
		far.belong(c)
		c.returned(false)
	}
}

// free tells whether a party can be offered a session now.
func free(p party) bool {
	l, ok := p.(*leg)
	return !ok || l.confirmed && !l.ended && l.in == nil && l.out == nil
}

// borrowed takes the loan in.
func (c *call) borrowed(ln *loan, then func(*loan, int)) {
	if l, ok := ln.far.(*leg); ok {
		c.legs[l] = struct{}{}
		l.pin()
	}
	if c.over {
		c.giveBack(ln)
		return
	}
	then(ln, sip.StatusOK)
}

// keep tells the lender that its far end stays here.
func (ln *loan) keep() { ln.from.mail.post(func() { ln.from.parted() }) }

// giveBack returns a far end to its call.
func (c *call) giveBack(ln *loan) {
	l, isLeg := ln.far.(*leg)
	if isLeg {
		delete(c.legs, l)
	}
	ln.far.belong(ln.from)
	if ln.from.mail.post(func() { ln.from.returned(ln.changed) }) {
		return
	}
	ln.far.belong(c) // its call was killed
	if isLeg {
		c.legs[l] = struct{}{}
	}
	ln.far.hangUp("")
}

// returned takes the far end back after a transfer that failed.
func (c *call) returned(changed bool) {
	far := c.lent
	c.lent, c.busy = nil, false
	l, isLeg := far.(*leg)
	if isLeg {
		c.legs[l] = struct{}{}
	}
	if c.over {
		far.hangUp("")
		return
	}
	c.sides[c.lentSide] = far
	if isLeg && l.ended {
		c.finish(ending{verdict: tenancy.OK, code: sip.StatusOK, by: c.byOf(l), reason: "hung up"})
		return
	}
	peer, ok := c.other(far).(*leg)
	if changed && ok && !peer.session().empty() {
		c.busy = true
		far.renew(peer.session(), func(c *call, _ body, _ int) { c.busy = false })
	}
}

// parted ends a call whose far end now talks to somebody else.
func (c *call) parted() {
	c.lent, c.busy = nil, false
	c.finish(ending{verdict: tenancy.OK, code: sip.StatusOK, by: byCore, reason: "transferred"})
}

// attend carries out a REFER with Replaces: the target is borrowed and offered
// the rest's session, as one that was called would be.
func (c *call) attend(tr *transfer, replaces string) {
	c.borrow(replaces, func(ln *loan, code int) {
		if ln == nil {
			c.transferFailed(tr, code)
			return
		}
		if c.transfer != tr {
			c.giveBack(ln)
			return
		}
		tr.loan, tr.target = ln, ln.far
		offer := talking(tr.rest.session())
		if offer.empty() {
			c.transferFailed(tr, sip.StatusNotAcceptableHere)
			return
		}
		c.exclusive(func() {
			ln.changed = true
			ln.far.renew(offer, func(c *call, _ body, code int) {
				c.busy = false
				c.targetTold(tr, code)
			})
		})
	})
}

// replace carries out an INVITE with Replaces (RFC 3891): the caller takes the
// place of who is in the dialog it names.
func (c *call) replace(replaces string, offer body) error {
	if !offer.isSDP() {
		return deny(sip.StatusNotAcceptableHere, tenancy.Caller, "Replaces without an offer")
	}
	c.borrow(replaces, func(ln *loan, code int) {
		if ln == nil || c.over {
			if ln != nil {
				c.giveBack(ln)
			}
			c.finish(ending{verdict: tenancy.Caller, code: max(code, 400), by: byCore, reason: "nothing to replace"})
			return
		}
		c.loan = ln
		ln.changed = true
		ln.far.renew(offer, func(c *call, answer body, code int) {
			if c.over || c.loan != ln {
				return
			}
			if code/100 != 2 {
				code, v := forCaller(code)
				c.finish(ending{verdict: v, code: code, by: byCallee, reason: "refused to be taken over"})
				return
			}
			c.loan = nil
			c.sides[1] = ln.far
			c.cdr.CalleeUser = ln.far.identity().user
			c.acceptCaller(answer, func(body) {})
			ln.keep()
		})
	})
	return nil
}
