package forward

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// A leg is the life of a Leg at one socket, from the first Put to Delete. Only
// the socket's worker writes the counters; anybody may read them.
type leg struct {
	route    atomic.Pointer[route] // replaced whole by Put
	receiver rtp.Receiver          // the worker's alone; its sums are copied to those below

	packets, bytes             atomic.Uint64
	lost, reordered, duplicate atomic.Uint64
	wrong, notRTP, stun        atomic.Uint64
	held, failed               atomic.Uint64
	jitter                     atomic.Uint32 // in timestamp units
	ssrc, payload              atomic.Uint32
	seen                       atomic.Int64 // since epoch
}

// A route is a Leg made ready for sending. It never changes.
type route struct {
	Leg
	via *socket
	to  sockaddr
}

// judge decides what happens to packet b, which came from from to s at now, a
// time since epoch, and counts it at its leg. It is the whole of the packet path
// between two system calls: it takes no lock, unless there is something to learn,
// and does not allocate. The leg and the route are nil unless the verdict is
// Forwarded.
func (u *Userspace) judge(s *socket, from netip.AddrPort, b []byte, now time.Duration) (Verdict, *leg, *route) {
	l := s.leg.Load()
	if l == nil {
		if former := s.former.Load(); former != nil && *former == from.Addr() {
			s.arrived.Store(int64(now))
		}
		return Resting, nil, nil
	}
	r := l.route.Load()
	if from != r.From && !r.mightBe(from) {
		l.wrong.Add(1)
		return WrongSource, nil, nil
	}
	kind, header, ok := r.inspect(b)
	if !ok {
		if kind == rtp.STUN {
			l.stun.Add(1)
			return STUN, nil, nil
		}
		l.notRTP.Add(1)
		return NotRTP, nil, nil
	}
	if from != r.From {
		if u.learner == nil || !u.learner(s.local, from) {
			l.wrong.Add(1)
			return WrongSource, nil, nil
		}
		r = l.route.Load()
	}
	l.count(r, kind, header, len(b), now)
	if !r.To.IsValid() {
		l.held.Add(1)
		return Held, nil, nil
	}
	return Forwarded, l, r
}

// mightBe says whether the learner is to be asked about from.
func (r *route) mightBe(from netip.AddrPort) bool {
	return from == r.Exact && from.IsValid() || from.Addr() == r.Learn
}

// peer is the address of who sends to this leg, or would have.
func (r *route) peer() netip.Addr {
	switch {
	case r.From.IsValid():
		return r.From.Addr()
	case r.Learn.IsValid():
		return r.Learn
	default:
		return r.Exact.Addr()
	}
}

// inspect says what b is and whether this leg carries such packets.
func (r *route) inspect(b []byte) (kind rtp.Kind, h rtp.Header, ok bool) {
	if r.Flags&Any != 0 {
		return rtp.Garbage, h, true
	}
	kind = rtp.KindOf(b)
	switch kind {
	case rtp.RTP:
		var err error
		h, _, err = rtp.Parse(b)
		return kind, h, err == nil && r.Flags&RTCP == 0
	case rtp.RTCP:
		_, _, ok = rtp.NextRTCP(b)
		return kind, h, ok && r.Flags&(RTCP|Mux) != 0
	default:
		return kind, h, false
	}
}

func (l *leg) count(r *route, kind rtp.Kind, h rtp.Header, size int, now time.Duration) {
	l.packets.Add(1)
	l.bytes.Add(uint64(size))
	l.seen.Store(int64(now))
	if kind != rtp.RTP {
		return
	}
	l.receiver.Add(h, uint64(now), rtp.Scale(r.Clock))
	s := l.receiver.Stats()
	l.jitter.Store(s.Jitter)
	if s.Lost != l.lost.Load() {
		l.lost.Store(s.Lost)
	}
	if s.Reordered != l.reordered.Load() {
		l.reordered.Store(s.Reordered)
	}
	if s.Duplicate != l.duplicate.Load() {
		l.duplicate.Store(s.Duplicate)
	}
	if h.SSRC != l.ssrc.Load() {
		l.ssrc.Store(h.SSRC)
	}
	if pt := uint32(h.PayloadType); pt != l.payload.Load() {
		l.payload.Store(pt)
	}
}

func (l *leg) counts(u *Userspace) Counts {
	r := l.route.Load()
	return Counts{
		Packets: l.packets.Load(), Bytes: l.bytes.Load(),
		Lost: l.lost.Load(), Reordered: l.reordered.Load(), Duplicate: l.duplicate.Load(),
		Jitter: time.Duration(l.jitter.Load()) * time.Second / time.Duration(r.Clock),
		SSRC:   l.ssrc.Load(), PayloadType: uint8(l.payload.Load()),
		LastSeen:    u.time(l.seen.Load()),
		WrongSource: l.wrong.Load(), NotRTP: l.notRTP.Load(), STUN: l.stun.Load(),
		Held: l.held.Load(), Failed: l.failed.Load(),
	}
}
