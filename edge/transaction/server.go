package transaction

import (
	"time"

	"github.com/lindero/lindero/edge/wheel"
)

// Timing holds the base timers of RFC 3261 §17.1.1.1 and timer C of §16.6. It is
// a value in configuration, not a package variable. The zero Timing is not
// usable; see DefaultTiming.
type Timing struct {
	T1 time.Duration // round-trip estimate
	T2 time.Duration // longest wait between retransmissions
	T4 time.Duration // longest life of a message in the network
	C  time.Duration // longest silence of an INVITE that has rung
}

// DefaultTiming is the RFC's.
func DefaultTiming() Timing {
	return Timing{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second, C: 180 * time.Second}
}

// A State is where one half of a transaction stands (RFC 3261 §17, RFC 6026).
type State uint8

// The states; those of both halves and of both kinds share their names with the
// RFCs. The zero State is a half that has not begun.
const (
	Idle       State = iota
	Trying           // server and client, not INVITE
	Calling          // client, INVITE
	Proceeding       // all
	Accepted         // INVITE: a 2xx has passed (RFC 6026)
	Completed        // a final response has passed, for INVITE one from 300 to 699
	Confirmed        // server, INVITE: its ACK has come
	Terminated       // all
)

// A Server is the half of a transaction that faces the sender of the request
// (RFC 3261 §17.2). It holds states and deadlines and sends nothing itself.
type Server struct {
	timing   *Timing
	invite   bool
	reliable bool
	state    State
	linger   time.Duration // a reliable peer's stand-in for timer J
	interval time.Duration // of timer G
	resend   wheel.Time    // timer G
	end      wheel.Time    // timers H, I, J, L
}

// Begin starts the half for a request that has arrived over a transport that is
// reliable or not. A peer on a reliable transport may still repeat itself (core's
// stack believes it speaks UDP); linger is how long its request is remembered
// after the answer to absorb that.
func (s *Server) Begin(t *Timing, invite, reliable bool, linger time.Duration) {
	*s = Server{timing: t, invite: invite, reliable: reliable, linger: linger, state: Trying}
	if invite {
		s.state = Proceeding
	}
}

// State is where the half stands.
func (s *Server) State() State { return s.state }

// Open tells whether no final response has been sent yet.
func (s *Server) Open() bool { return s.state == Trying || s.state == Proceeding }

// Respond moves the half as the response code requires and tells whether that
// response may be sent. Only what may be sent may be kept for retransmission.
func (s *Server) Respond(now wheel.Time, code int) bool {
	switch {
	case code < 200:
		if !s.Open() {
			return false
		}
		s.state = Proceeding
	case s.invite && s.state == Accepted:
		return code < 300 // every 2xx passes, repeated or of another fork (RFC 6026 §7.1)
	case !s.Open():
		return false
	case s.invite && code < 300:
		s.state = Accepted
		s.end = now.After(64 * s.timing.T1) // timer L
	case s.invite:
		s.state = Completed
		s.end = now.After(64 * s.timing.T1) // timer H
		if !s.reliable {
			s.interval = s.timing.T1
			s.resend = now.After(s.interval) // timer G
		}
	default:
		s.complete(now)
	}
	return true
}

// complete ends a transaction other than INVITE: timer J.
func (s *Server) complete(now wheel.Time) {
	linger := s.linger
	if !s.reliable {
		linger = 64 * s.timing.T1
	}
	s.lingerFor(now, Completed, linger)
}

func (s *Server) lingerFor(now wheel.Time, in State, d time.Duration) {
	s.resend = 0
	if d <= 0 {
		s.state, s.end = Terminated, 0
		return
	}
	s.state, s.end = in, now.After(d)
}

// Repeat tells what a retransmission of the request deserves: the last response
// once more, or silence (RFC 3261 §17.2.1; RFC 6026 §7.1 for Accepted).
func (s *Server) Repeat() (answer bool) {
	return s.state == Proceeding || s.state == Completed
}

// Ack takes an ACK that bears the branch of the INVITE and tells whether it ends
// here. One that does not acknowledges a 2xx by a peer of bad habits (it should
// have a branch of its own) and belongs to the far end.
func (s *Server) Ack(now wheel.Time) (absorb bool) {
	switch s.state {
	case Accepted:
		return false
	case Completed:
		linger := time.Duration(0)
		if !s.reliable {
			linger = s.timing.T4
		}
		s.lingerFor(now, Confirmed, linger) // timer I
	}
	return true
}

// Abandon ends the half without an answer: one that would come too late to be
// believed is better not sent (RFC 4320 §4.1).
func (s *Server) Abandon() { s.state, s.resend, s.end = Terminated, 0, 0 }

// Expire lets the deadlines that have passed act and tells whether the last
// response is to be sent once more.
func (s *Server) Expire(now wheel.Time) (resend bool) {
	if s.end != 0 && s.end <= now {
		s.Abandon()
		return false
	}
	if s.resend == 0 || s.resend > now {
		return false
	}
	s.interval = min(2*s.interval, s.timing.T2)
	s.resend = now.After(s.interval)
	return true
}

// Next is the half's next deadline, or never.
func (s *Server) Next() wheel.Time { return wheel.Earliest(s.resend, s.end) }

// Over tells whether the half has nothing left to do.
func (s *Server) Over() bool { return s.state == Terminated || s.state == Idle }
