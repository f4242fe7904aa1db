package rtp

import "sync/atomic"

// A Receiver follows one direction of a stream: what was lost on the way, what
// came twice or out of order, and the jitter (RFC 3550 A.1, A.3 and A.8). The
// zero value is ready.
//
// A stream that starts anew (another SSRC, or sequence numbers that jump and go
// on from there) continues the sums: the gap between two streams is no loss.
//
// Its memory may be shared with a program in the kernel that does the same
// arithmetic on it, so the layout is fixed: the fields in this order, without
// gaps, 88 bytes. One goroutine Adds; Stats may be called from any. Where the
// kernel's program and a goroutine meet on one stream, the sums stay whole (they
// are only ever added to) and the position is that of whoever wrote last.
type Receiver struct {
	base      uint64 // extended sequence number this stream began with
	highest   uint64 // extended sequence number seen
	window    uint64 // bit i is set when highest-i has been seen
	arrival   uint64 // ns, of the packet that stamp is of
	received  uint64 // sum: packets, duplicates included
	past      uint64 // sum: packets expected in streams that ended
	reordered uint64 // sum
	duplicate uint64 // sum
	ssrc      uint32
	stamp     uint32 // timestamp of the last packet in order
	jitter    uint32 // times 16, as in A.8
	resync    uint32 // the number that would confirm a jump, plus noResync; else 0
	restarts  uint32 // sum
	started   uint32 // 1 from the first packet on
}

// Stats are a Receiver's sums.
type Stats struct {
	Received  uint64 // packets, duplicates included
	Expected  uint64 // by sequence numbers
	Lost      uint64 // expected but not received, duplicates not counted
	Reordered uint64 // came after a later one
	Duplicate uint64
	Jitter    uint32 // in timestamp units
	Restarts  uint32 // times the stream began anew
	SSRC      uint32
}

const (
	maxDropout = 3000    // a jump forward below this is loss
	maxTransit = 1 << 16 // 8 s at 8000 Hz
	maxPause   = 1 << 33 // ns; about 8.6 s
	noResync   = 1 << 16 // above all sequence numbers
)

// Add counts a packet that arrived at now: ns of any clock that is not set, the
// same one for all packets. scale is that of the stream's clock (see Scale).
func (r *Receiver) Add(h Header, now uint64, scale uint32) {
	if r.started == 0 || h.SSRC != r.ssrc {
		atomic.AddUint64(&r.received, 1)
		r.begin(h, now)
		return
	}
	ahead := h.Sequence - uint16(r.highest)
	behind := uint64(-ahead)
	switch {
	case ahead == 0:
		atomic.AddUint64(&r.received, 1)
		atomic.AddUint64(&r.duplicate, 1)
		return
	case ahead < maxDropout:
		atomic.AddUint64(&r.received, 1)
		atomic.StoreUint64(&r.highest, r.highest+uint64(ahead))
		r.window = r.window<<ahead | 1 // a shift by 64 or more leaves 0
		r.measure(h, now, scale)
	case behind < 64:
		atomic.AddUint64(&r.received, 1)
		if r.highest-behind < r.base {
			// Sent before the first one that arrived: expected after all.
			atomic.StoreUint64(&r.base, r.highest-behind)
		} else if r.window>>behind&1 != 0 {
			atomic.AddUint64(&r.duplicate, 1)
			return
		}
		r.window |= 1 << behind
		atomic.AddUint64(&r.reordered, 1)
	case r.resync == noResync+uint32(h.Sequence):
		// Two in a row after a jump: the sender restarted. Its first one was taken
		// for a straggler below.
		atomic.AddUint64(&r.received, 2)
		r.begin(h, now)
		atomic.StoreUint64(&r.base, r.base-1)
		r.window = 3
		return
	default:
		// Belongs to no stream yet; counted when the next one confirms it.
		r.resync = noResync + uint32(h.Sequence+1)
		return
	}
	r.resync = 0
}

func (r *Receiver) begin(h Header, now uint64) {
	if r.started != 0 {
		atomic.AddUint64(&r.past, r.highest-r.base+1)
		atomic.AddUint32(&r.restarts, 1)
	}
	// Far from zero, so that packets from before the first do not go below it.
	first := 1<<32 + uint64(h.Sequence)
	atomic.StoreUint64(&r.highest, first)
	atomic.StoreUint64(&r.base, first)
	r.window, r.resync = 1, 0
	r.stamp, r.arrival = h.Timestamp, now
	atomic.StoreUint32(&r.ssrc, h.SSRC)
	atomic.StoreUint32(&r.started, 1)
}

// measure is A.8. Packets that share a timestamp were not sent at the same time
// in audio (RFC 4733 events repeat theirs), so only the first counts.
func (r *Receiver) measure(h Header, now uint64, scale uint32) {
	if h.Timestamp == r.stamp {
		return
	}
	elapsed, ahead := now-r.arrival, h.Timestamp-r.stamp
	r.stamp, r.arrival = h.Timestamp, now
	if elapsed > maxPause {
		return // nobody spoke; or now is before the last one, on another processor
	}
	d := int32(units(elapsed, scale) - ahead)
	if d < 0 {
		d = -d
	}
	if d < 0 || d > maxTransit {
		return // the sender set its clock anew; that is no jitter
	}
	atomic.StoreUint32(&r.jitter, r.jitter+uint32(d)-(r.jitter+8)>>4)
}

// units turns ns, at most maxPause, into timestamp units. The product stays below
// 1<<61.
func units(ns uint64, scale uint32) uint32 { return uint32(ns >> 4 * uint64(scale) >> 34) }

// Scale is what Add wants to know of a clock of rate Hz: how many units 16 ns are,
// times 1<<34. It is rounded up, so that whole milliseconds are not a unit short.
// Rates above 15 MHz are no media and count as 15 MHz.
func Scale(rate uint32) uint32 {
	return uint32((uint64(min(rate, 15_000_000))<<38 + 999_999_999) / 1_000_000_000)
}

// Stats returns the sums so far.
func (r *Receiver) Stats() Stats {
	var s Stats
	for range 3 { // a stream that begins meanwhile makes base and highest those of two
		base, past := atomic.LoadUint64(&r.base), atomic.LoadUint64(&r.past)
		s.Expected = past
		if atomic.LoadUint32(&r.started) != 0 {
			if highest := atomic.LoadUint64(&r.highest); highest >= base {
				s.Expected += highest - base + 1
			}
		}
		// After highest, so that what comes meanwhile does not look lost.
		s.Received, s.Duplicate = atomic.LoadUint64(&r.received), atomic.LoadUint64(&r.duplicate)
		if base == atomic.LoadUint64(&r.base) && past == atomic.LoadUint64(&r.past) {
			break
		}
	}
	s.Reordered = atomic.LoadUint64(&r.reordered)
	s.Jitter, s.Restarts = atomic.LoadUint32(&r.jitter)>>4, atomic.LoadUint32(&r.restarts)
	s.SSRC = atomic.LoadUint32(&r.ssrc)
	if unique := s.Received - s.Duplicate; s.Expected > unique {
		s.Lost = s.Expected - unique
	}
	return s
}

// Highest is the extended highest sequence number received, as a report writes it.
func (r *Receiver) Highest() uint32 { return uint32(atomic.LoadUint64(&r.highest)) }
