package b2bua

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"
)

// retries is how often an INVITE of ours is tried again that met one of the peer.
const retries = 4

func (l *leg) session() body  { return l.active }
func (l *leg) identity() who  { return l.who }
func (l *leg) belong(c *call) { l.owner.Store(c) }

// retarget takes the contact of a request that may change it (RFC 3261 §12.2.2).
func (l *leg) retarget(req *sip.Request) {
	if uri, err := uriOf(header(req, "contact")); err == nil {
		l.target = uri
	}
	l.canUpdate = l.canUpdate || lists(req, "allow", "UPDATE")
}

// reinvite sends a re-INVITE. on must acknowledge a 2xx.
func (l *leg) reinvite(offer body, on func(*call, outcome), session ...sip.Header) {
	if session == nil {
		session = l.se.ask(l.b.cfg.Timing, "")
	}
	before := l.said
	if !offer.empty() {
		l.said = offer
	}
	var limit *time.Timer
	t := l.request(sip.INVITE, offer, func(c *call, o outcome) {
		if !o.final() {
			return
		}
		limit.Stop()
		l.out = nil
		if o.accepted() {
			l.learn(o.res)
			if l.ended { // hung up meanwhile; the 2xx wants its ACK nevertheless
				l.ack(o.res.CSeq().SeqNo, body{})
			}
		}
		if !o.accepted() {
			l.said = before // RFC 3261 §14.1: a refused change changes nothing
		}
		on(c, o)
	}, session...)
	// sipgo waits for ever for who has said 1xx; a change of a session needs no
	// person's decision, so it is not given the time of a ringing phone.
	limit = l.after(64*l.b.cfg.Timing.T1, func(*call) {
		if t != nil && l.out == t {
			t.cancel()
		}
	})
	l.out = t
}

// renew offers the peer another session and acknowledges its answer. An INVITE
// of the peer that crosses ours (491) is given time to pass (RFC 3261 §14.1).
func (l *leg) renew(offer body, done func(c *call, answer body, code int)) {
	l.renewAgain(l.adapt(offer), retries, done)
}

func (l *leg) renewAgain(offer body, left int, done func(c *call, answer body, code int)) {
	l.reinvite(offer, func(c *call, o outcome) {
		again := o.code == sip.StatusRequestPending || o.code == codeIntervalTooSmall && l.se.raise(o.res)
		if again && left > 0 && !l.ended {
			l.after(l.pause(), func(c *call) {
				if l.ended {
					done(c, body{}, sip.StatusCallTransactionDoesNotExists)
					return
				}
				l.renewAgain(offer, left-1, done)
			})
			return
		}
		if o.accepted() && !l.ended {
			l.ack(o.res.CSeq().SeqNo, body{})
			l.hears(o.body())
			l.se.agreed(l, o.res)
		}
		done(c, o.body(), o.code)
	})
}

// pause is how long to wait after 491: longer for who made the Call-ID.
func (l *leg) pause() time.Duration {
	if l.inviteKey == "" {
		return 2100*time.Millisecond + rand.N(1900*time.Millisecond)
	}
	return rand.N(2000 * time.Millisecond)
}

// same tells whether two descriptions are the same, byte for byte.
func same(a, b body) bool { return len(a.data) > 0 && bytes.Equal(a.data, b.data) }
