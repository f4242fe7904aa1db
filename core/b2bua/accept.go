package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

// An accepted is an INVITE of the peer in progress.
type accepted struct {
	stx   *serverTx
	seq   uint32
	res   *sip.Response // the 2xx, once given
	timer *time.Timer
	onACK func(body)
}

// accept gives the peer's INVITE in progress its 2xx and repeats that until the
// ACK comes (RFC 3261 §13.3.1.4); onACK then gets what the ACK carried. When none
// comes for 64·T1 the call ends.
func (l *leg) accept(b body, onACK func(body), extra ...sip.Header) {
	in, t := l.in, l.b.cfg.Timing
	extra = append([]sip.Header{
		sip.NewHeader("Contact", l.contact()),
		sip.NewHeader("Allow", allow),
		sip.NewHeader("Supported", supported),
	}, extra...)
	in.res, in.onACK = in.stx.response(sip.StatusOK, b, extra...), onACK
	if b.isSDP() {
		l.said = b
	}
	_ = in.stx.reply(in.res) // if it is lost, it is repeated
	wait, waited := t.T1, time.Duration(0)
	var again func(*call)
	again = func(c *call) {
		if l.in != in {
			return
		}
		if waited += wait; waited >= 64*t.T1 {
			c.unacknowledged(l)
			return
		}
		_ = in.stx.conn.WriteMsg(in.res)
		wait = min(2*wait, t.T2)
		in.timer = l.after(wait, again)
	}
	in.timer = l.after(wait, again)
}

// acknowledged takes the peer's ACK of what accept sent.
func (l *leg) acknowledged(seq uint32) (onACK func(body), ok bool) {
	in := l.in
	if in == nil || in.res == nil || in.seq != seq {
		return nil, false
	}
	l.dropInvite()
	return in.onACK, true
}

// dropInvite forgets the peer's INVITE in progress.
func (l *leg) dropInvite() {
	if l.in == nil {
		return
	}
	if l.in.timer != nil {
		l.in.timer.Stop()
	}
	if l.in.res != nil {
		l.in.stx.finish()
	}
	l.in = nil
}
