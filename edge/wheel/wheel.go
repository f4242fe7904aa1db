// Package wheel fires very many coarse timers from one goroutine: a hashed timer
// wheel whose entries live inside the things they time, so that starting,
// moving and stopping one costs a few pointers and no allocation. It does not
// promise precision below Tick, and it knows nothing of what it times.
package wheel

import (
	"context"
	"sync"
	"time"
)

// Tick is the precision of a Wheel: a timer fires within two ticks of its time.
const Tick = 20 * time.Millisecond

// slots is the number of ticks in one turn, a power of two. A timer further away
// than one turn (41 s; only timer C of RFC 3261) is looked at once a turn.
const slots = 2048

// A Time is a moment in milliseconds since the wheel was made. The zero Time
// means never.
type Time int64

// After is the moment d later than t.
func (t Time) After(d time.Duration) Time { return t + Time(d/time.Millisecond) }

// Earliest is the first of the moments that is not never; never when all are.
func Earliest(ts ...Time) Time {
	var first Time
	for _, t := range ts {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// A Task is what a Timer fires. Expire runs on the wheel's goroutine and must
// not block. A call may come late or cross with Stop or Schedule, so a Task looks
// at its own deadlines again before it acts.
type Task interface {
	Expire(now Time)
}

// A Timer is one entry of a Wheel. It is embedded in the thing it times and must
// not be copied once scheduled. The zero Timer is stopped; Task is set once.
type Timer struct {
	Task Task

	// Owned by the wheel's mutex.
	next, prev *Timer
	linked     bool
	at         Time
}

// A Wheel is a set of timers. Its methods may be called from any goroutine, also
// from within Expire.
type Wheel struct {
	start time.Time
	wake  chan struct{} // tells Run that there is something to time again

	mu      sync.Mutex // guards the fields below
	slots   [slots]Timer
	current int64 // the tick whose slot was emptied last
	n       int   // timers linked
}

// New returns a Wheel whose time begins now. Nothing fires before Run.
func New() *Wheel {
	w := &Wheel{start: time.Now(), wake: make(chan struct{}, 1)}
	for i := range w.slots {
		head := &w.slots[i]
		head.next, head.prev = head, head
	}
	return w
}

// Now is the present moment; it is never the zero Time.
func (w *Wheel) Now() Time { return Time(time.Since(w.start)/time.Millisecond) + 1 }

// Schedule makes t fire at the moment at, in place of any earlier appointment.
func (w *Wheel) Schedule(t *Timer, at Time) {
	w.mu.Lock()
	if t.linked {
		w.unlink(t)
	}
	t.at = at
	w.link(t)
	idle := w.n == 1
	w.mu.Unlock()
	if idle {
		select {
		case w.wake <- struct{}{}:
		default: // Run has been told already
		}
	}
}

// Stop cancels t. A call of Expire that has begun is not waited for.
func (w *Wheel) Stop(t *Timer) {
	w.mu.Lock()
	if t.linked {
		w.unlink(t)
	}
	w.mu.Unlock()
}

// Len is the number of timers that are waiting.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// Run fires timers until ctx ends. It sleeps while there are none.
func (w *Wheel) Run(ctx context.Context) error {
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()
	var due []*Timer
	for {
		var now Time
		due, now = w.advance(due[:0])
		for i, t := range due {
			t.Task.Expire(now)
			due[i] = nil
		}
		if w.Len() > 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		ticker.Stop()
		select {
		case <-w.wake:
			ticker.Reset(Tick)
		case <-ctx.Done():
			return nil
		}
	}
}

// advance moves the wheel to the present and takes out the timers that are due.
func (w *Wheel) advance(due []*Timer) ([]*Timer, Time) {
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	target := tickOf(now)
	from := w.current + 1
	if target-from >= slots {
		from = target - slots + 1 // slept for more than a turn: every slot once is enough
	}
	for tick := from; tick <= target; tick++ {
		w.current = tick
		head := &w.slots[tick&(slots-1)]
		// Cut the chain off first: what is not due yet may come back to this slot.
		first := head.next
		head.prev.next = nil
		head.next, head.prev = head, head
		if first == head {
			continue
		}
		for t := first; t != nil; {
			next := t.next
			t.linked = false
			w.n--
			if t.at <= now {
				due = append(due, t)
			} else {
				w.link(t)
			}
			t = next
		}
	}
	w.current = target
	return due, now
}

// link puts t into the slot of its time, the next tick at the earliest.
func (w *Wheel) link(t *Timer) {
	if w.n == 0 {
		// Nothing was waiting, so no slot between current and now needs a visit.
		w.current = max(w.current, tickOf(w.Now())-1)
	}
	// A slot is visited when its tick has begun, so the time must lie before that.
	tick := min(max(tickOf(t.at)+1, w.current+1), w.current+slots-1)
	head := &w.slots[tick&(slots-1)]
	t.prev, t.next = head.prev, head
	t.prev.next, t.next.prev = t, t
	t.linked = true
	w.n++
}

func (w *Wheel) unlink(t *Timer) {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev, t.linked = nil, nil, false
	w.n--
}

func tickOf(t Time) int64 { return int64(t) / int64(Tick/time.Millisecond) }
