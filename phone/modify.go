package phone

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Hold asks the peer to stop sending; we go on playing (RFC 3264 §8.4).
func (c *Call) Hold(ctx context.Context) error { return c.Reinvite(ctx, true) }

// Resume undoes Hold.
func (c *Call) Resume(ctx context.Context) error { return c.Reinvite(ctx, false) }

// Reinvite offers our stream anew, held or not (RFC 3261 §14.1). When both sides
// do so at once, it waits and tries again.
func (c *Call) Reinvite(ctx context.Context, hold bool) error {
	for try := 0; ; try++ {
		err := c.reinvite(ctx, hold)
		if Code(err) != 491 || try == 3 {
			return err
		}
		// The owner of the Call-ID waits longer, so that one of the two wins.
		wait := time.Duration(rand.IntN(200)) * 10 * time.Millisecond
		if c.outgoing {
			wait = 2100*time.Millisecond + time.Duration(rand.IntN(190))*10*time.Millisecond
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-c.done:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (c *Call) reinvite(ctx context.Context, hold bool) error {
	before, secret := sendrecv, ""
	for try := 0; ; try++ {
		c.mu.Lock()
		switch {
		case c.state != up:
			c.mu.Unlock()
			return ErrOver
		case c.pending != nil || c.busy && try == 0:
			c.mu.Unlock()
			return &Failure{Method: "INVITE", Code: 491, Local: true, Reason: "an offer is pending"}
		}
		if try == 0 {
			before = c.wanted
		}
		c.busy, c.wanted = true, sendrecv
		if hold {
			c.wanted = sendonly
		}
		req := c.d.request("INVITE")
		req.kind, req.body = "application/sdp", c.sdp.offer(c.p.cfg.Codecs, c.wanted)
		c.mu.Unlock()
		req.secret, req.lines = secret, c.refreshLines()
		m, err := c.reoffer(ctx, req)
		if err == nil && m.Code >= 300 {
			if secret, err = c.p.credentials(req, m, try); err == nil && secret != "" {
				continue
			}
			if err == nil {
				err = refusal("INVITE", m)
			}
		}
		c.mu.Lock()
		c.busy = false
		if err != nil {
			c.wanted = before
		}
		c.mu.Unlock()
		if code := Code(err); code == 481 || code == 408 {
			c.bye(End{Ours: true, Reason: "the peer no longer answers", Err: err})
		}
		return err
	}
}

// reoffer is the transaction of a re-INVITE: its final response is acknowledged.
func (c *Call) reoffer(ctx context.Context, req *request) (*message, error) {
	flow, err := c.p.hop(req, true)
	if err != nil {
		return nil, err
	}
	tx, err := c.p.start(req, flow)
	if err != nil {
		return nil, err
	}
	for {
		m, err := tx.next(ctx)
		switch {
		case err != nil:
			tx.end()
			return nil, err
		case m.Code < 200:
		case m.Code < 300:
			return m, c.reaccept(tx, m)
		default:
			tx.refuseAck(m)
			return m, nil
		}
	}
}

// reaccept takes the 2xx to a re-INVITE and acknowledges it.
func (c *Call) reaccept(tx *clientTx, m *message) error {
	c.mu.Lock()
	c.d.refresh(m)
	err := c.applyAnswer(m.Body)
	ack := *tx.req
	ack.method, ack.branch, ack.lines, ack.kind, ack.body = "ACK", "", "", "", nil
	ack.uri = c.d.target
	c.mu.Unlock()
	flow, wire, failed := c.p.send(&ack)
	tx.linger(func(*message) { _ = c.p.stack.Send(flow, wire) }) // a lost ACK is asked for again
	if failed != nil {
		return fmt.Errorf("phone: sending ACK: %w", failed)
	}
	c.watch(m, true)
	return err
}

// Update sends an UPDATE without a description (RFC 3311): a sign of life.
func (c *Call) Update(ctx context.Context) error {
	m, err := c.do(ctx, "UPDATE", c.refreshLines(), "", nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.d.refresh(m)
	c.mu.Unlock()
	c.watch(m, true)
	return nil
}

// Info sends an INFO with a body of the given Content-Type (RFC 6086).
func (c *Call) Info(ctx context.Context, kind string, body []byte) error {
	_, err := c.do(ctx, "INFO", "", kind, body)
	return err
}

// Options asks the peer within the call what it can do.
func (c *Call) Options(ctx context.Context) error {
	_, err := c.do(ctx, "OPTIONS", "", "", nil)
	return err
}
