package transaction

import (
	"time"

	"github.com/lindero/lindero/edge/wheel"
)

// A Client is the half of a transaction that faces the target of the request
// (RFC 3261 §17.1, with the duties of a proxy of §16.6 to §16.10). It holds
// states and deadlines and sends nothing itself.
type Client struct {
	timing   *Timing
	invite   bool
	reliable bool
	state    State
	interval time.Duration // of timers A and E
	resend   wheel.Time    // timers A, E
	end      wheel.Time    // timers B, C, D, F, K, M
	cancel   cancel
}

// cancel is the CANCEL of an INVITE, a transaction within the transaction.
type cancel struct {
	wanted   bool // asked for, not sent yet: nothing was heard (RFC 3261 §9.1)
	sent     bool
	interval time.Duration
	resend   wheel.Time
}

// A Verdict says what is to be done with a response.
type Verdict uint8

// The verdicts. The zero Verdict is to drop it.
const (
	Drop    Verdict = iota
	Pass            // it goes on towards the sender of the request
	PassAck         // so does this one, and an ACK goes back (INVITE, 300 to 699)
	Reack           // a repetition of such a one: only the ACK
)

// An Event is what a deadline has brought about.
type Event uint8

// The events.
const (
	Nothing      Event = iota
	Resend             // the request is to be sent once more
	ResendCancel       // the CANCEL is
	SendCancel         // the INVITE has rung for too long (timer C): cancel it
	TimedOut           // no final response came; the half is over
)

// Begin starts the half for a request that is being sent.
func (c *Client) Begin(now wheel.Time, t *Timing, invite, reliable bool) {
	*c = Client{timing: t, invite: invite, reliable: reliable, state: Trying}
	if invite {
		c.state = Calling
	}
	if !reliable {
		c.interval = t.T1
		c.resend = now.After(c.interval) // timers A, E
	}
	c.end = now.After(64 * t.T1) // timers B, F
}

// State is where the half stands.
func (c *Client) State() State { return c.state }

// Open tells whether a final response is still to come.
func (c *Client) Open() bool { return c.state == Trying || c.state == Calling || c.state == Proceeding }

// Heard tells whether the target has said anything at all.
func (c *Client) Heard() bool { return c.state > Calling }

// Respond moves the half as a response with code requires. When sendCancel is
// true, a CANCEL that was asked for earlier is to be sent now.
func (c *Client) Respond(now wheel.Time, code int) (v Verdict, sendCancel bool) {
	switch {
	case c.state == Idle || c.state == Terminated && !c.invite:
		return Drop, false
	case code < 200:
		if !c.Open() {
			return Drop, false
		}
		return Pass, c.provisional(now, code)
	case !c.invite:
		if !c.Open() {
			return Drop, false
		}
		c.over(now, Completed, c.lossy(c.timing.T4)) // timer K
		return Pass, false
	case code < 300:
		if !c.Open() && c.state != Accepted {
			return Drop, false
		}
		if c.state != Accepted {
			c.over(now, Accepted, 64*c.timing.T1) // timer M
		}
		return Pass, false
	case c.Open():
		c.over(now, Completed, c.lossy(64*c.timing.T1)) // timer D
		return PassAck, false
	case c.state == Completed || c.state == Terminated:
		return Reack, false
	}
	return Drop, false // a failure after a 2xx
}

func (c *Client) provisional(now wheel.Time, code int) (sendCancel bool) {
	first := c.state != Proceeding
	c.state = Proceeding
	if !c.invite {
		if !c.reliable && first {
			c.interval = c.timing.T2
			c.resend = now.After(c.interval) // timer E, slow
		}
		return false
	}
	c.resend = 0
	if !c.cancel.sent && (first || code > 100) {
		c.end = now.After(c.timing.C) // timer C
	}
	if c.cancel.wanted {
		return c.Cancel(now)
	}
	return false
}

// Cancel asks for a CANCEL and tells whether it is to be sent now; if not, it is
// either too late or too early, and Respond will say when (RFC 3261 §9.1).
func (c *Client) Cancel(now wheel.Time) (send bool) {
	switch {
	case !c.invite || !c.Open() || c.cancel.sent:
		return false
	case c.state == Calling:
		c.cancel.wanted = true
		return false
	}
	c.cancel.wanted, c.cancel.sent = false, true
	c.end = now.After(64 * c.timing.T1)
	if !c.reliable {
		c.cancel.interval = c.timing.T1
		c.cancel.resend = now.After(c.cancel.interval)
	}
	return true
}

// Cancelled tells whether a CANCEL was asked for.
func (c *Client) Cancelled() bool { return c.cancel.wanted || c.cancel.sent }

// CancelAnswered takes a response to the CANCEL: it need not be repeated.
func (c *Client) CancelAnswered() { c.cancel.resend = 0 }

// Fail ends the half: its target cannot be reached.
func (c *Client) Fail() { c.over(0, Terminated, 0) }

// lossy is d on a transport that loses and repeats, otherwise nothing.
func (c *Client) lossy(d time.Duration) time.Duration {
	if c.reliable {
		return 0
	}
	return d
}

// over enters state for d, after which the half terminates.
func (c *Client) over(now wheel.Time, state State, d time.Duration) {
	c.resend, c.cancel.resend, c.end = 0, 0, 0
	c.state = state
	if d <= 0 {
		c.state = Terminated
		return
	}
	c.end = now.After(d)
}

// Expire lets the deadlines that have passed act. It returns one event; it is
// called again until it returns Nothing.
func (c *Client) Expire(now wheel.Time) Event {
	switch {
	case c.end != 0 && c.end <= now:
		ringing := c.invite && c.state == Proceeding && !c.cancel.sent
		switch {
		case ringing:
			c.Cancel(now)
			return SendCancel
		case c.Open():
			c.Fail()
			return TimedOut
		}
		c.Fail()
	case c.resend != 0 && c.resend <= now:
		c.interval *= 2
		if !c.invite {
			c.interval = min(c.interval, c.timing.T2)
		}
		c.resend = now.After(c.interval)
		return Resend
	case c.cancel.resend != 0 && c.cancel.resend <= now:
		c.cancel.interval = min(2*c.cancel.interval, c.timing.T2)
		c.cancel.resend = now.After(c.cancel.interval)
		return ResendCancel
	}
	return Nothing
}

// Next is the half's next deadline, or never.
func (c *Client) Next() wheel.Time { return wheel.Earliest(c.resend, c.end, c.cancel.resend) }

// Over tells whether the half has nothing left to do.
func (c *Client) Over() bool { return c.state == Terminated || c.state == Idle }
