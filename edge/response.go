package edge

import (
	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// response takes a response back to where its request came from. It is believed
// only if it comes down the flow the request went out by.
func (e *Edge) response(w *work, from side, f transport.Flow) {
	m := &w.msg
	via, err := sip.ParseVia(m.Topmost(sip.Via))
	if err != nil {
		e.metrics.count(verdictGarbage)
		return
	}
	if from == outside && e.keeper.answered(via.Branch(), f) {
		return
	}
	ref, _, ok := transaction.ParseBranch(via.Branch())
	var r *record
	if ok {
		r = e.table.At(ref)
	}
	if r == nil {
		e.metrics.count(verdictStray)
		return
	}
	p := &r.Data
	if p.from == from || !sameFlow(p.down, f) && from == outside {
		r.Release()
		e.metrics.count(verdictWrongFlow)
		return
	}
	if p.method == invite && string(m.CSeqMethod) == "CANCEL" {
		r.Client.CancelAnswered()
		r.Release()
		return
	}
	if methodOf(m) != p.method {
		r.Release()
		e.metrics.count(verdictStray)
		return
	}
	if !e.judge(w, r) {
		r.Release()
		return
	}
	if p.busy {
		e.enqueue(p, m)
		r.Release()
		return
	}
	e.passBack(w, r)
}

// judge moves the client half by the response in w, answers a failure of an
// INVITE with its ACK, and tells whether the response goes on.
func (e *Edge) judge(w *work, r *record) bool {
	verdict, cancel := r.Client.Respond(e.wheel.Now(), w.msg.Code)
	if cancel {
		e.sendCancel(r)
	}
	switch verdict {
	case transaction.PassAck:
		e.sendAck(w, r)
	case transaction.Reack:
		e.sendAck(w, r)
		return false
	case transaction.Drop:
		return false
	}
	if !r.Client.Open() {
		r.Unwatch(transaction.Down)
	}
	return w.msg.Code > 100 // ours has been sent already
}

// maxQueue is how many responses may wait for a relay behind one transaction.
const maxQueue = 32

// enqueue keeps a response that came while the relay was asked about an earlier
// one: they must not overtake it.
func (e *Edge) enqueue(p *passage, m *sip.Message) {
	if len(p.queue) >= maxQueue && m.Code < 200 {
		e.metrics.count(verdictQueue)
		return
	}
	p.queue = append(p.queue, append([]byte(nil), m.Raw...))
}

// drain passes on what has waited. It takes over the lock of r.
func (e *Edge) drain(r *record) {
	p := &r.Data
	if p.busy || len(p.queue) == 0 {
		r.Release()
		return
	}
	raw := p.queue[0]
	p.queue = p.queue[1:]
	w := e.works.Get().(*work)
	defer e.works.Put(w)
	if err := w.msg.Scan(raw); err != nil {
		r.Release() // it was scanned before it was kept
		return
	}
	e.passBack(w, r)
}

// passBack sends the response in w up, by way of the relay if it has an SDP to be
// anchored. It takes over the lock of r.
func (e *Edge) passBack(w *work, r *record) {
	if r.Data.media.answered(&w.msg, &r.Data) {
		e.anchorResponse(w, r)
		return
	}
	e.goUp(w, r, nil)
	e.drain(r)
}

// goUp prints and sends the response in w, with sdp for its body when set.
func (e *Edge) goUp(w *work, r *record, sdp []byte) {
	p := &r.Data
	code := w.msg.Code
	if !r.Server.Respond(e.wheel.Now(), code) {
		return
	}
	w.edit.Reset(&w.msg)
	if p.from == outside {
		e.editResponseOutward(w, p, sdp)
	} else {
		e.editResponseInward(w, p, sdp)
	}
	w.edit.SetLength()
	w.edit.Prepend("Via", p.head.via())
	w.out = w.edit.AppendTo(w.out[:0])
	p.last = append(p.last[:0], w.out...)
	e.metrics.responses.add(p.from == inside)
	e.up(p, w.out)
	e.testify(w, p)
	if code < 200 {
		return
	}
	if p.from == outside && p.method == register_ && code < 300 {
		e.registered(w, p)
	}
	e.finished(r, code)
}

// editResponseOutward hides the inside in a response of core's. The contacts in
// an answer to REGISTER are the phones' own.
func (e *Edge) editResponseOutward(w *work, p *passage, sdp []byte) {
	e.hide(w)
	if p.method != register_ {
		e.sealContacts(w, p.up, p.down, p.media.relayID(), p.secure)
	}
	e.keepOutsideRoutes(w)
	e.setBodyOutward(w, sdp)
}

// keepOutsideRoutes takes the Record-Routes of the inside out, and ours that
// belongs there.
func (e *Edge) keepOutsideRoutes(w *work) {
	m := &w.msg
	for i := m.Index(sip.RecordRoute); i >= 0; i = m.Next(i) {
		w.buf = w.buf[:0]
		kept, all := 0, 0
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			all++
			n, err := sip.ParseNameAddr(value)
			if err != nil || e.inner.in(n.URI) {
				continue
			}
			if kept++; kept > 1 {
				w.buf = append(w.buf, ", "...)
			}
			w.buf = append(w.buf, value...)
		}
		switch {
		case kept == 0:
			w.edit.Remove(i)
		case kept < all:
			w.edit.Replace(i, w.buf)
		}
	}
}

// editResponseInward prepares a phone's response for core. What forms a dialog
// gets our Record-Routes, so that core's route set leads inside, outside.
func (e *Edge) editResponseInward(w *work, p *passage, sdp []byte) {
	for _, id := range [...]sip.HeaderID{sip.Via, sip.Path, sip.LinderoSource, sip.LinderoOther, sip.PAssertedIdentity} {
		w.edit.RemoveAll(id)
	}
	setBody(w, sdp)
	if p.dialog && w.msg.Code < 300 {
		e.recordOutward(w, p)
	}
}

// recordOutward adds to the Record-Routes of a phone's response what they lack:
// ours of the outside, if the phone has not copied it, then that of the inside,
// with the flow. Both come after those of proxies between us and the phone.
func (e *Edge) recordOutward(w *work, p *passage) {
	m := &w.msg
	last, copied := -1, false
	for i := m.Index(sip.RecordRoute); i >= 0; i = m.Next(i) {
		last = i
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			n, err := sip.ParseNameAddr(value)
			copied = copied || err == nil && e.isOurRoute(n.URI)
		}
	}
	at := last + 1
	if last < 0 {
		at = 0
	}
	insert := func() {
		if at < m.Len() {
			w.edit.InsertBefore(at, "Record-Route", w.buf)
			return
		}
		w.edit.Append("Record-Route", w.buf)
	}
	if !copied {
		w.buf = e.appendOutsideRoute(w.buf[:0], p.down, p.secure)
		insert()
	}
	w.buf = e.appendInsideRoute(w.buf[:0], p.down, p.media.relayID())
	insert()
}
