package edge

import (
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A refusal is a decision to answer a request with a final failure. It is made
// of our own words only: nothing of it comes from the wire or tells of the inside.
type refusal struct {
	code    int
	reason  string // empty: the RFC's phrase
	headers string // whole lines
	verdict verdict
}

func (r *refusal) Error() string { return "edge: " + strconv.Itoa(r.code) + " " + r.reason }

const retryAfter = "Retry-After: 5\r\n"

// The refusals that need nothing of the request.
var (
	errHops      = &refusal{code: 483, verdict: verdictHops}
	errLoop      = &refusal{code: 482, verdict: verdictLoop}
	errScheme    = &refusal{code: 416, verdict: verdictScheme}
	errFull      = &refusal{code: 503, headers: retryAfter, verdict: verdictFull}
	errForged    = &refusal{code: 403, verdict: verdictToken}
	errFlowGone  = &refusal{code: 430, reason: "Flow Failed", verdict: verdictFlowGone}
	errNoTarget  = &refusal{code: 503, verdict: verdictNoTarget}
	errCoreDown  = &refusal{code: 503, headers: retryAfter, verdict: verdictCoreDown}
	errRelayDown = &refusal{code: 503, headers: retryAfter, verdict: verdictRelayDown}
	errMedia     = &refusal{code: 488, verdict: verdictMedia}
	errTimeout   = &refusal{code: 408, verdict: verdictTimeout}
	errStrayAck  = &refusal{code: 481, verdict: verdictStrayAck}
	errStray     = &refusal{code: 481, verdict: verdictStrayCancel}
)

// refuse answers the request in w without a transaction: a retransmission gets
// the same answer again. An ACK is never answered.
func (e *Edge) refuse(w *work, from side, f transport.Flow, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{code: 500, verdict: verdictMalformed}
	}
	e.metrics.count(r.verdict)
	if w.msg.Is("ACK") {
		return
	}
	e.reply(w, from, f, sip.Response{Code: r.code, Reason: r.reason, Headers: []byte(r.headers)})
}

// reply sends a response of our own to the request in w, without a transaction.
func (e *Edge) reply(w *work, from side, f transport.Flow, r sip.Response) {
	r.ToTag = string(appendTag(w.buf[:0], ownTag(&w.msg)))
	w.out = sip.Respond(w.out[:0], &w.msg, f.Remote, r)
	if err := e.send(from, f, w.out); err != nil {
		e.metrics.count(verdictUnsent)
	}
}

// ownTag is the To tag of our own responses to m: the same for every
// retransmission, as for CANCEL and its INVITE (RFC 3261 §8.2.6.2, §9.2).
func ownTag(m *sip.Message) uint64 {
	return maphash.Bytes(tagSeed, m.Get(sip.CallID)) ^ maphash.Bytes(tagSeed, m.Get(sip.From))
}

func appendTag(dst []byte, tag uint64) []byte {
	return strconv.AppendUint(append(dst, 'e'), tag, 36)
}

// tagSeed makes our tags unlike any other process's.
var tagSeed = maphash.MakeSeed()
