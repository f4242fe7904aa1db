package b2bua

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// A who is a person's side of a call, as the other side gets to see it.
type who struct {
	user   tenancy.UserID
	number number
	name   string
}

// A leg is one dialog of a call (RFC 3261 §12). Its mutable state belongs to the
// goroutine of the call that owns it, and everything else reaches it by post.
type leg struct {
	b     *B2BUA
	owner atomic.Pointer[call] // changes only on the owner's goroutine, see transfer

	// Set when the leg is made, then constant.
	callID    string
	localTag  string
	inviteKey string // of a caller's leg
	who       who

	// Owned by the owner's goroutine.
	local, remote string // From and To of our requests
	remoteTag     string // "" until the peer has one
	target        sip.Uri
	routes        []string // route set, nearest first, each a Route value
	localSeq      uint32
	remoteSeq     uint32 // of the last request; 0 before any
	canUpdate     bool   // the peer allows UPDATE (RFC 3311)
	confirmed     bool   // answered: there is a session to hang up
	ended         bool   // BYE was sent or received, or the INVITE failed

	heard   body // the session description it sent last
	said    body // the one it was sent last
	active  body // the last one it sent that had an address to send to
	version uint64
	origin  string // the o= line it knows us by, once one of ours had to be invented

	in   *accepted // an INVITE of the peer that waits for its final response or its ACK
	out  *clientTx // an INVITE of ours that waits for its final response
	ackd lastACK
	owes uint32 // number of an INVITE of ours that was accepted and waits for its ACK
	se   session

	referred int    // REFERs it sent
	closing  bool   // to be hung up as soon as its ACK comes
	why      string // the reason to give then
	open     int    // client transactions of ours without a final response
}

// lastACK is the ACK of our last accepted INVITE, to be repeated when its 2xx is (RFC 3261 §13.2.2.4).
type lastACK struct {
	seq uint32
	req *sip.Request
}

// post runs f on the goroutine of the call that owns the leg by then. It is
// false when there is none any more.
func (l *leg) post(f func(*call)) bool {
	c := l.owner.Load()
	return c.mail.post(l.event(c, f))
}

// offer is post for what a peer can send as often as it likes.
func (l *leg) offer(f func(*call)) error {
	c := l.owner.Load()
	return c.mail.offer(l.event(c, f))
}

// event makes f an event for c that finds the leg's owner, should it have changed meanwhile.
func (l *leg) event(c *call, f func(*call)) func() {
	return func() {
		if l.owner.Load() != c {
			l.post(f)
			return
		}
		f(c)
	}
}

// hop is where requests to the peer go: its nearest route, else its contact.
func (l *leg) hop() (netip.AddrPort, bool) {
	if len(l.routes) > 0 {
		return hopOf(l.routes[0])
	}
	return hopOf("<" + l.target.String() + ">")
}

// compose makes a request to the peer (RFC 3261 §12.2.1.1). ACK takes the number of its INVITE.
func (l *leg) compose(method sip.RequestMethod, seq uint32, extra ...sip.Header) *sip.Request {
	req := sip.NewRequest(method, l.target)
	via := "SIP/2.0/" + transport + " " + l.b.cfg.Local.String() + ";branch=" + sip.RFC3261BranchMagicCookie + token(12)
	addHeader(req, "Via", via)
	addHeader(req, "Max-Forwards", "70")
	for _, r := range l.routes {
		addHeader(req, "Route", r)
	}
	addHeader(req, "From", l.local)
	addHeader(req, "To", l.remote)
	addHeader(req, "Call-ID", l.callID)
	addHeader(req, "CSeq", itoa(int(seq))+" "+string(method))
	switch method {
	case sip.INVITE, sip.UPDATE, sip.REFER, sip.NOTIFY:
		addHeader(req, "Contact", l.contact())
		addHeader(req, "Allow", allow)
		addHeader(req, "Supported", supported)
	}
	for _, h := range extra {
		req.AppendHeader(h)
	}
	return req
}

// supported is what both sides of us understand. 100rel is not offered: nothing
// of ours needs a reliable provisional response.
const supported = "timer, replaces"

// contact is where the peer reaches this leg.
func (l *leg) contact() string {
	return "<sip:" + l.localTag + "@" + l.b.cfg.Local.String() + ";transport=tcp>"
}

// An outcome is what became of a request of ours.
type outcome struct {
	code int           // of res; 408 when nothing came in time, 503 when it could not be sent
	res  *sip.Response // nil when there was none
}

func (o outcome) final() bool    { return o.code >= 200 }
func (o outcome) accepted() bool { return o.code/100 == 2 }

// body is what the response carried.
func (o outcome) body() body {
	if o.res == nil {
		return body{}
	}
	return bodyOf(o.res)
}

