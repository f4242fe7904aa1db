package edge

import (
	"strconv"

	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/edge/wheel"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// goDown sends p.sent, a request that is printed, to f for the first time. The
// record is locked and stays so.
func (e *Edge) goDown(r *record, f transport.Flow) {
	p := &r.Data
	p.down = f
	r.Client.Begin(e.wheel.Now(), &e.cfg.Timing, p.method == invite, f.Protocol != transport.UDP)
	r.Watch(transaction.Down, f.Conn)
	if err := e.send(!p.from, f, p.sent); err != nil {
		e.unreachable(r)
	}
}

// unreachable deals with a target that turned out to be gone: another core is
// tried for what is not bound to one, the rest is answered at once.
func (e *Edge) unreachable(r *record) {
	p := &r.Data
	heard := r.Client.Heard()
	r.Unwatch(transaction.Down)
	r.Client.Fail()
	if p.from == inside {
		e.answer(r, errFlowGone)
		return
	}
	if p.fresh && !heard && r.Server.Open() {
		if f, i, err := e.cores.pick(p.core + 1); err == nil {
			p.core = i
			e.goDown(r, f) // as deep as there are cores
			return
		}
	}
	e.answer(r, errCoreDown)
}

// closed tells every request that waits for an answer from f that none will come,
// and every INVITE that came by f that nobody waits for its answer.
func (e *Edge) closed(s side, f transport.Flow) {
	if s == outside {
		e.keeper.forget(f)
	}
	for _, ref := range e.table.Watchers(f.Conn) {
		r := e.table.At(ref)
		if r == nil {
			continue
		}
		switch {
		case r.Data.up.Conn == f.Conn:
			e.abandoned(r)
		case r.Client.Open() && r.Data.down.Conn == f.Conn:
			e.unreachable(r)
		}
		r.Release()
	}
}

// abandoned cancels an INVITE whose sender's connection is gone: a phone must not
// go on ringing for it.
func (e *Edge) abandoned(r *record) {
	switch {
	case !r.Server.Open():
	case !r.Client.Open():
		e.answer(r, errCancelled) // the relay is still being asked: nothing has gone down
	case r.Client.Cancel(e.wheel.Now()):
		e.sendCancel(r)
	}
}

// trying answers an INVITE at once, so that its sender stops repeating it.
func (e *Edge) trying(w *work, r *record) {
	if r.Data.method != invite {
		return
	}
	p := &r.Data
	if p.from == outside {
		r.Watch(transaction.Up, p.up.Conn) // core gets its answers by another connection
	}
	w.out = sip.Respond(w.out[:0], &w.msg, p.up.Remote, sip.Response{Code: 100})
	p.last = append(p.last[:0], w.out...)
	r.Server.Respond(e.wheel.Now(), 100)
	e.up(p, w.out)
}

// answer ends r with a response of our own, if none has been sent.
func (e *Edge) answer(r *record, why *refusal) {
	p := &r.Data
	if !r.Server.Open() || !r.Server.Respond(e.wheel.Now(), why.code) {
		return
	}
	e.metrics.count(why.verdict)
	reason := why.reason
	if reason == "" {
		reason = sip.ReasonPhrase(why.code)
	}
	b := append(p.last[:0], "SIP/2.0 "...)
	b = append(append(strconv.AppendInt(b, int64(why.code), 10), ' '), reason...)
	b = append(b, "\r\n"...)
	b = p.head.append(b)
	b = append(append(b, why.headers...), "Content-Length: 0\r\n\r\n"...)
	p.last = b
	e.up(p, b)
	e.finished(r, why.code)
}

// up sends a response back to where the request came from. Core may have lost
// that connection; then its Via says where it listens (RFC 3261 §18.2.2). A
// stranger's Via is never dialled.
func (e *Edge) up(p *passage, b []byte) {
	err := e.send(p.from, p.up, b)
	if err != nil && p.from == inside {
		var f transport.Flow
		if f, err = e.cores.viaFlow(p.head.top()); err == nil {
			p.up = f
			err = e.inside.Send(f, b)
		}
	}
	if err != nil {
		e.metrics.count(verdictUnsent)
	}
}

// repeated deals with a retransmission of r's request. It takes over its lock.
func (e *Edge) repeated(r *record) {
	defer r.Release()
	e.metrics.repeats.Add(1)
	if p := &r.Data; r.Server.Repeat() && len(p.last) > 0 {
		e.up(p, p.last)
	}
}

// expire lets the timers of r act. It is called by the wheel.
func (e *Edge) expire(r *record, now wheel.Time) {
	p := &r.Data
	if r.Server.Expire(now) {
		e.metrics.resent.Add(1)
		e.up(p, p.last)
	}
	for {
		switch r.Client.Expire(now) {
		case transaction.Nothing:
			return
		case transaction.Resend:
			e.metrics.resent.Add(1)
			_ = e.send(!p.from, p.down, p.sent) // lost like any datagram
		case transaction.SendCancel:
			e.sendCancel(r)
		case transaction.ResendCancel:
			e.metrics.resent.Add(1)
			_ = e.send(!p.from, p.down, p.cancel)
		case transaction.TimedOut:
			e.timedOut(r)
		}
	}
}

// timedOut ends r because its target did not answer. To a phone, 408 for anything
// but INVITE would come when the phone has given up as well (RFC 4320 §4.1).
func (e *Edge) timedOut(r *record) {
	p := &r.Data
	r.Unwatch(transaction.Down)
	switch {
	case p.method == invite && r.Client.Cancelled():
		e.answer(r, errCancelled)
	case p.method == invite || p.from == inside:
		e.answer(r, errTimeout)
	case r.Server.Open():
		e.metrics.count(verdictTimeout)
		r.Server.Abandon()
		e.finished(r, 408)
	}
}

// finished does what the end of a request brings with it, code being its final
// response.
func (e *Edge) finished(r *record, code int) {
	p := &r.Data
	r.Unwatch(transaction.Up)
	if !r.Client.Open() {
		r.Unwatch(transaction.Down)
		if p.method != invite {
			p.sent = nil
		}
	}
	switch {
	case p.method == bye:
		e.release(p)
	case p.early && code >= 300 && code != 482:
		// 482 answers a second copy of an INVITE that reached us by two ways: the
		// anchor belongs to the first.
		e.release(p)
	}
}
