package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/sip"
)

// A Sound is what one call plays.
type Sound = audio.Source

// Options are what one outgoing call may want.
type Options struct {
	Sound     Sound          // nil: the phone's
	LateOffer bool           // send the INVITE without SDP; the answer comes in the ACK
	Progress  func(code int) // called with each provisional response; must not block
	Lines     string         // more header lines of the INVITE, each with its CRLF
}

// Dial calls target, a SIP URI or a user of our domain, and waits until it
// answers. A refusal is a *Failure. When ctx ends first, the call is cancelled.
func (p *Phone) Dial(ctx context.Context, target string) (*Call, error) {
	return p.Invite(ctx, target, Options{})
}

// Invite is Dial with options.
func (p *Phone) Invite(ctx context.Context, target string, o Options) (*Call, error) {
	if o.Sound == nil {
		o.Sound = p.cfg.Sound()
	}
	c, err := p.newCall(true, o.Sound)
	if err != nil {
		return nil, err
	}
	tag := token()
	uri := p.absolute(target)
	c.d = dialog{
		callID: token(), local: "<" + p.own() + ">;tag=" + tag, localTag: tag,
		remote: "<" + uri + ">", target: uri,
	}
	c.keep()
	if err := c.place(ctx, o); err != nil {
		c.abandon(err)
		return nil, err
	}
	return c, nil
}

// abandon ends a call that could not begin. One that was answered all the same,
// too late or with sound we cannot play, must be hung up.
func (c *Call) abandon(err error) {
	c.mu.Lock()
	s := c.state
	c.mu.Unlock()
	e := End{Ours: true, Reason: "the call could not begin", Err: err}
	if s == up {
		c.bye(e)
		return
	}
	c.finish(e)
}

// absolute makes a number a URI of our domain.
func (p *Phone) absolute(target string) string {
	if uri, err := sip.ParseURI([]byte(target)); err == nil && len(uri.Host) > 0 {
		return target
	}
	domain := p.cfg.Domain
	if domain == "" {
		domain = p.cfg.Server.String()
	}
	return "sip:" + target + "@" + domain
}

// place sends the INVITE, again with credentials when asked for them.
func (c *Call) place(ctx context.Context, o Options) error {
	secret := ""
	for try := 0; ; try++ {
		c.mu.Lock()
		req := c.d.request("INVITE")
		if !o.LateOffer {
			req.kind, req.body = "application/sdp", c.sdp.offer(c.p.cfg.Codecs, c.wanted)
		}
		c.mu.Unlock()
		req.lines, req.secret = o.Lines, secret
		m, err := c.await(ctx, req, o)
		if err != nil {
			return err
		}
		if m.Code < 300 {
			c.watch(m, true)
			return ctx.Err() // it was answered while being cancelled
		}
		if secret, err = c.p.credentials(req, m, try); err != nil {
			return err
		} else if secret == "" {
			return refusal("INVITE", m)
		}
	}
}

// await is one INVITE transaction. Its final response, if it is 2xx, is
// acknowledged when await returns.
func (c *Call) await(ctx context.Context, req *request, o Options) (*message, error) {
	flow, err := c.p.hop(req, false)
	if err != nil {
		return nil, err
	}
	tx, err := c.p.start(req, flow)
	if err != nil {
		return nil, err
	}
	wait, cancelled, asked := ctx, false, false
	for {
		m, err := tx.next(wait)
		if err != nil && ctx.Err() != nil && !cancelled {
			cancelled = true
			// Who hangs up does not wait half a minute for a callee that is silent.
			patience := 2 * c.p.cfg.Timing.T1
			if tx.answered {
				patience *= 4
			}
			late, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer stop()
			wait = late
		} else if err != nil {
			tx.end()
			return nil, errors.Join(ctx.Err(), err)
		}
		// CANCEL must wait until the callee is known to have the INVITE (RFC 3261 §9.1).
		if cancelled && tx.answered && !asked {
			asked = true
			tx.cancel()
		}
		switch {
		case m == nil:
		case m.Code < 200:
			c.progress(m, o)
		case m.Code < 300:
			return m, c.acknowledge(tx, m, o.LateOffer)
		default:
			tx.refuseAck(m)
			if cancelled {
				return nil, ctx.Err()
			}
			return m, nil
		}
	}
}

// progress takes a provisional response: an early dialog, perhaps with sound.
func (c *Call) progress(m *message, o Options) {
	c.mu.Lock()
	if m.Code > 100 && m.tag(sip.To) != "" {
		c.d.learn(m)
	}
	if len(m.Body) > 0 && !o.LateOffer {
		// A description nobody can use is no reason to end a call that only rings.
		_ = c.applyAnswer(m.Body)
	}
	c.mu.Unlock()
	if o.Progress != nil {
		o.Progress(m.Code)
	}
}

// acknowledge takes a 2xx to our INVITE: the dialog is made, the answer taken,
// the ACK sent, and sent again whenever the 2xx comes again (RFC 3261 §13.2.2.4).
func (c *Call) acknowledge(tx *clientTx, m *message, lateOffer bool) error {
	c.mu.Lock()
	c.d.learn(m)
	gone := c.state == over // its BYE overtook its 200
	if !gone {
		c.state = up
	}
	c.answered = time.Now()
	ack := *tx.req
	ack.method, ack.branch, ack.lines, ack.kind, ack.body = "ACK", "", "", "", nil
	ack.uri, ack.to, ack.routes = c.d.target, c.d.remote, c.d.routes
	var err error
	if lateOffer {
		ack.kind = "application/sdp"
		ack.body, err = c.answerTo(m.Body)
	} else if len(m.Body) > 0 || !c.codecAgreed() {
		err = c.applyAnswer(m.Body)
	}
	tag := c.d.remoteTag
	c.mu.Unlock()
	if c.p.cfg.Manners.NoACK {
		tx.linger(func(*message) {})
		return err
	}
	flow, wire, failed := c.p.send(&ack)
	tx.linger(func(r *message) {
		if r.tag(sip.To) == tag {
			_ = c.p.stack.Send(flow, wire) // a lost ACK is asked for again
			return
		}
		c.p.decline(tx, r)
	})
	if failed != nil {
		return fmt.Errorf("phone: sending ACK: %w", failed)
	}
	if gone {
		return ErrOver
	}
	return err
}

// codecAgreed tells whether an early answer was taken. The lock is held.
func (c *Call) codecAgreed() bool { return c.codec != 0 }

// decline ends the dialog of a second callee that answered the same INVITE
// (RFC 3261 §13.2.2.4): one is enough.
func (p *Phone) decline(tx *clientTx, m *message) {
	d := dialog{callID: tx.req.callID, local: tx.req.from, target: tx.req.uri, seq: tx.req.seq}
	d.learn(m)
	ack := d.request("ACK")
	ack.seq, ack.secret = tx.req.seq, tx.req.secret
	if _, _, err := p.send(ack); err != nil {
		return
	}
	bye := d.request("BYE")
	p.spawn(func() { _, _ = p.exchange(context.Background(), bye, true) }) // nobody waits for its success
}
