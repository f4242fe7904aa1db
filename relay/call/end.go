package call

import (
	"net/netip"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// An end is where one side's RTP, or its RTCP, comes from and goes to. It
// decides the one question a relay must not get wrong: who is believed. Its rules:
//
//   - Packets are sent to an address that has proven itself by sending to us from
//     it, or that signalling vouches for: the SDP's, when signalling came from there
//     too, or from our own network. Never to an address that is merely written in
//     the SDP of somebody behind a NAT.
//   - The first good packet from the SDP's address, or from any port of the
//     address signalling came from, proves its source. The window in which this
//     may be corrected by a packet from exactly the SDP's address ends a little
//     later; then the source is pinned.
//   - Signalling that names another address begins anew. Signalling that repeats
//     itself, or says hold, changes nothing of what was learned.
//   - A party that is asymmetric is sent to where its SDP says, wherever it sends
//     from. Its source is learned all the same, and pinned: nobody else is heard.
//   - A source that is pinned moves by signalling, with one exception that must be
//     asked for (see follow).
type end struct {
	local netip.AddrPort // ours

	signalled  netip.AddrPort // by SDP; zero: none that can be used
	received   netip.Addr     // any port of it may prove itself; zero: none
	sendable   bool           // signalled may be sent to unproven
	held       bool           // the SDP's address is that of hold
	asymmetric bool
	follows    bool       // see follow
	moved      netip.Addr // any port of it may prove itself, since the other end of the pair has moved; zero: it has not

	source  netip.AddrPort // what proved itself
	latched time.Time      // when it did, or moved last
	pinned  bool           // for good
}

// A claim is what signalling says of an end.
type claim struct {
	addr       netip.AddrPort // where the SDP wants packets
	held       bool           // it is the address of hold
	received   netip.Addr     // where signalling came from; zero: from our own network
	trust      bool           // the SDP is to be believed over received
	asymmetric bool
	follows    bool
}

// signal takes what the SDP says.
func (e *end) signal(c claim) {
	e.follows = c.follows
	if e.held = c.held; c.held {
		return // what was before will most likely be again
	}
	received, sendable := c.received, true
	switch {
	case !received.IsValid():
		if c.asymmetric {
			received = c.addr.Addr()
		}
	case c.trust:
		received = c.addr.Addr()
	default:
		sendable = c.addr.Addr() == received
	}
	if c.addr == e.signalled && received == e.received && sendable == e.sendable && c.asymmetric == e.asymmetric {
		return
	}
	e.signalled, e.received, e.sendable, e.asymmetric = c.addr, received, sendable, c.asymmetric
	e.source, e.latched, e.pinned, e.moved = netip.AddrPort{}, time.Time{}, false, netip.Addr{}
}

// refuse forgets everything: the stream was refused with port 0.
func (e *end) refuse() { *e = end{local: e.local} }

// exact says that nothing is to be learned: the peer is where it says it is.
func (e *end) exact() bool { return !e.teacher().IsValid() }

// teacher is the address any port of which may prove itself, or zero.
func (e *end) teacher() netip.Addr {
	if e.moved.IsValid() {
		return e.moved
	}
	return e.received
}

// from is the source that is believed now, or zero.
func (e *end) from() netip.AddrPort {
	if e.source.IsValid() || !e.exact() {
		return e.source
	}
	return e.signalled
}

// to is where packets for this end may be sent now, or zero.
func (e *end) to() netip.AddrPort {
	switch {
	case e.held:
		return netip.AddrPort{}
	case e.source.IsValid() && (!e.asymmetric || e.source == e.signalled):
		return e.source
	case e.sendable:
		return e.signalled
	default:
		return netip.AddrPort{}
	}
}

// learn decides whether a packet from from proves it to be the source, at now,
// with a window of so long after the first one.
func (e *end) learn(from netip.AddrPort, now time.Time, window time.Duration) bool {
	if e.pinned || e.exact() {
		return e.follow(from, now, window)
	}
	exactly := from == e.signalled
	switch {
	case !e.source.IsValid():
		if !exactly && from.Addr() != e.teacher() {
			return false
		}
		e.source, e.latched, e.pinned = from, now, exactly
		return true
	case now.Sub(e.latched) > window:
		e.pinned = true
		return e.follow(from, now, window)
	case exactly:
		e.source, e.pinned = from, true
		return true
	default:
		return false
	}
}

// follow moves a pinned source ("media handover" in NG), only when that was asked
// for, only to another port of the same address, and not before a window has
// passed since it moved last. The table has checked that the packet continues the
// SSRC heard last (forward.Follow). So what a NAT does to a phone in the middle of
// a call is followed; somebody elsewhere cannot take a stream, and a neighbour
// behind the same NAT only if it knows the SSRC. Who changes its address says so
// by signalling.
func (e *end) follow(from netip.AddrPort, now time.Time, window time.Duration) bool {
	at := e.from()
	if !e.follows || !at.IsValid() || from.Addr() != at.Addr() || now.Sub(e.latched) <= window {
		return false
	}
	e.source, e.latched, e.pinned = from, now, true
	return true
}

// anew lets an end be learned again: its other end has moved. It stays as it is
// when nothing was learned.
func (e *end) anew() {
	if at := e.from(); e.follows && at.IsValid() {
		e.source, e.latched, e.pinned, e.moved = netip.AddrPort{}, time.Time{}, false, at.Addr()
	}
}

// leg is the way from e to other, as the table wants it.
func (e *end) leg(other *end) forward.Leg {
	l := forward.Leg{Local: e.local, From: e.from(), Via: other.local, To: other.to()}
	switch {
	case e.follows && l.From.IsValid() && (e.exact() || e.pinned):
		l.Learn, l.Flags = l.From.Addr(), forward.Follow
	case e.exact() || e.pinned:
	default:
		l.Exact = e.signalled
		if !e.source.IsValid() {
			l.Learn = e.teacher()
		}
	}
	return l
}
