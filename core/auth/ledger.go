package auth

import (
	"sync"
	"time"
)

// A ledger remembers which nonces were used, for how many requests, until they
// are too old to be used at all. Only requests with the right password get here,
// so a stranger cannot fill it; should it fill all the same, the oldest nonces are
// declared stale rather than let through twice.
type ledger struct {
	life  time.Duration
	slice time.Duration // nonces are kept and forgotten by when they were made, in slices this long
	max   int

	mu     sync.Mutex // guards the fields below
	floor  time.Time  // nonces made before it are stale
	slices map[int64]map[nonce]window
	n      int
}

// A window says which nonce counts were seen: top and, by bits, the 64 below it.
// Requests sent at once may come in another order than they were counted.
type window struct {
	top  uint32
	bits uint64 // bit i: top - i
	once bool   // used without a count, so never again
}

const slicesPerLife = 8

func newLedger(life time.Duration, size int, floor time.Time) *ledger {
	return &ledger{
		life: life, slice: max(life/slicesPerLife, time.Millisecond), max: size,
		floor:  floor.Truncate(time.Millisecond), // as a nonce tells the time
		slices: map[int64]map[nonce]window{},
	}
}

// take uses n once more, for request number nc when counted, and tells whether
// that was allowed.
func (l *ledger) take(n nonce, counted bool, nc uint32, now time.Time) bool {
	if counted && nc == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	made := n.made()
	if made.Before(l.floor) {
		return false
	}
	s := l.index(made)
	w, again := l.slices[s][n]
	switch {
	case !again:
		if l.n++; l.slices[s] == nil {
			l.slices[s] = map[nonce]window{}
		}
		w = window{top: nc, bits: 1, once: !counted}
	case w.once || !counted || !w.add(nc):
		return false
	}
	l.slices[s][n] = w
	return true
}

func (w *window) add(nc uint32) bool {
	if nc > w.top {
		w.bits = w.bits<<min(nc-w.top, 64) | 1
		w.top = nc
		return true
	}
	bit := uint64(1) << min(w.top-nc, 64) // a shift by 64 is 0: too far below to know
	if bit == 0 || w.bits&bit != 0 {
		return false
	}
	w.bits |= bit
	return true
}

func (l *ledger) index(t time.Time) int64 { return t.UnixNano() / int64(l.slice) }

// forget drops slices that are too old to matter and, when full, the oldest one.
func (l *ledger) forget(now time.Time) {
	dead := l.index(now.Add(-l.life))
	for s := range l.slices {
		if s < dead {
			l.drop(s)
		}
	}
	for l.n >= l.max {
		oldest := l.index(now) + 1
		for s := range l.slices {
			oldest = min(oldest, s)
		}
		l.drop(oldest)
		// Nonces of that slice can no longer be told apart. A nonce made from now on can.
		end := time.Unix(0, (oldest+1)*int64(l.slice))
		if end.After(now) {
			end = now.Add(time.Millisecond).Truncate(time.Millisecond)
		}
		if end.After(l.floor) {
			l.floor = end
		}
	}
}

func (l *ledger) drop(s int64) {
	l.n -= len(l.slices[s])
	delete(l.slices, s)
}
