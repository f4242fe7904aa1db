package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// request takes a request inside a dialog of the call.
func (c *call) request(l *leg, t *serverTx) {
	req := t.req
	if l.remoteTag != "" && tagOf(header(req, "from")) != l.remoteTag {
		t.refuse(sip.StatusCallTransactionDoesNotExists)
		return
	}
	if l.ended || c.over {
		c.afterwards(l, t)
		return
	}
	seq := req.CSeq().SeqNo
	if seq < l.remoteSeq {
		t.refuse(sip.StatusInternalServerError) // out of order (RFC 3261 §12.2.2)
		return
	}
	l.remoteSeq = seq
	if bad := unsupported(req); bad != "" {
		t.refuse(sip.StatusBadExtension, sip.NewHeader("Unsupported", bad))
		return
	}
	switch req.Method {
	case sip.BYE:
		c.bye(l, t)
	case sip.INVITE:
		c.reINVITE(l, t)
	case sip.UPDATE:
		c.update(l, t)
	case sip.OPTIONS:
		_ = t.reply(t.response(sip.StatusOK, body{}, sip.NewHeader("Allow", allow), sip.NewHeader("Supported", supported)))
	case sip.REFER:
		c.refer(l, t)
	case sip.INFO, sip.MESSAGE:
		c.carry(l, t)
	case sip.NOTIFY, sip.PRACK:
		t.refuse(sip.StatusCallTransactionDoesNotExists) // of no subscription, of no reliable response
	case sip.SUBSCRIBE:
		t.refuse(489)
	default:
		t.refuse(sip.StatusMethodNotAllowed, sip.NewHeader("Allow", allow))
	}
}

// afterwards answers requests in a dialog that is over. Both sides may hang up at
// once, and each deserves a 200 for its BYE.
func (c *call) afterwards(l *leg, t *serverTx) {
	if t.req.Method != sip.BYE {
		t.refuse(sip.StatusCallTransactionDoesNotExists)
		return
	}
	_ = t.reply(t.response(sip.StatusOK, body{}))
	l.dropInvite() // who hangs up will not acknowledge any more
	l.ended, l.closing = true, false
}

// bye takes a hang-up.
func (c *call) bye(l *leg, t *serverTx) {
	if !l.confirmed && l != c.caller {
		t.refuse(sip.StatusCallTransactionDoesNotExists) // a callee may not (RFC 3261 §15)
		return
	}
	_ = t.reply(t.response(sip.StatusOK, body{}))
	if !l.confirmed { // the caller left an early dialog
		c.cancelledBy(l)
		return
	}
	if l.in != nil && l.in.res == nil {
		l.in.stx.refuse(sip.StatusRequestTerminated)
	}
	l.dropInvite()
	l.ended = true
	l.stopTimers()
	if c.transferLost(l) {
		return
	}
	c.finish(ending{verdict: tenancy.OK, code: sip.StatusOK, by: c.byOf(l), reason: "hung up"})
}

// reINVITE takes a change of the session, or its refresh, from one side.
func (c *call) reINVITE(l *leg, t *serverTx) {
	switch {
	case l.in != nil && l.in.res == nil:
		t.refuse(sip.StatusInternalServerError, sip.NewHeader("Retry-After", "2")) // RFC 3261 §14.2
		return
	case !l.confirmed || c.busy || l.out != nil || l.in != nil:
		t.refuse(sip.StatusRequestPending)
		return
	}
	if err := l.se.asked(t.req, c.b.cfg.Timing); err != nil {
		c.refuseWith(t, err)
		return
	}
	l.retarget(t.req)
	l.in = &accepted{stx: t, seq: t.req.CSeq().SeqNo}
	t.setOnCancel(func() { l.post(func(c *call) { c.cancelledBy(l) }) })
	offer := bodyOf(t.req)
	switch to := c.other(l).(type) {
	case *leg:
		if offer.isSDP() && same(offer, l.heard) {
			c.settleHere(l) // nothing changes: a refresh, which says nothing to the other side
			return
		}
		c.passOffer(l, to, offer)
	case *voiceParty:
		c.offerVoice(l, to, offer)
	default:
		l.in = nil
		t.refuse(sip.StatusRequestPending)
	}
}

// settleHere accepts a re-INVITE with what the peer was told before.
func (c *call) settleHere(l *leg) {
	c.busy = true
	l.accept(l.said, func(body) { c.busy = false }, l.se.grant(l)...)
}

