package forward

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/lindero/lindero/wire/rtp"
)

// A leg is the life of a Leg at one socket, from the first Put to Delete.
type leg struct {
	route atomic.Pointer[route] // replaced whole by Put
	track *Track

	blocked atomic.Uint64 // by a Treatment: only here, so not in the Track
	kernel  atomic.Bool   // the kernel has it, too
}

// A route is a Leg made ready for sending. It never changes.
type route struct {
	Leg
	media way
	rtcp  way    // of RTCP beside RTP; the same as media unless the Leg says otherwise
	scale uint32 // of Clock
}

// A way is where packets leave and where they go.
type way struct {
	via *socket
	to  sockaddr // its size is 0: nowhere
}

// A parcel is a packet that is to be sent.
type parcel struct {
	b     []byte
	way   *way
	track *Track // to count at that it could not be
}

// judge decides what happens to packet b, which came from from to s at now
// (CLOCK_MONOTONIC, ns), and counts it at its leg. It is the whole of the packet path
// between two system calls: it takes no lock, unless there is something to learn,
// and does not allocate. The parcel is empty unless the verdict is Forwarded.
func (u *Userspace) judge(s *socket, from netip.AddrPort, b []byte, now uint64) (Verdict, parcel) {
	l := s.leg.Load()
	if l == nil {
		if former := s.former.Load(); former != nil && *former == from.Addr() {
			s.arrived.Store(now)
		}
		return Resting, parcel{}
	}
	r, t := l.route.Load(), l.track
	if from != r.From && !r.mightBe(from) {
		atomic.AddUint64(&t.wrongSource, 1)
		return WrongSource, parcel{}
	}
	kind, header, ok := r.inspect(b)
	if !ok {
		if kind == rtp.STUN {
			atomic.AddUint64(&t.stun, 1)
			return STUN, parcel{}
		}
		atomic.AddUint64(&t.notRTP, 1)
		return NotRTP, parcel{}
	}
	if from != r.From {
		if !r.follows(from, header.SSRC, t) || u.learner == nil || !u.learner(s.local, from) {
			atomic.AddUint64(&t.wrongSource, 1)
			return WrongSource, parcel{}
		}
		r = l.route.Load()
	}
	t.count(r, kind, header, len(b), now)
	w := &r.media
	if kind == rtp.RTCP {
		w = &r.rtcp
		w.report(s, b, now)
	}
	if w.to.size == 0 {
		atomic.AddUint64(&t.held, 1)
		return Held, parcel{}
	}
	if r.Treat != nil && kind != rtp.Garbage {
		if b = r.Treat.Treat(b); len(b) == 0 {
			l.blocked.Add(1)
			return Blocked, parcel{}
		}
	}
	return Forwarded, parcel{b, w, t}
}

// mightBe says whether the learner is to be asked about from.
func (r *route) mightBe(from netip.AddrPort) bool {
	return from == r.Exact && from.IsValid() || from.Addr() == r.Learn
}

// follows says whether a stream of ssrc that comes from from, which might be the
// source, goes on with what t counted.
func (r *route) follows(from netip.AddrPort, ssrc uint32, t *Track) bool {
	return r.Flags&Follow == 0 || from == r.Exact || ssrc == atomic.LoadUint32(&t.ssrc)
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
		h.SSRC = binary.BigEndian.Uint32(b[4:]) // of who sends it; a kind needs 8 bytes
		return kind, h, ok && r.Flags&(RTCP|Mux) != 0
	default:
		return kind, h, false
	}
}

// report reads the round trips off the RTCP packet b that came to s and leaves
// by w.
func (w *way) report(s *socket, b []byte, now uint64) {
	if t := s.trips.Load(); t != nil {
		t.came(b, now)
	}
	if w.to.size == 0 {
		return
	}
	if t := w.via.trips.Load(); t != nil {
		t.left(b, now)
	}
}
