package edge

import (
	"bytes"
	"encoding/hex"
	"hash/maphash"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

var errCancelled = &refusal{code: 487, verdict: verdictNone}

// cancelled deals with a CANCEL, which is a matter between neighbours: it is
// answered here, and one of our own follows the INVITE (RFC 3261 §9, §16.10).
func (e *Edge) cancelled(w *work, from side, f transport.Flow) error {
	m := &w.msg
	r := e.table.Find(e.key(m, []byte("INVITE"), from, f))
	if r == nil {
		return errStray
	}
	defer r.Release()
	e.reply(w, from, f, sip.Response{Code: 200})
	p := &r.Data
	if !r.Server.Open() {
		return nil
	}
	if reason := m.Find("Reason"); len(reason) > 0 && !(from == inside && e.inner.in(reason)) {
		p.reason = bytes.Clone(reason)
	}
	e.abandoned(r)
	return nil
}

// sendCancel sends the CANCEL of r's INVITE down.
func (e *Edge) sendCancel(r *record) {
	p := &r.Data
	w := e.works.Get().(*work)
	defer e.works.Put(w)
	if err := w.msg.Scan(p.sent); err != nil {
		return // it was scanned before it was sent
	}
	p.cancel = appendHop(p.cancel[:0], "CANCEL", &w.msg, nil)
	if len(p.reason) > 0 {
		p.cancel = append(append(append(p.cancel, "Reason: "...), p.reason...), "\r\n"...)
	}
	p.cancel = append(p.cancel, "Content-Length: 0\r\n\r\n"...)
	_ = e.send(!p.from, p.down, p.cancel) // lost like any datagram: it is repeated
}

// sendAck acknowledges the failure in w to the neighbour it came from
// (RFC 3261 §17.1.1.3). It is not kept: the failure will come again.
func (e *Edge) sendAck(w *work, r *record) {
	p := &r.Data
	sent := e.works.Get().(*work)
	defer e.works.Put(sent)
	if err := sent.msg.Scan(p.sent); err != nil {
		return // it was scanned before it was sent
	}
	sent.out = appendHop(sent.out[:0], "ACK", &sent.msg, w.msg.Get(sip.To))
	sent.out = append(sent.out, "Content-Length: 0\r\n\r\n"...)
	_ = e.send(!p.from, p.down, sent.out)
}

// appendHop appends the beginning of a CANCEL or ACK that goes one hop, after the
// INVITE that was sent: the same Request-URI, top Via, Route, From, Call-ID and
// number, with the To of the response for ACK (RFC 3261 §9.1, §17.1.1.3).
func appendHop(dst []byte, method string, sent *sip.Message, to []byte) []byte {
	dst = append(append(append(dst, method...), ' '), sent.URI...)
	dst = append(append(dst, " SIP/2.0\r\nVia: "...), sent.Topmost(sip.Via)...)
	dst = append(dst, "\r\nMax-Forwards: 70\r\n"...)
	for i := sent.Index(sip.Route); i >= 0; i = sent.Next(i) {
		h := sent.Header(i)
		dst = append(dst, sent.Raw[h.Start:h.End]...)
	}
	if to == nil {
		to = sent.Get(sip.To)
	}
	dst = append(append(dst, "From: "...), sent.Get(sip.From)...)
	dst = append(append(dst, "\r\nTo: "...), to...)
	dst = append(append(dst, "\r\nCall-ID: "...), sent.Get(sip.CallID)...)
	number, _, _ := bytes.Cut(sent.Get(sip.CSeq), []byte(" "))
	dst = append(append(dst, "\r\nCSeq: "...), number...)
	dst = append(append(dst, ' '), method...)
	return append(dst, "\r\n"...)
}

// ackAbsorbed gives an ACK to the transaction whose INVITE it acknowledges and
// tells whether it ends there. An ACK of a 2xx has a branch of its own and passes.
func (e *Edge) ackAbsorbed(m *sip.Message, from side, f transport.Flow) bool {
	r := e.table.Find(e.key(m, []byte("INVITE"), from, f))
	if r == nil {
		return false
	}
	defer r.Release()
	return r.Server.Ack(e.wheel.Now())
}

// ackInward passes the ACK of a 2xx to the core that its contact names. One that
// names none belongs to no call of ours.
func (e *Edge) ackInward(w *work, f transport.Flow) error {
	m := &w.msg
	if e.ackAbsorbed(m, outside, f) {
		return nil
	}
	if err := e.admit(w, outside); err != nil {
		return err
	}
	to, err := e.routeInward(w)
	if err != nil {
		return err
	}
	if !to.core.IsValid() {
		return errStrayAck
	}
	e.ack(w, f, outside, to.relay, func(w *work, sdp []byte) {
		down, err := e.cores.connect(to.core)
		if err != nil {
			e.metrics.count(verdictCoreDown)
			return
		}
		e.editInward(w, f)
		w.edit.SetURI(to.uri)
		setBody(w, sdp)
		w.buf = append(append(w.buf[:0], "SIP/2.0/TCP "...), e.inner.own...)
		e.sendAckOn(w, inside, down)
	})
	return nil
}

// ackOutward passes core's ACK of a 2xx to the phone.
func (e *Edge) ackOutward(w *work, f transport.Flow) error {
	m := &w.msg
	if e.ackAbsorbed(m, inside, f) {
		return nil
	}
	if err := e.admit(w, inside); err != nil {
		return err
	}
	to, err := e.routeOutward(m)
	if err != nil {
		return err
	}
	e.ack(w, f, inside, to.relay, func(w *work, sdp []byte) {
		e.editOutward(w, to.flow, to.ours)
		e.sealContacts(w, to.flow, f, to.relay.id(), secureURI(w.msg.URI))
		e.setBodyOutward(w, sdp)
		w.buf = e.appendVia(w.buf[:0], to.flow)
		e.sendAckOn(w, outside, to.flow)
	})
	return nil
}

// sendAckOn sends the edited ACK in w down f; w.buf is our Via up to its
// parameters. There is no transaction: a repeated ACK gets the same branch
// (RFC 3261 §16.11).
func (e *Edge) sendAckOn(w *work, to side, f transport.Flow) {
	via, _ := sip.ParseVia(w.msg.Topmost(sip.Via))
	sum := maphash.Bytes(tagSeed, via.Branch()) ^ maphash.Bytes(tagSeed, w.msg.Get(sip.CallID))
	var b [8]byte
	for i := range b {
		b[i] = byte(sum >> (8 * i))
	}
	w.buf = hex.AppendEncode(append(w.buf, ";branch=z9hG4bKack"...), b[:])
	w.edit.Prepend("Via", w.buf)
	w.out = w.edit.AppendTo(w.out[:0])
	e.metrics.requests.add(to == inside)
	if err := e.send(to, f, w.out); err != nil {
		e.metrics.count(verdictFlowGone)
	}
}
