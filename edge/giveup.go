package edge

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strconv"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// giveUp ends the call that the 2xx in w has made, which cannot be passed on: it
// is acknowledged, and a BYE follows, as its caller would do. An INVITE within a
// call leaves the call as it was.
func (e *Edge) giveUp(w *work, r *record) {
	p := &r.Data
	target, err := sip.ParseNameAddr(w.msg.Topmost(sip.Contact))
	if err != nil {
		return
	}
	w.buf = e.appendOwn(w.buf[:0], w, "ACK", target.URI, 0, p.down, !p.from, freshBranch())
	_ = e.send(!p.from, p.down, w.buf)
	if !p.early {
		return
	}
	key := e.table.Key([]byte("bye"), w.msg.Get(sip.CallID), w.msg.Tag(sip.To))
	bye_, created, err := e.table.Create(key)
	if err != nil {
		e.metrics.count(verdictFull)
		return
	}
	if created {
		// Only the client half lives: nobody waits for the answer.
		q := &bye_.Data
		q.from, q.method = p.from, bye
		branch := bye_.AppendBranch(nil, 0)
		q.sent = e.appendOwn(nil, w, "BYE", target.URI, 1, p.down, !p.from, branch)
		e.goDown(bye_, p.down)
	}
	bye_.Release()
}

// appendOwn appends a request of our own within the dialog that the response in w
// is about, its CSeq number later than the response's.
func (e *Edge) appendOwn(dst []byte, w *work, method string, uri []byte, later uint32, f transport.Flow, to side, branch []byte) []byte {
	m := &w.msg
	dst = append(append(append(dst, method...), ' '), uri...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	if to == inside {
		dst = append(append(dst, "SIP/2.0/TCP "...), e.inner.own...)
	} else {
		dst = e.appendVia(dst, f)
	}
	dst = append(append(dst, ";branch="...), branch...)
	dst = append(append(dst, "\r\nMax-Forwards: 70\r\nFrom: "...), m.Get(sip.From)...)
	dst = append(append(dst, "\r\nTo: "...), m.Get(sip.To)...)
	dst = append(append(dst, "\r\nCall-ID: "...), m.Get(sip.CallID)...)
	dst = strconv.AppendUint(append(dst, "\r\nCSeq: "...), uint64(m.CSeqNumber+later), 10)
	dst = append(append(dst, ' '), method...)
	return append(dst, "\r\nContent-Length: 0\r\n\r\n"...)
}

// freshBranch is a branch for a request without a transaction.
func freshBranch() []byte {
	var b [8]byte
	for i, bits := 0, rand.Uint64(); i < len(b); i++ {
		b[i] = byte(bits >> (8 * i))
	}
	return hex.AppendEncode(bytes.Clone([]byte("z9hG4bKown")), b[:])
}
