package phone

import (
	"fmt"
	"strings"

	"github.com/lindero/lindero/wire/sip"
)

// handle answers a request within the call. It runs on the transport's goroutine
// and does not wait.
func (c *Call) handle(t *serverTx) {
	if !c.inOrder(t.req) {
		t.reply(sip.Response{Code: 500, Reason: "CSeq is behind"})
		return
	}
	switch {
	case t.req.Is("BYE"):
		t.reply(sip.Response{Code: 200})
		if c.invite != nil {
			_ = c.refuse(487) // does nothing to a call that was answered
		}
		c.finish(End{Reason: "the peer hung up"})
	case t.req.Is("INVITE"), t.req.Is("UPDATE"):
		c.reoffered(t)
	case t.req.Is("INFO"):
		c.mu.Lock()
		if len(c.infos) < 256 {
			c.infos = append(c.infos, string(t.req.Body))
		}
		c.mu.Unlock()
		t.reply(sip.Response{Code: 200})
	case t.req.Is("OPTIONS"):
		t.reply(sip.Response{Code: 200, Headers: []byte(allow + supported)})
	case t.req.Is("NOTIFY"):
		c.notify(t)
	case t.req.Is("REFER"):
		c.refer(t)
	case t.req.Is("MESSAGE"):
		t.reply(sip.Response{Code: 200})
	default:
		t.reply(sip.Response{Code: 405, Headers: []byte(allow)})
	}
}

// inOrder notes the number of the peer's request and tells whether it is higher
// than any before (RFC 3261 §12.2.2).
func (c *Call) inOrder(m *message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.d.peerSeq != 0 && m.CSeqNumber < c.d.peerSeq {
		return false
	}
	c.d.peerSeq = m.CSeqNumber
	return true
}

// reoffered answers a re-INVITE or an UPDATE: a new target, perhaps a new
// description, perhaps only a sign of life (RFC 3261 §14.2, RFC 3311, RFC 4028).
func (c *Call) reoffered(t *serverTx) {
	invite := t.req.Is("INVITE")
	c.mu.Lock()
	switch {
	case c.state == over:
		c.mu.Unlock()
		t.reply(sip.Response{Code: 481})
		return
	case len(t.req.Body) > 0 && (c.busy || c.pending != nil || c.state == early), invite && (c.busy || c.pending != nil):
		c.mu.Unlock()
		t.reply(sip.Response{Code: 491})
		return
	}
	var body []byte
	var err error
	late := invite && len(t.req.Body) == 0
	if late {
		body = c.sdp.offer(c.p.cfg.Codecs, c.wanted)
	} else if len(t.req.Body) > 0 {
		body, err = c.answerTo(t.req.Body)
	}
	if err != nil {
		c.mu.Unlock()
		t.reply(sip.Response{Code: 488})
		return
	}
	c.d.refresh(t.req)
	var wait *pending
	if invite {
		wait = &pending{seq: t.req.CSeqNumber, offer: late, acked: make(chan struct{})}
		c.pending = wait
	}
	c.mu.Unlock()
	r := sip.Response{Code: 200, Headers: []byte(c.dialogHeaders(t.req) + c.timerLines(t.req)), Body: body}
	if body != nil {
		r.Type = "application/sdp"
	}
	t.reply(r)
	c.watch(t.req, false)
	if wait != nil {
		c.p.spawn(func() {
			if !c.p.repeat(wait.acked, c.done, t.again) {
				c.bye(End{Ours: true, Reason: "a re-INVITE's answer was never acknowledged", Err: errNoACK})
			}
		})
	}
}

// acknowledged takes the ACK of a 2xx of ours, with the answer if the 2xx made
// the offer.
func (c *Call) acknowledged(m *message) {
	c.mu.Lock()
	wait := c.pending
	if wait == nil || wait.seq != m.CSeqNumber {
		c.mu.Unlock()
		return
	}
	c.pending = nil
	var err error
	if wait.offer {
		err = c.applyAnswer(m.Body)
	}
	c.mu.Unlock()
	close(wait.acked)
	if err != nil {
		c.bye(End{Ours: true, Reason: "the ACK has no usable answer", Err: err})
	}
}

// notify takes the progress of a transfer we asked for (RFC 3515 §2.4.4).
func (c *Call) notify(t *serverTx) {
	if !strings.HasPrefix(strings.ToLower(t.req.text(sip.Event)), "refer") {
		t.reply(sip.Response{Code: 489})
		return
	}
	t.reply(sip.Response{Code: 200})
	var code int
	if _, err := fmt.Sscanf(string(t.req.Body), "SIP/2.0 %d", &code); err != nil {
		return
	}
	select {
	case c.notified <- code:
	default: // nobody waits for it
	}
}