// passOffer carries a re-INVITE over to the other leg, and what comes of it back.
func (c *call) passOffer(from, to *leg, offer body) {
	c.busy = true
	in := from.in
	to.reinvite(to.adapt(offer), func(c *call, o outcome) {
		if !o.final() {
			return
		}
		if from.in != in || from.ended || c.over { // cancelled or hung up meanwhile
			c.busy = false
			if o.accepted() {
				to.ack(o.res.CSeq().SeqNo, body{})
				c.restore(to, from)
			}
			return
		}
		if !o.accepted() {
			c.busy = false
			in.stx.refuse(o.code)
			from.dropInvite()
			if o.dialogGone() {
				c.lost(to, "the other side is gone")
			}
			return
		}
		seq := o.res.CSeq().SeqNo
		from.hears(offer)
		to.se.agreed(to, o.res)
		to.hears(o.body())
		if offer.empty() {
			to.owes = seq
		} else {
			to.ack(seq, body{})
		}
		from.accept(from.adapt(o.body()), func(answer body) {
			c.busy = false
			if offer.empty() {
				to.ack(seq, to.adapt(answer))
			}
		}, from.se.grant(from)...)
	})
}

// restore offers to the description its peer had before a change that failed half-way.
func (c *call) restore(to, peer *leg) {
	if c.over || to.ended || peer.heard.empty() {
		return
	}
	c.busy = true
	to.renew(peer.heard, func(c *call, _ body, _ int) { c.busy = false })
}

// update takes UPDATE: a refresh, or a change of the session without INVITE (RFC 3311).
func (c *call) update(l *leg, t *serverTx) {
	offer := bodyOf(t.req)
	if offer.isSDP() && (!l.confirmed || c.busy || l.in != nil || l.out != nil) {
		t.refuse(sip.StatusRequestPending)
		return
	}
	if err := l.se.asked(t.req, c.b.cfg.Timing); err != nil {
		c.refuseWith(t, err)
		return
	}
	l.retarget(t.req)
	if !offer.isSDP() || same(offer, l.heard) {
		answer := body{}
		if offer.isSDP() {
			answer = l.said
		}
		_ = t.reply(t.response(sip.StatusOK, answer, l.updateHeaders()...))
		return
	}
	switch to := c.other(l).(type) {
	case *leg:
		c.passUpdate(l, to, t, offer)
	case *voiceParty:
		to.renew(offer, func(_ *call, answer body, code int) { l.answerUpdate(t, offer, answer, code) })
	default:
		t.refuse(sip.StatusRequestPending)
	}
}

// passUpdate carries an offer in UPDATE over to the other leg: by UPDATE when
// that phone knows it, else by re-INVITE.
func (c *call) passUpdate(l, to *leg, t *serverTx, offer body) {
	c.busy = true
	done := func(c *call, answer body, code int) {
		c.busy = false
		l.answerUpdate(t, offer, answer, code)
	}
	if !to.canUpdate {
		to.renew(offer, done)
		return
	}
	b := to.adapt(offer)
	to.request(sip.UPDATE, b, func(c *call, o outcome) {
		if !o.final() {
			return
		}
		if o.accepted() {
			to.said = b
			to.hears(o.body())
			to.se.agreed(to, o.res)
		}
		done(c, o.body(), o.code)
	}, to.se.ask(c.b.cfg.Timing, "")...)
}

func (l *leg) answerUpdate(t *serverTx, offer, answer body, code int) {
	if code/100 != 2 {
		t.refuse(code)
		return
	}
	l.hears(offer)
	answer = l.adapt(answer)
	l.said = answer
	_ = t.reply(t.response(sip.StatusOK, answer, l.updateHeaders()...))
}

func (l *leg) updateHeaders() []sip.Header {
	return append([]sip.Header{sip.NewHeader("Contact", l.contact()), sip.NewHeader("Allow", allow)}, l.se.grant(l)...)
}

// refuseWith answers a request with what a reject says.
func (c *call) refuseWith(t *serverTx, err error) {
	e := c.endingOf(err)
	t.refuse(e.code, e.extra...)
}

// carry takes INFO and MESSAGE to the other side and its answer back.
func (c *call) carry(l *leg, t *serverTx) {
	if t.req.Method == sip.INFO {
		c.b.metrics.info.Inc()
		c.log.Debug("an INFO passes", "type", header(t.req, "content-type"))
	}
	switch to := c.other(l).(type) {
	case *leg:
		if !to.confirmed {
			break
		}
		to.request(t.req.Method, bodyOf(t.req), func(_ *call, o outcome) {
			if o.final() {
				_ = t.reply(t.response(o.code, o.body()))
			}
		}, passed(t.req, insideHeaders)...)
		return
	case *voiceParty:
		to.inform(t)
		return
	}
	t.refuse(sip.StatusTemporarilyUnavailable) // nobody to carry it to yet
}
