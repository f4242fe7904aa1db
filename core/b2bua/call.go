package b2bua

import (
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// A call is one caller's wish to talk and all that comes of it. Its state belongs
// to the goroutine in run: nothing else reads or writes it, so none of it is
// locked. Other goroutines speak to it by its mail, and what they leave there
// must not wait for the call.
type call struct {
	b    *B2BUA
	mail *mailbox
	log  *slog.Logger

	// Owned by run.
	tenant   Tenant
	company  tenancy.Company
	legs     map[*leg]struct{} // every dialog of the call, also those that failed
	caller   *leg              // who began the call
	sides    [2]party          // who talks: the caller's side, then the callee's; nil when nobody
	trying   *attempt          // the search for who answers
	busy     bool              // an offer waits for its answer, or an INVITE for its ACK
	transfer *transfer         // a REFER in progress
	loan     *loan             // what an INVITE with Replaces has taken and not kept yet
	lent     party             // what another call took for its transfer, and whose place that is
	lentSide int
	digits   int // keys a voice of ours heard
	cdr      tenancy.CDR
	left     []tenancy.Dialog // that had audio and are not among legs any more
	roams    bool             // it is one of its caller's calls from elsewhere
	over     bool             // the CDR is written; only loose ends remain
	gone     bool             // nothing remains
}

// A party is one side of a call: a phone's dialog, or a voice of core's own.
type party interface {
	// session is the description that says where the party listens.
	session() body
	// renew offers the party another session. done gets its answer or why not.
	renew(offer body, done func(c *call, answer body, code int))
	hangUp(reason string)
	identity() who
	// belong makes another call the owner. Only the present owner may say so.
	belong(*call)
}

func (b *B2BUA) makeCall(t *serverTx) *call {
	c := &call{b: b, mail: newMailbox(), legs: make(map[*leg]struct{})}
	req := t.req
	a := &leg{
		b: b, callID: header(req, "call-id"), localTag: t.tag, inviteKey: inviteKey(req),
		local: header(req, "to") + ";tag=" + t.tag, remote: header(req, "from"),
		remoteTag: tagOf(header(req, "from")), remoteSeq: req.CSeq().SeqNo,
		routes: values(req, "record-route"), canUpdate: lists(req, "allow", "UPDATE"),
		in: &accepted{stx: t, seq: req.CSeq().SeqNo},
	}
	a.owner.Store(c)
	c.caller = a
	c.sides[0] = a
	c.legs[a] = struct{}{}
	c.log = b.log.With("call", a.callID)
	c.cdr = tenancy.CDR{ID: token(16), CallID: a.callID, Start: time.Now()}
	b.legs.add(a)
	t.setOnCancel(func() { a.post(func(c *call) { c.cancelledBy(a) }) })
	return c
}

// run serves the call until nothing of it remains.
func (c *call) run() {
	defer c.leave()
	for !c.gone {
		<-c.mail.wake
		for _, f := range c.mail.take() {
			c.step(f)
		}
		c.prune()
		if c.over && c.idle() {
			c.gone = true
		}
	}
}

// step runs one event. A panic in it ends the call, not the process.
func (c *call) step(f func()) {
	defer func() {
		if r := recover(); r != nil {
			c.b.metrics.panics.Inc()
			c.log.Error("b2bua: panic in a call", "panic", r, "stack", string(debug.Stack()))
			c.crash()
		}
	}()
	f()
}

// crash ends a call whose state cannot be trusted any more.
func (c *call) crash() {
	defer func() {
		if r := recover(); r != nil {
			c.gone = true
		}
	}()
	if c.over {
		c.gone = true
		return
	}
	c.finish(ending{verdict: tenancy.Ours, code: sip.StatusInternalServerError, by: byCore, reason: "internal error"})
}

// leave gives up what other goroutines can still find of the call.
func (c *call) leave() {
	for l := range c.legs {
		c.b.legs.remove(l)
		l.stopTimers()
	}
	for _, f := range c.mail.close() {
		c.step(f) // requests in them get their 481
	}
	for l := range c.legs {
		l.dropInvite()
	}
	c.b.mu.Lock()
	delete(c.b.calls, c)
	c.b.live.Add(-1)
	c.b.mu.Unlock()
}

// manyLegs is how many dialogs a call may have before it looks for dead ones.
const manyLegs = 32

// prune forgets dialogs that are over, of which transfers that fail leave some.
func (c *call) prune() {
	if len(c.legs) < manyLegs {
		return
	}
	for l := range c.legs {
		if l.ended && l.idle() && l != c.caller {
			if l.confirmed {
				c.note(l)
			}
			delete(c.legs, l)
			c.b.legs.remove(l)
		}
	}
}

// idle tells whether no loose end of an ended call remains.
func (c *call) idle() bool {
	for l := range c.legs {
		if !l.idle() {
			return false
		}
	}
	return c.lent == nil
}

// newLeg makes the leg of a phone we call.
func (c *call) newLeg(caller who, dialled, domain string) *leg {
	l := &leg{b: c.b, callID: token(16), localTag: token(8)}
	l.local = nameAddr(caller.name, string(caller.number), domain) + ";tag=" + l.localTag
	l.remote = nameAddr("", dialled, domain)
	l.owner.Store(c)
	c.legs[l] = struct{}{}
	c.b.legs.add(l)
	return l
}

// other is the party that talks to p.
func (c *call) other(p party) party {
	switch p {
	case c.sides[0]:
		return c.sides[1]
	case c.sides[1]:
		return c.sides[0]
	}
	return nil
}

// side is 0 for the caller's side, 1 for the callee's.
func (c *call) side(p party) int {
	if c.sides[1] == p {
		return 1
	}
	return 0
}

// Who ended a call.
const (
	byCaller = "caller"
	byCallee = "callee"
	byCore   = "core"
)

func (c *call) byOf(p party) string {
	if c.side(p) == 1 {
		return byCallee
	}
	return byCaller
}

// An ending is how a call ended.
type ending struct {
	verdict tenancy.Verdict
	code    int    // what an unanswered caller is told
	by      string // caller, callee or core
	reason  string // one phrase for a person
	extra   []sip.Header
}

// finish ends the call: everything still open is closed and the CDR is written.
// Only the first ending counts.
func (c *call) finish(e ending) {
	if c.over {
		return
	}
	c.over = true
	c.settle()
	if c.trying != nil {
		c.trying.stop()
	}
	c.refuseCaller(e)
	say := ""
	if e.by == byCore {
		say = e.reason
	}
	c.settleTransfer(sip.StatusRequestTerminated)
	if ln := c.loan; ln != nil {
		c.loan = nil
		c.giveBack(ln)
	}
	for _, p := range c.sides {
		if p != nil {
			p.hangUp(say)
		}
	}
	for l := range c.legs {
		l.hangUp(say)
	}
	c.record(e)
}

// refuseCaller gives the caller's INVITE its final response, if it has none yet.
func (c *call) refuseCaller(e ending) {
	if _, mine := c.legs[c.caller]; !mine { // lent, and long answered
		return
	}
	if in := c.caller.in; in != nil && in.res == nil && !c.caller.confirmed {
		in.stx.refuse(e.code, e.extra...)
		c.caller.dropInvite()
		c.caller.ended = true
	}
}

// record writes the CDR and the log line of the end.
func (c *call) record(e ending) {
	cdr := &c.cdr
	cdr.End, cdr.Verdict, cdr.Code, cdr.HungUpBy, cdr.Reason = time.Now(), e.verdict, e.code, e.by, e.reason
	if !cdr.Answer.IsZero() {
		cdr.Code = sip.StatusOK
	}
	cdr.Dialogs = c.dialogs()
	c.b.metrics.ended.WithLabelValues(string(e.verdict)).Inc()
	c.log.Info("call ended", "company", cdr.Company, "from", number(cdr.From), "to", number(cdr.To),
		"verdict", cdr.Verdict, "code", cdr.Code, "by", cdr.HungUpBy, "reason", cdr.Reason,
		"seconds", int(cdr.End.Sub(cdr.Start).Seconds()))
	if cdr.Company != 0 {
		c.b.cdrs.write(*cdr)
	}
}

// shutdown ends the call because the process does.
func (c *call) shutdown() {
	c.finish(ending{verdict: tenancy.Ours, code: sip.StatusServiceUnavailable, by: byCore, reason: "shutting down"})
}

// cancelledBy takes the CANCEL of an INVITE of l.
func (c *call) cancelledBy(l *leg) {
	if l == c.caller && !l.confirmed {
		c.finish(ending{verdict: tenancy.Caller, code: sip.StatusRequestTerminated, by: byCaller, reason: "cancelled"})
		return
	}
	if l.in != nil && l.in.res == nil { // of a re-INVITE
		l.in.stx.refuse(sip.StatusRequestTerminated)
		l.dropInvite()
		if to, ok := c.other(l).(*leg); ok && to.out != nil {
			to.out.cancel()
		}
	}
}

// acked takes an ACK of a 2xx.
func (c *call) acked(l *leg, req *sip.Request) {
	onACK, ok := l.acknowledged(req.CSeq().SeqNo)
	if !ok {
		return // repeated
	}
	b := bodyOf(req)
	l.hears(b)
	if l.closing {
		l.closing = false
		l.hangUp(l.why)
		return
	}
	onACK(b)
}

// unacknowledged ends a call whose 2xx nobody acknowledges.
func (c *call) unacknowledged(l *leg) {
	l.dropInvite()
	l.closing = false
	c.finish(ending{verdict: tenancy.Upstream, code: sip.StatusRequestTimeout, by: byCore, reason: "no ACK"})
	l.hangUp("no ACK") // also when the call was over already
}

// lost ends a call one of whose dialogs the peer has forgotten, or that nobody answers for.
func (c *call) lost(l *leg, reason string) {
	c.finish(ending{verdict: tenancy.Upstream, code: sip.StatusRequestTimeout, by: byCore, reason: reason})
}
