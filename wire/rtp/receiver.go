package rtp

import "time"

// A Receiver follows one direction of a stream: what was lost on the way, what
// came twice or out of order, and the jitter (RFC 3550 A.1, A.3 and A.8). The
// zero value is ready. One goroutine uses it.
//
// A stream that starts anew (another SSRC, or sequence numbers that jump and go
// on from there) continues the sums: the gap between two streams is no loss.
type Receiver struct {
	started  bool
	ssrc     uint32
	base     uint64 // extended sequence number this stream began with
	highest  uint64 // extended sequence number seen
	window   uint64 // bit i is set when highest-i has been seen
	resync   uint32 // the number that would confirm a jump, or noResync
	stamp    uint32
	transit  uint32
	jitter   uint32 // times 16, as in A.8
	restarts uint32

	received  uint64
	past      uint64 // packets expected in streams that ended
	reordered uint64
	duplicate uint64
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
	noResync   = 1 << 16
)

// Add counts a packet that arrived at arrival, a time in the stream's own clock
// of any origin (see Clock).
func (r *Receiver) Add(h Header, arrival uint32) {
	r.received++
	if !r.started || h.SSRC != r.ssrc {
		r.begin(h, arrival)
		return
	}
	ahead := h.Sequence - uint16(r.highest)
	behind := uint64(-ahead)
	switch {
	case ahead == 0:
		r.duplicate++
		return
	case ahead < maxDropout:
		r.highest += uint64(ahead)
		r.window = r.window<<ahead | 1 // a shift by 64 or more leaves 0
		r.measure(h, arrival)
	case behind < 64 && r.highest-behind >= r.base:
		if r.window>>behind&1 != 0 {
			r.duplicate++
			return
		}
		r.window |= 1 << behind
		r.reordered++
	case behind < 64:
		// Sent before the first one that arrived: expected after all.
		r.base = r.highest - behind
		r.window |= 1 << behind
		r.reordered++
	case r.resync == uint32(h.Sequence):
		r.begin(h, arrival) // two in a row after a jump: the sender restarted
		r.base--            // its first one was taken for a straggler below
		r.window |= 2
		return
	default:
		r.resync = uint32(h.Sequence + 1)
		r.received-- // belongs to no stream yet; counted when the next one confirms it
		return
	}
	r.resync = noResync
}

func (r *Receiver) begin(h Header, arrival uint32) {
	if r.started {
		r.past += r.expected()
		r.restarts++
		if h.SSRC == r.ssrc {
			r.received++ // the packet that announced the jump
		}
	}
	r.started, r.ssrc = true, h.SSRC
	// Far from zero, so that packets from before the first do not go below it.
	r.highest = 1<<32 + uint64(h.Sequence)
	r.base, r.window, r.resync = r.highest, 1, noResync
	r.stamp, r.transit = h.Timestamp, arrival-h.Timestamp
}

// measure is A.8. Packets that share a timestamp were not sent at the same time
// in audio (RFC 4733 events repeat theirs), so only the first counts.
func (r *Receiver) measure(h Header, arrival uint32) {
	if h.Timestamp == r.stamp {
		return
	}
	transit := arrival - h.Timestamp
	d := int32(transit - r.transit)
	r.stamp, r.transit = h.Timestamp, transit
	if d < 0 {
		d = -d
	}
	if d < 0 || d > maxTransit {
		return // the sender set its clock anew; that is no jitter
	}
	r.jitter += uint32(d) - (r.jitter+8)>>4
}

func (r *Receiver) expected() uint64 {
	if !r.started {
		return 0
	}
	return r.highest - r.base + 1
}

// Stats returns the sums so far.
func (r *Receiver) Stats() Stats {
	s := Stats{
		Received: r.received, Expected: r.past + r.expected(), Reordered: r.reordered,
		Duplicate: r.duplicate, Jitter: r.jitter >> 4, Restarts: r.restarts, SSRC: r.ssrc,
	}
	if unique := s.Received - s.Duplicate; s.Expected > unique {
		s.Lost = s.Expected - unique
	}
	return s
}

// Highest is the extended highest sequence number received, as a report writes it.
func (r *Receiver) Highest() uint32 { return uint32(r.highest) }

// Clock converts a time since any fixed moment to timestamp units of a stream of
// rate Hz. It wraps, as timestamps do.
func Clock(since time.Duration, rate uint32) uint32 {
	s, ns := uint64(since/time.Second), uint64(since%time.Second)
	return uint32(s*uint64(rate) + ns*uint64(rate)/uint64(time.Second))
}
