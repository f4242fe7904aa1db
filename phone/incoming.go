package phone

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// arrive takes an INVITE that begins a call.
func (p *Phone) arrive(t *serverTx) {
	if p.cfg.Manners.Busy {
		t.reply(sip.Response{Code: 486, ToTag: token()})
		return
	}
	if unknown := unsupported(t.req); unknown != "" {
		t.reply(sip.Response{Code: 420, ToTag: token(), Headers: []byte("Unsupported: " + unknown + "\r\n")})
		return
	}
	old, ok := p.replaced(t.req)
	if !ok {
		t.reply(sip.Response{Code: 481, ToTag: token()})
		return
	}
	if !p.understands(t.req) {
		t.reply(sip.Response{Code: 488, ToTag: token()})
		return
	}
	t.reply(sip.Response{Code: 100})
	c, err := p.newCall(false, p.cfg.Sound())
	if err != nil {
		t.reply(sip.Response{Code: 500, ToTag: token()})
		return
	}
	c.d = accept(t.req)
	c.invite, c.replaces = t, old
	c.keep()
	t.mu.Lock()
	t.call = c
	t.mu.Unlock()
	select {
	case p.incoming <- c:
	default:
		_ = c.Reject(486) // nobody takes calls here; the call is over in any case
		return
	}
	switch {
	case old != nil:
		p.spawn(c.takeOver)
	case p.cfg.Manners.Answer:
		p.spawn(func() { c.answerAfter(p.cfg.Manners.AnswerAfter) })
	}
}

// understands tells whether the offer of an INVITE, if it has one, can be answered.
func (p *Phone) understands(m *message) bool {
	if len(m.Body) == 0 {
		return true
	}
	d, err := parseSDP(m.Body)
	if err != nil {
		return false
	}
	_, ok := choose(p.cfg.Codecs, d.codecs)
	return ok
}

// unsupported are the extensions the peer requires and we do not know.
func unsupported(m *message) string {
	var unknown []string
	for _, option := range m.all(sip.Require) {
		if option != "timer" && option != "replaces" {
			unknown = append(unknown, option)
		}
	}
	return strings.Join(unknown, ", ")
}

// replaced finds the call named by a Replaces header (RFC 3891 §3). ok is false
// when there is such a header and no such call.
func (p *Phone) replaced(m *message) (c *Call, ok bool) {
	value := m.text(sip.Replaces)
	if value == "" {
		return nil, true
	}
	id, params, _ := strings.Cut(value, ";")
	to, _ := sip.Param([]byte(";"+params), "to-tag")
	from, _ := sip.Param([]byte(";"+params), "from-tag")
	p.mu.Lock()
	c = p.calls[strings.TrimSpace(id)+" "+string(to)]
	p.mu.Unlock()
	return c, c != nil && c.from(string(from))
}

// takeOver answers a call that replaces another, and ends that one.
func (c *Call) takeOver() {
	ctx, cancel := context.WithTimeout(context.Background(), 64*c.p.cfg.Timing.T1)
	defer cancel()
	if c.Answer(ctx) == nil {
		_ = c.replaces.Hangup(ctx) // it is over, whatever its peer says
	}
}

// answerAfter is what a phone that answers by itself does.
func (c *Call) answerAfter(d time.Duration) {
	if d > 0 {
		if c.Ring() != nil {
			return
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
			return
		case <-c.p.closed:
			return
		}
	}
	// The call's own end tells what went wrong with the answer.
	_ = c.Answer(context.Background())
}

// Ring tells the caller that somebody is being alerted.
func (c *Call) Ring() error { return c.provisional(180, nil) }

// EarlyMedia answers 183 with SDP: the caller hears us before we answer.
func (c *Call) EarlyMedia() error {
	c.mu.Lock()
	body, err := c.answerTo(c.inviteBody())
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.provisional(183, body)
}

func (c *Call) provisional(code int, body []byte) error {
	if c.invite == nil {
		return errors.New("phone: an outgoing call cannot ring here")
	}
	r := sip.Response{Code: code, ToTag: c.d.localTag, Headers: []byte(c.dialogHeaders(c.invite.req)), Body: body}
	if body != nil {
		r.Type = "application/sdp"
	}
	if !c.invite.reply(r) {
		return ErrOver
	}
	return nil
}

func (c *Call) inviteBody() []byte { return c.invite.req.Body }

// Reject refuses an incoming call with code, 300 to 699.
func (c *Call) Reject(code int) error {
	err := c.refuse(code)
	c.finish(End{Ours: true, Reason: fmt.Sprintf("rejected with %d", code)})
	return err
}

// refuse answers the INVITE, if it has no final answer yet.
func (c *Call) refuse(code int) error {
	if c.invite == nil {
		return errors.New("phone: an outgoing call cannot be rejected")
	}
	if !c.invite.reply(sip.Response{Code: code, ToTag: c.d.localTag}) {
		return ErrOver
	}
	return nil
}

// Answer accepts an incoming call and waits until the caller acknowledged it.
func (c *Call) Answer(ctx context.Context) error {
	if c.invite == nil {
		return errors.New("phone: an outgoing call cannot be answered here")
	}
	c.mu.Lock()
	if c.state != early {
		c.mu.Unlock()
		return ErrOver
	}
	late := len(c.inviteBody()) == 0
	var body []byte
	var err error
	if late {
		body = c.sdp.offer(c.p.cfg.Codecs, c.wanted)
	} else if body, err = c.answerTo(c.inviteBody()); err != nil {
		c.mu.Unlock()
		_ = c.Reject(488)
		return err
	}
	c.state = up
	c.answered = time.Now()
	wait := &pending{seq: c.invite.req.CSeqNumber, offer: late, acked: make(chan struct{})}
	c.pending = wait
	c.mu.Unlock()

	lines := c.dialogHeaders(c.invite.req) + c.timerLines(c.invite.req)
	ok := c.invite.reply(sip.Response{
		Code: 200, ToTag: c.d.localTag, Headers: []byte(lines), Type: "application/sdp", Body: body,
	})
	if !ok { // cancelled in this very moment
		c.finish(End{Reason: "cancelled by the caller"})
		return ErrOver
	}
	c.watch(c.invite.req, false)
	return c.awaitACK(ctx, c.invite, wait)
}

// awaitACK sends a 2xx again until it is acknowledged (RFC 3261 §13.3.1.4) and
// waits for that. A call whose 2xx is never acknowledged is hung up.
func (c *Call) awaitACK(ctx context.Context, t *serverTx, wait *pending) error {
	c.p.spawn(func() {
		if !c.p.repeat(wait.acked, c.done, t.again) {
			c.bye(End{Ours: true, Reason: "the answer was never acknowledged", Err: errNoACK})
		}
	})
	select {
	case <-wait.acked:
		return nil
	case <-c.done:
		if e := c.End(); e.Err != nil {
			return e.Err
		}
		return ErrOver
	case <-c.p.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoACK = &Failure{Method: "ACK", Code: 408, Local: true, Reason: "no ACK for our 200"}

// unescape undoes the escapes of a URI's header part.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
