// Package forward moves packets: it holds the table of legs and everything that
// happens to a packet of media between two sockets. It learns nothing and lends
// no port by itself. Packets from a source that might be the right one are shown
// to a learner (relay/call decides), ports are lent by relay/ports.
//
// Userspace is the table; it needs no privilege. With a Kernel it has legs that have
// nothing left to learn repeated there, and counts in the same memory. Both must
// pass one suite, forwardtest, and do the same with the same packets.
package forward

import (
	"errors"
	"net/netip"
	"time"
)

// A Table is the set of legs that are served. Its methods may be called from any
// goroutine. A packet sees the whole old leg or the whole new one, never a mix.
type Table interface {
	// Put serves leg, in place of the one with the same Local, whose counts go
	// on. Local and Via must be open sockets, else the error is ErrNotOpen.
	Put(leg Leg) error

	// Delete stops serving the leg at local and returns its last counts. What
	// arrives there later is counted as Resting. Without such a leg the error is
	// ErrNoLeg.
	Delete(local netip.AddrPort) (Counts, error)

	// Counts returns the counts of the leg at local so far, or ErrNoLeg.
	Counts(local netip.AddrPort) (Counts, error)
}

// Errors of a Table.
var (
	ErrNotOpen = errors.New("forward: no socket open at that address")
	ErrNoLeg   = errors.New("forward: no leg at that address")
)

// A Leg is one way through the relay, as plain data: what arrives at Local from
// From leaves from Via to To. The way back is another Leg.
type Leg struct {
	Local netip.AddrPort // ours: where the packets arrive
	From  netip.AddrPort // the only source that is believed; zero: none yet
	Via   netip.AddrPort // ours: where they leave from, so that the far side sees one address
	To    netip.AddrPort // where they go; zero: nowhere, they are counted as Held

	// A packet from elsewhere than From is shown to the learner when it comes from
	// exactly Exact or from any port of Learn. Either may be zero.
	Exact netip.AddrPort
	Learn netip.Addr

	// RTCP on a Mux leg leaves from RTCPVia to RTCPTo; it goes the way of RTP when
	// RTCPVia is zero, and is Held when only RTCPTo is.
	RTCPVia, RTCPTo netip.AddrPort

	// Treat changes packets on their way; nil: none. Only user space treats, so
	// the leg is not the kernel's as long as it has one.
	Treat Treatment

	Flags Flags
	Clock uint32 // Hz of the RTP timestamps, for jitter; 0 is 8000
}

// Flags say what a leg carries. None means RTP.
type Flags uint8

// The flags of a Leg.
const (
	RTCP   Flags = 1 << iota // RTCP and nothing else
	Mux                      // RTP and RTCP on one port (RFC 5761)
	Any                      // whatever comes: T.38 over UDPTL
	Follow                   // a source in Learn must send the SSRC counted last, else it is WrongSource and nobody is asked
)

// A Treatment is what is done to the believed packets of a leg between being
// counted and being sent.
type Treatment interface {
	// Treat returns what is sent in place of the RTP or RTCP packet b: b, a part of
	// b's memory it has written, or nil for nothing, which is counted as Blocked.
	// It is called on the goroutine that moves packets, and does not wait.
	Treat(b []byte) []byte
}

// Counts are what a leg has seen. All numbers are of packets unless they say
// otherwise.
type Counts struct {
	Packets     uint64 // from the believed source and of the right kind
	Bytes       uint64 // of UDP payload in them
	Expected    uint64 // by RTP sequence numbers
	Lost        uint64 // of those, by gaps
	Reordered   uint64
	Duplicate   uint64
	Jitter      time.Duration // RFC 3550 A.8
	SSRC        uint32
	PayloadType uint8
	LastSeen    time.Time // zero: nothing yet

	// Between us and the peer of this leg and back, by RTCP; zero when not known.
	// Where RTP and RTCP have legs of their own, that of RTCP knows.
	RoundTrip time.Duration

	WrongSource uint64 // from elsewhere
	NotRTP      uint64 // from the right place, but no RTP (or RTCP on an RTCP leg)
	STUN        uint64 // of those, apart
	Held        uint64 // of Packets: had nowhere to go yet
	Failed      uint64 // of Packets: the kernel would not send them
	Blocked     uint64 // of Packets: a Treatment took them
}

// A Verdict is the end of one packet. Every packet has exactly one.
type Verdict uint8

// The verdicts.
const (
	Forwarded   Verdict = iota
	Held                // believed, but the other side has no address yet
	WrongSource         // not from where this leg's peer is
	NotRTP              // garbage on a media port
	STUN                // a connectivity check; ICE is not ended here
	Resting             // no leg: the call it belonged to is over
	Oversize            // longer than a media packet may be
	Failed              // the kernel would not send it
	Blocked             // a Treatment took it
	Verdicts            // how many there are
)

// String names v as metrics do.
func (v Verdict) String() string {
	return [...]string{"forwarded", "held", "wrong_source", "not_rtp", "stun", "resting", "oversize", "failed", "blocked", "none"}[min(v, Verdicts)]
}

// A Learner is asked about a packet from a source that Leg.Exact or Leg.Learn
// allows: may it be believed? It Puts the legs that follow from a yes before it
// says so. It is called on the goroutine that moves packets, at most once a
// packet and not for those that are believed already; it must not call
// Userspace.Close.
type Learner func(local, from netip.AddrPort) bool
