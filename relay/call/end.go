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
type end struct {
	local netip.AddrPort // ours

	signalled netip.AddrPort // by SDP; zero: none that can be used
	received  netip.Addr     // any port of it may prove itself; zero: none
	sendable  bool           // signalled may be sent to unproven
	held      bool           // the SDP's address is that of hold

	source  netip.AddrPort // what proved itself
	latched time.Time      // when it did
	pinned  bool           // for good
}

// A claim is what signalling says of an end.
type claim struct {
	addr     netip.AddrPort // where the SDP wants packets
	held     bool           // it is the address of hold
	received netip.Addr     // where signalling came from; zero: from our own network
	trust    bool           // the SDP is to be believed over received
}

// signal takes what the SDP says.
func (e *end) signal(c claim) {
	if e.held = c.held; c.held {
		return // what was before will most likely be again
	}
	received, sendable := c.received, true
	switch {
	case !received.IsValid():
	case c.trust:
		received = c.addr.Addr()
	default:
		sendable = c.addr.Addr() == received
	}
	if c.addr == e.signalled && received == e.received && sendable == e.sendable {
		return
	}
	e.signalled, e.received, e.sendable = c.addr, received, sendable
	e.source, e.latched, e.pinned = netip.AddrPort{}, time.Time{}, false
}

// refuse forgets everything: the stream was refused with port 0.
func (e *end) refuse() { *e = end{local: e.local} }

// exact says that nothing is to be learned: the peer is where it says it is.
func (e *end) exact() bool { return !e.received.IsValid() }

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
	case e.source.IsValid():
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
		return false
	}
	exactly := from == e.signalled
	switch {
	case !e.source.IsValid():
		if !exactly && from.Addr() != e.received {
			return false
		}
		e.source, e.latched, e.pinned = from, now, exactly
		return true
	case now.Sub(e.latched) > window:
		e.pinned = true
		return false
	case exactly:
		e.source, e.pinned = from, true
		return true
	default:
		return false
	}
}

// leg is the way from e to other, as the table wants it.
func (e *end) leg(other *end) forward.Leg {
	l := forward.Leg{Local: e.local, From: e.from(), Via: other.local, To: other.to()}
	if e.exact() || e.pinned {
		return l
	}
	l.Exact = e.signalled
	if !e.source.IsValid() {
		l.Learn = e.received
	}
	return l
}
