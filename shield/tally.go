package shield

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/protocol"
)

// A tally finds the sources that send most, in bounded memory, by space saving
// (Metwally and others, 2005): when it is full, a newcomer takes the place and the
// count of the smallest. Counts are too high by at most the smallest, never too low.
type tally struct {
	limit int
	seen  map[judge.Key]*protocol.Seen
	small []judge.Key // that had the smallest count, floor, when it was last looked for
	floor uint64
}

func newTally(limit int) *tally {
	return &tally{limit: limit, seen: make(map[judge.Key]*protocol.Seen, limit)}
}

// add counts what s says to what was known of its source, and takes its words.
func (t *tally) add(k judge.Key, s protocol.Seen) {
	if e := t.seen[k]; e != nil {
		s.Packets += e.Packets
		*e = s
		return
	}
	if len(t.seen) >= t.limit {
		s.Packets += t.evict()
	}
	t.seen[k] = &s
}

// evict forgets a source of the smallest count and says the count. It looks at
// all of them only once for as many as have that count, so a flood of sources
// that are each seen once stays cheap.
func (t *tally) evict() uint64 {
	for {
		for n := len(t.small); n > 0; n = len(t.small) {
			k := t.small[n-1]
			t.small = t.small[:n-1]
			if e := t.seen[k]; e != nil && e.Packets == t.floor {
				delete(t.seen, k)
				return t.floor
			}
		}
		t.floor = math.MaxUint64
		for k, e := range t.seen {
			if e.Packets < t.floor {
				t.floor, t.small = e.Packets, t.small[:0]
			}
			if e.Packets == t.floor {
				t.small = append(t.small, k)
			}
		}
	}
}

// top lists what is counted, the most first.
func (t *tally) top() []protocol.Seen {
	out := make([]protocol.Seen, 0, len(t.seen))
	for _, e := range t.seen {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b protocol.Seen) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Address.Compare(b.Address))
	})
	return out
}

// recent is a tally of the last one to two periods: what is looked at should be
// what happens now.
type recent struct {
	period    time.Duration
	limit     int
	began     time.Time // of this
	this, old *tally
}

func newRecent(limit int, period time.Duration, now time.Time) *recent {
	return &recent{period: period, limit: limit, began: now, this: newTally(limit), old: newTally(limit)}
}

func (r *recent) add(k judge.Key, s protocol.Seen, now time.Time) {
	r.turn(now)
	r.this.add(k, s)
}

func (r *recent) turn(now time.Time) {
	switch past := now.Sub(r.began); {
	case past < r.period:
		return
	case past < 2*r.period:
		r.old = r.this
	default:
		r.old = newTally(r.limit)
	}
	r.this, r.began = newTally(r.limit), now
}

// top lists the sources of both periods with what they sent, and over how long.
func (r *recent) top(now time.Time) ([]protocol.Seen, time.Duration) {
	r.turn(now)
	both := newTally(2 * r.limit)
	for _, t := range []*tally{r.old, r.this} {
		for k, e := range t.seen {
			both.add(k, *e)
		}
	}
	return both.top(), r.period + now.Sub(r.began)
}