// dialogGone tells whether the peer does not know the dialog any more (RFC 3261 §12.2.1.2).
func (o outcome) dialogGone() bool { return o.code == 481 || o.code == 408 }

func outcomeOf(res *sip.Response, err error) outcome {
	switch {
	case res != nil:
		return outcome{code: res.StatusCode, res: res}
	case errors.Is(err, sip.ErrTransactionTransport) || errors.Is(err, errUnsent):
		return outcome{code: sip.StatusServiceUnavailable}
	default:
		return outcome{code: sip.StatusRequestTimeout}
	}
}

var errUnsent = errors.New("b2bua: the request could not be sent")

// send sends a request in the dialog. on runs on the owner's goroutine for every
// provisional outcome and once for the final one, also when the request cannot
// even leave; the transaction is nil then.
func (l *leg) send(req *sip.Request, on func(*call, outcome)) *clientTx {
	l.open++
	tell := func(res *sip.Response, err error) {
		o := outcomeOf(res, err)
		if !o.final() {
			_ = l.offer(func(c *call) { on(c, o) }) // one of many may be missed
			return
		}
		l.post(func(c *call) {
			l.open--
			on(c, o)
		})
	}
	if to, ok := l.hop(); ok {
		if t, err := l.b.request(req, to, tell); err == nil {
			return t
		}
	}
	tell(nil, errUnsent)
	return nil
}

// request sends a request of the next number.
func (l *leg) request(method sip.RequestMethod, b body, on func(*call, outcome), extra ...sip.Header) *clientTx {
	l.localSeq++
	req := l.compose(method, l.localSeq, extra...)
	setBody(req, b)
	return l.send(req, on)
}

// learn takes the dialog's remote side from a 2xx to an INVITE of ours
// (RFC 3261 §12.1.2), or only its contact when the dialog exists.
func (l *leg) learn(res *sip.Response) {
	if uri, err := uriOf(header(res, "contact")); err == nil {
		l.target = uri
	}
	l.canUpdate = lists(res, "allow", "UPDATE") || l.canUpdate
	if l.confirmed {
		return
	}
	l.remote = header(res, "to")
	l.remoteTag = tagOf(l.remote)
	routes := values(res, "record-route")
	l.routes = nil
	for i := len(routes) - 1; i >= 0; i-- {
		l.routes = append(l.routes, routes[i])
	}
}

// ack acknowledges our INVITE of the given number, with the answer when the 2xx had the offer.
func (l *leg) ack(seq uint32, b body) {
	req := l.compose(sip.ACK, seq)
	setBody(req, b)
	l.ackd, l.owes = lastACK{seq: seq, req: req}, 0
	if !b.empty() {
		l.said = b
	}
	l.sendACK()
}

// sendACK sends the last ACK, again if need be. It is a message without a transaction.
func (l *leg) sendACK() {
	if to, ok := l.hop(); ok && l.ackd.req != nil {
		_ = (&conn{b: l.b, to: to}).WriteMsg(l.ackd.req) // its loss brings the 2xx again
	}
}

// hangUp ends the dialog, whatever stage it is in, but for an INVITE of the peer
// that has no final response: that one deserves a code, see call.refuse.
func (l *leg) hangUp(reason string) {
	if l.ended {
		return
	}
	if l.in != nil && l.in.res != nil {
		l.closing, l.why = true, reason // not before the ACK (RFC 3261 §15)
		return
	}
	l.ended = true
	l.stopTimers()
	if l.owes != 0 {
		l.ack(l.owes, body{})
	}
	switch {
	case l.confirmed:
		l.request(sip.BYE, body{}, func(*call, outcome) {}, reasonHeader(reason)...)
	case l.out != nil:
		l.out.cancel()
	}
}

// reasonHeader tells a peer why (RFC 3326), when there is something to say.
func reasonHeader(text string) []sip.Header {
	if text == "" {
		return nil
	}
	return []sip.Header{sip.NewHeader("Reason", `SIP;cause=200;text="`+text+`"`)}
}

func (l *leg) stopTimers() {
	l.se.stop()
	if l.in != nil && l.in.timer != nil {
		l.in.timer.Stop()
	}
}

// idle tells whether nothing of the leg is under way.
func (l *leg) idle() bool { return l.open == 0 && !l.closing }

// after runs f on the owner's goroutine when d has passed.
func (l *leg) after(d time.Duration, f func(*call)) *time.Timer {
	return time.AfterFunc(d, func() { l.post(f) })
}

// hears notes a session description the peer sent.
func (l *leg) hears(b body) {
	if !b.isSDP() {
		return
	}
	l.heard = b
	if !silenced(b.data) {
		l.active = b
	}
}
