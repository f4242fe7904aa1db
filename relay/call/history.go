package call

import (
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/session"
)

// A history is the last minutes of what came to an RTP port: a ring of points,
// packed, since there are two for each call.
type history struct {
	before forward.Counts // at the last point
	at     time.Time      // of it
	points []point        // at most session.History
	next   int            // the oldest one, once the ring is full
}

// A point is a session.Point in 12 bytes.
type point struct {
	at     uint32 // s since 1970
	jitter uint32 // µs
	lost   uint16 // in 65535 parts
	rate   uint16 // packets in 10 s
}

// sample adds a point to every stream of the call, which is locked, when it is time.
func (r *Registry) sample(c *Call, now time.Time) {
	if now.Sub(c.sampled) < session.Every {
		return
	}
	c.sampled = now
	for _, f := range c.forks {
		for h := range f.halves() {
			counts := r.counts(&h.rtp)
			if h.history == nil {
				if counts.Packets == 0 {
					continue
				}
				h.history = &history{}
			}
			h.history.add(counts, now)
		}
	}
}

// add adds what was counted since the last point; the first one only says where
// counting begins.
func (h *history) add(c forward.Counts, now time.Time) {
	over := now.Sub(h.at).Seconds()
	begun := !h.at.IsZero() && over > 0 && c.Packets >= h.before.Packets
	p := point{at: uint32(now.Unix()), jitter: uint32(min(c.Jitter.Microseconds(), 1<<32-1))}
	if begun {
		p.rate = uint16(min(float64(c.Packets-h.before.Packets)/over*10+0.5, 1<<16-1))
		// A packet that came late takes back a loss that was counted before.
		if expected := int64(c.Expected - h.before.Expected); expected > 0 {
			p.lost = uint16(min(max(float64(int64(c.Lost-h.before.Lost))/float64(expected), 0), 1) * (1<<16 - 1))
		}
	}
	h.before, h.at = c, now
	switch {
	case !begun:
	case len(h.points) < session.History:
		h.points = append(h.points, p)
	default:
		h.points[h.next] = p
		h.next = (h.next + 1) % len(h.points)
	}
}

// all are the points, the oldest first.
func (h *history) all() (points []session.Point) {
	if h == nil {
		return nil
	}
	for i := range h.points {
		p := h.points[(h.next+i)%len(h.points)]
		points = append(points, session.Point{
			At: time.Unix(int64(p.at), 0), Lost: float64(p.lost) / (1<<16 - 1), Jitter: float64(p.jitter) / 1000, Rate: float64(p.rate) / 10,
		})
	}
	return points
}
