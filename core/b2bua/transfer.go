package b2bua

import (
	"bytes"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	wire "github.com/lindero/lindero/wire/sip"
)

// A transfer is one REFER being carried out (RFC 3515, RFC 5589): the referrer
// leaves, the rest stays, and the target takes the referrer's place. Until the
// rest has accepted the target, the old call stands.
type transfer struct {
	referrer *leg // nil once it has hung up
	rest     party
	side     int    // of the referrer
	id       string // of the subscription: the CSeq of the REFER, "" for the first
	silent   bool   // the referrer wants no NOTIFY (RFC 4488)
	try      *attempt
	target   party // who takes the place, from its answer on
	loan     *loan // attended: the target is borrowed
}

// refer takes REFER from one side.
func (c *call) refer(l *leg, t *serverTx) {
	rest := c.other(l)
	if !l.confirmed || rest == nil || c.busy || c.transfer != nil || c.trying != nil {
		t.refuse(sip.StatusRequestPending)
		return
	}
	all := values(t.req, "refer-to")
	if len(all) != 1 {
		t.refuse(sip.StatusBadRequest)
		return
	}
	a, err := wire.ParseNameAddr([]byte(all[0]))
	uri, uriErr := uriOf(all[0])
	if err != nil || uriErr != nil {
		t.refuse(sip.StatusBadRequest)
		return
	}
	tr := &transfer{referrer: l, rest: rest, side: c.side(l)}
	if l.referred++; l.referred > 1 {
		tr.id = itoa(int(t.req.CSeq().SeqNo))
	}
	extra := []sip.Header{sip.NewHeader("Contact", l.contact())}
	if strings.EqualFold(header(t.req, "refer-sub"), "false") {
		tr.silent = true
		extra = append(extra, sip.NewHeader("Refer-Sub", "false"))
	}
	_ = t.reply(t.response(sip.StatusAccepted, body{}, extra...))
	c.transfer = tr
	c.notify(tr, sip.StatusTrying)
	if replaces := replacesOf(a.URI); replaces != "" {
		c.attend(tr, replaces)
		return
	}
	if err := c.blind(tr, userOf(&uri), t.req); err != nil {
		c.transferFailed(tr, c.endingOf(err).code)
	}
}

// blind calls whom the referrer named, on behalf of the rest.
func (c *call) blind(tr *transfer, dialled string, req *sip.Request) error {
	to, err := c.extension(dialled)
	if err != nil {
		return err
	}
	offer := talking(tr.rest.session())
	if offer.empty() {
		return deny(sip.StatusNotAcceptableHere, tenancy.Caller, "nothing to offer")
	}
	if to.Kind != tenancy.ToUser {
		p, err := c.openVoice(to.Kind)
		if err != nil {
			return err
		}
		p.renew(offer, func(c *call, _ body, code int) {
			tr.target = p
			c.targetTold(tr, code)
		})
		p.s.Start()
		return nil
	}
	by := header(req, "referred-by")
	if by == "" {
		by = nameAddr("", string(tr.referrer.who.number), c.company.Domain)
	}
	tr.try = &attempt{
		c: c, caller: tr.rest.identity(), dialled: to.Number, user: to.User, offer: offer, hops: 69,
		extra:    []sip.Header{sip.NewHeader("Referred-By", by)},
		progress: func(code int, _ body) { c.notify(tr, code) },
		answered: func(l *leg, res *sip.Response) {
			l.se.agreed(l, res)
			l.ack(res.CSeq().SeqNo, body{})
			tr.target = l
			c.targetTold(tr, sip.StatusOK)
		},
		failed: func(code int, _ tenancy.Verdict) { c.transferFailed(tr, code) },
	}
	return tr.try.start()
}

