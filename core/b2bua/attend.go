package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	wire "github.com/lindero/lindero/wire/sip"
)

// An attended transfer joins the far ends of two calls of one person. Each call
// is a goroutine with state of its own, so the far end of the second call is
// lent to the first: its leg changes owner, and comes back if the transfer fails.

// attend asks the call that the Replaces value names for its far end.
func (c *call) attend(tr *transfer, replaces string) {
	callID, params := split(replaces)
	to, _ := wire.Param(params, "to-tag")
	from, _ := wire.Param(params, "from-tag")
	theirs := string(from)
	with := c.b.legs.find(callID, string(to))
	if with == nil { // some phones name the tags from their own side
		with, theirs = c.b.legs.find(callID, string(from)), string(to)
	}
	if with == nil || with.owner.Load() == c {
		c.transferFailed(tr, sip.StatusCallTransactionDoesNotExists)
		return
	}
	if !with.post(func(other *call) { other.lend(with, theirs, c, tr) }) {
		c.transferFailed(tr, sip.StatusCallTransactionDoesNotExists)
	}
}

// lend gives the far end of leg with to the call by, or says why not.
func (c *call) lend(with *leg, theirs string, by *call, tr *transfer) {
	far := c.other(with)
	code := 0
	switch {
	case with.remoteTag != theirs || !with.confirmed || c.over || far == nil:
		code = sip.StatusCallTransactionDoesNotExists
	case c.company.ID != by.company.ID:
		code = sip.StatusForbidden
	case c.busy || c.transfer != nil || c.lent != nil || with.in != nil || with.out != nil || !free(far):
		code = sip.StatusRequestPending
	}
	if code != 0 {
		by.mail.post(func() { by.transferFailed(tr, code) })
		return
	}
	c.lent, c.lentSide, c.busy = far, c.side(far), true
	c.sides[c.lentSide] = nil
	if l, ok := far.(*leg); ok {
		delete(c.legs, l)
	}
	far.belong(by)
	if !by.mail.post(func() { by.borrowed(tr, c, with, far) }) {
		far.belong(c)
		c.returned(false)
	}
}

// free tells whether a party can be offered a session now.
func free(p party) bool {
	l, ok := p.(*leg)
	return !ok || l.confirmed && !l.ended && l.in == nil && l.out == nil
}

// borrowed goes on with a transfer once the target is there: it is offered the
// rest's session, as one that was called would be.
func (c *call) borrowed(tr *transfer, lender *call, with *leg, far party) {
	tr.lender, tr.with, tr.target = lender, with, far
	if l, ok := far.(*leg); ok {
		c.legs[l] = struct{}{}
	}
	if c.over || c.transfer != tr {
		c.giveBack(tr)
		return
	}
	offer := talking(tr.rest.session())
	if offer.empty() {
		c.transferFailed(tr, sip.StatusNotAcceptableHere)
		return
	}
	c.exclusive(func() {
		tr.changed = true
		if l, ok := far.(*leg); ok {
			l.pin()
		}
		far.renew(offer, func(c *call, _ body, code int) {
			c.busy = false
			c.targetTold(tr, code)
		})
	})
}

// giveBack returns the borrowed far end to its call.
func (c *call) giveBack(tr *transfer) {
	far := tr.target
	tr.target = nil
	if l, ok := far.(*leg); ok {
		delete(c.legs, l)
	}
	far.belong(tr.lender)
	if !tr.lender.mail.post(func() { tr.lender.returned(tr.changed) }) {
		far.belong(c) // its call was killed
		if l, ok := far.(*leg); ok {
			c.legs[l] = struct{}{}
		}
		far.hangUp("transfer failed")
	}
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
