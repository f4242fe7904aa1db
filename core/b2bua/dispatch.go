package b2bua

import (
	"errors"
	"net/netip"
	"runtime/debug"

	"github.com/emiago/sipgo/sip"
)

// allow is every method that may reach us inside or outside a dialog.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, REFER, NOTIFY"

// Deliver takes one SIP message that arrived from an edge. data is not kept. It
// may be called from many goroutines; messages delivered by one of them are
// handled in order, which sipgo's own layer does not promise. A message that
// makes no sense is counted and otherwise ignored.
func (b *B2BUA) Deliver(from netip.AddrPort, data []byte) {
	defer func() {
		if r := recover(); r != nil {
			b.metrics.panics.Inc()
			b.log.Error("b2bua: panic while taking a message", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	if b.stopped.Load() {
		return
	}
	m, err := b.parser.ParseSIP(data)
	if err != nil {
		b.metrics.dropped.WithLabelValues("parse").Inc()
		return
	}
	m.SetTransport(transport)
	m.SetSource(from.String())
	switch m := m.(type) {
	case *sip.Response:
		b.response(m)
	case *sip.Request:
		b.incoming(m, from)
	}
}

// response gives a response to its transaction, or a 2xx that has none any more to its dialog.
func (b *B2BUA) response(res *sip.Response) {
	key, err := sip.ClientTxKeyMake(res)
	if err != nil {
		b.metrics.dropped.WithLabelValues("response").Inc()
		return
	}
	if t := b.txs.findClient(key); t != nil {
		t.receive(res)
		return
	}
	if res.IsSuccess() && res.CSeq().MethodName == sip.INVITE {
		b.strayAnswer(res)
	}
}

// strayAnswer takes a 2xx to an INVITE whose transaction is over: repeated by a
// callee that misses our ACK, or given by a second phone behind a proxy, or
// given too late (RFC 3261 §13.2.2.4).
func (b *B2BUA) strayAnswer(res *sip.Response) {
	if l := b.legs.find(header(res, "call-id"), tagOf(header(res, "from"))); l != nil {
		if err := l.offer(func(c *call) { c.repeatedAnswer(l, res) }); !errors.Is(err, errGone) {
			return // buried: it will be repeated
		}
	}
	b.declineAnswer(res)
}

// incoming takes a request.
func (b *B2BUA) incoming(req *sip.Request, from netip.AddrPort) {
	key, err := sip.ServerTxKeyMake(req)
	if err != nil {
		b.metrics.dropped.WithLabelValues("request").Inc()
		return
	}
	l := b.legs.find(header(req, "call-id"), tagOf(header(req, "to")))
	switch t := b.txs.findServer(key); {
	case req.IsAck():
		b.ack(t, l, req)
		return
	case t != nil:
		t.repeated(req)
		return
	}
	t, err := b.serve(key, req, from)
	if err != nil {
		b.metrics.dropped.WithLabelValues("request").Inc()
		return
	}
	switch {
	case req.IsCancel():
		b.cancel(t)
	case l != nil:
		b.inside(l, t)
	case tagOf(header(req, "to")) != "":
		t.refuse(sip.StatusCallTransactionDoesNotExists)
	default:
		b.outside(t)
	}
}

// inside gives a request to the call its dialog belongs to.
func (b *B2BUA) inside(l *leg, t *serverTx) {
	switch err := l.offer(func(c *call) { c.request(l, t) }); {
	case errors.Is(err, errBuried):
		t.refuse(sip.StatusServiceUnavailable, sip.NewHeader("Retry-After", "1"))
	case err != nil:
		t.refuse(sip.StatusCallTransactionDoesNotExists)
	}
}

// ack takes an ACK: that of a failure belongs to its transaction, that of a 2xx to its dialog.
func (b *B2BUA) ack(t *serverTx, l *leg, req *sip.Request) {
	if t != nil {
		_ = t.tx.Receive(req)
		return
	}
	if l != nil {
		_ = l.offer(func(c *call) { c.acked(l, req) }) // who is not there needs none
	}
}

// cancel answers a CANCEL and lets the owner of its INVITE act (RFC 3261 §9.2).
// The 487 is the owner's, so that a 200 on its way cannot cross it.
func (b *B2BUA) cancel(t *serverTx) {
	invite := sip.NewRequest(sip.INVITE, t.req.Recipient)
	addHeader(invite, "Via", header(t.req, "via"))
	seq, _, _ := cutSpace(header(t.req, "cseq"))
	addHeader(invite, "CSeq", seq+" INVITE")
	key, err := sip.ServerTxKeyMake(invite)
	target := b.txs.findServer(key)
	if err != nil || target == nil {
		t.refuse(sip.StatusCallTransactionDoesNotExists)
		return
	}
	t.tag = target.tag
	_ = t.reply(t.response(sip.StatusOK, body{}))
	target.cancel()
}

// outside takes a request that belongs to no dialog.
func (b *B2BUA) outside(t *serverTx) {
	switch t.req.Method {
	case sip.INVITE:
		b.newCall(t)
	case sip.MESSAGE:
		b.newMessage(t)
	case sip.OPTIONS:
		_ = t.reply(t.response(sip.StatusOK, body{}, sip.NewHeader("Allow", allow), sip.NewHeader("Accept", sdpType)))
	case sip.BYE, sip.INFO, sip.UPDATE, sip.NOTIFY, sip.PRACK:
		t.refuse(sip.StatusCallTransactionDoesNotExists)
	case sip.SUBSCRIBE, sip.PUBLISH:
		t.refuse(489) // Bad Event: none is served yet
	case sip.REFER:
		t.refuse(sip.StatusGlobalDecline) // only inside a call
	default:
		t.refuse(sip.StatusMethodNotAllowed, sip.NewHeader("Allow", allow))
	}
}

// newCall begins a call, unless there are too many.
func (b *B2BUA) newCall(t *serverTx) {
	if b.legs.invited(inviteKey(t.req)) {
		t.refuse(sip.StatusLoopDetected) // the same request by two ways (RFC 3261 §8.2.2.2)
		return
	}
	b.mu.Lock()
	if !b.serving || b.live.Load()+b.cdrs.pending.Load() >= int64(b.cfg.MaxCalls) {
		b.mu.Unlock()
		b.metrics.refused.Inc()
		t.refuse(sip.StatusServiceUnavailable, sip.NewHeader("Retry-After", "5"))
		return
	}
	c := b.makeCall(t)
	b.calls[c] = struct{}{}
	b.live.Add(1)
	b.mu.Unlock()
	b.work.Go(c.run)
	c.mail.post(func() { c.begin(t) })
}