// targetTold goes on when the target has answered the rest's session: now the
// rest is offered the target's.
func (c *call) targetTold(tr *transfer, code int) {
	if c.over || c.transfer != tr {
		return
	}
	if code/100 != 2 || tr.target == nil || tr.target.session().empty() {
		c.transferFailed(tr, max(code, sip.StatusNotAcceptableHere))
		return
	}
	c.exclusive(func() {
		if l, ok := tr.rest.(*leg); ok {
			l.pin()
		}
		tr.rest.renew(tr.target.session(), func(c *call, _ body, code int) {
			c.busy = false
			c.joined(tr, code)
		})
	})
}

// joined ends the transfer: the rest has taken the target, or not.
func (c *call) joined(tr *transfer, code int) {
	if c.over || c.transfer != tr {
		return
	}
	if code/100 != 2 || tr.target == nil {
		c.transferFailed(tr, code)
		return
	}
	c.transfer = nil
	c.sides[tr.side] = tr.target
	c.notify(tr, sip.StatusOK)
	if tr.referrer != nil {
		tr.referrer.hangUp("transferred")
	}
	if tr.loan != nil {
		tr.loan.keep()
	}
	c.log.Info("call transferred", "attended", tr.loan != nil)
}

// transferFailed leaves the call as it was. If the referrer did not wait for the
// outcome there is nobody to fall back to, and the call ends.
func (c *call) transferFailed(tr *transfer, code int) {
	if c.transfer != tr {
		return
	}
	c.transfer = nil
	c.abandon(tr, code)
	if tr.referrer == nil {
		c.finish(ending{verdict: tenancy.OK, code: sip.StatusOK, by: byCore, reason: "transfer failed"})
	}
}

// settleTransfer gives up a transfer because the call ends.
func (c *call) settleTransfer(code int) {
	if tr := c.transfer; tr != nil {
		c.transfer = nil
		c.abandon(tr, code)
	}
}

// abandon undoes what a transfer has begun and tells the referrer.
func (c *call) abandon(tr *transfer, code int) {
	if tr.try != nil {
		tr.try.stop()
	}
	switch {
	case tr.loan != nil:
		c.giveBack(tr.loan)
	case tr.target != nil:
		tr.target.hangUp("transfer failed")
	}
	c.notify(tr, code)
}

// transferLost takes a hang-up in the middle of a transfer; it is true when the
// call goes on all the same.
func (c *call) transferLost(l *leg) bool {
	tr := c.transfer
	if tr == nil {
		return false
	}
	switch {
	case tr.referrer == l: // most phones leave as soon as they have sent REFER
		tr.referrer = nil
		c.sides[tr.side] = nil
		return true
	case tr.target == party(l):
		c.transferFailed(tr, sip.StatusTemporarilyUnavailable)
		return !c.over
	}
	return false
}

// notify tells the referrer how far its transfer is (RFC 3515 §2.4.4).
func (c *call) notify(tr *transfer, code int) {
	l := tr.referrer
	if l == nil || l.ended || tr.silent {
		return
	}
	event, state := "refer", "active;expires=180"
	if tr.id != "" {
		event += ";id=" + tr.id
	}
	if code >= 200 {
		state = "terminated;reason=noresource"
	}
	frag := body{kind: "message/sipfrag;version=2.0", data: []byte("SIP/2.0 " + itoa(code) + " " + wire.ReasonPhrase(code) + "\r\n")}
	l.request(sip.NOTIFY, frag, func(*call, outcome) {},
		sip.NewHeader("Event", event), sip.NewHeader("Subscription-State", state))
}

// exclusive runs f with the call's offer/answer exchange to itself; f or what it
// starts must clear busy.
func (c *call) exclusive(f func()) {
	if c.over {
		return
	}
	if c.busy {
		c.after(100*time.Millisecond, func() { c.exclusive(f) })
		return
	}
	c.busy = true
	f()
}

// replacesOf finds the Replaces header in a Refer-To URI, unescaped (RFC 3891).
func replacesOf(uri []byte) string {
	_, tail, _ := bytes.Cut(uri, []byte("?"))
	for _, h := range strings.Split(string(tail), "&") {
		name, value, _ := strings.Cut(h, "=")
		if strings.EqualFold(unescape(name), "replaces") {
			return unescape(value)
		}
	}
	return ""
}
