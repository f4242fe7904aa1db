package forward

import (
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// trips measure the round trip between a socket and the peer behind it, as RFC
// 3550 §6.4.1 does for who sent a report, though this relay sends none: a sender
// report of the other side leaves through the socket at a moment that is noted,
// and the peer's reception report comes back saying which report it saw last (the
// middle 32 bits of its NTP time) and for how long it has had it.
//
// The worker of the other side notes, the worker of this one looks up.
type trips struct {
	sent [4]atomic.Uint64 // middle bits of the report's NTP time, and when it left; 0: none
	next atomic.Uint32
	last atomic.Uint32 // the last round trip plus 1, in 1/65536 s; 0: none yet
}

// Times of RTCP are 16.16 fixed point seconds, which wrap after 18 hours.
const (
	second   = 1 << 16
	longTrip = 30 * second // longer is not a trip but a report that is made up
	slack    = second / 500
)

func fixed(ns uint64) uint32 {
	return uint32(ns/1e9<<16 | ns%1e9<<16/1e9)
}

// left notes the sender reports in the compound b, which left at now. A full ring
// forgets the oldest: reports come every few seconds, and their echoes at once.
func (t *trips) left(b []byte, now uint64) {
	for p, rest, ok := rtp.NextRTCP(b); ok; p, rest, ok = rtp.NextRTCP(rest) {
		if s, ok := p.Sender(); ok {
			i := (t.next.Add(1) - 1) % uint32(len(t.sent))
			t.sent[i].Store(s.NTP>>16&0xffffffff<<32 | uint64(fixed(now)))
		}
	}
}

// came looks for what the peer says of reports it got, in the compound b that came
// from it at now.
func (t *trips) came(b []byte, now uint64) {
	for p, rest, ok := rtp.NextRTCP(b); ok; p, rest, ok = rtp.NextRTCP(rest) {
		for i := range int(p.Count) {
			r, ok := p.Report(i)
			if !ok {
				break
			}
			if r.LastSR == 0 {
				continue // has had none
			}
			for i := range t.sent {
				sent := t.sent[i].Load()
				if uint32(sent>>32) != r.LastSR {
					continue
				}
				// Clocks tick differently: a short trip may come out below nothing.
				if trip := int32(fixed(now) - uint32(sent) - r.Delay); -slack < trip && trip < longTrip {
					t.last.Store(uint32(max(trip, 0)) + 1)
				}
			}
		}
	}
}

// roundTrip is the last one measured, 0 when none was.
func (t *trips) roundTrip() time.Duration {
	if t == nil {
		return 0
	}
	last := time.Duration(t.last.Load())
	if last == 0 {
		return 0
	}
	// Never quite 0, which would mean that nobody knows.
	return max((last-1)*time.Second/second, time.Microsecond)
}
