package relay

import (
	"errors"
	"fmt"
	"time"
)

// ErrDrained is returned by Run of a relay that ends when it is drained.
var ErrDrained = errors.New("relay: drained")

// A Drain is a relay's taking no new calls, so that it can be taken away.
type Drain struct {
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline,omitzero"` // then it is over, whatever calls are left; zero: never
}

func (d *Drain) refusal() *refusal {
	return &refusal{limitDrain, "draining since " + d.Since.Format(time.TimeOnly) + ": no new calls are taken"}
}

// EndWhenDrained makes Run return ErrDrained when a drain is over: its last call has
// ended, or its deadline has passed. Calls that are left then go on as with any end
// of the process: in the kernel, and with the next one.
func EndWhenDrained() Option { return func(r *Relay) { r.ends = true } }

// Drain refuses new calls from now on. A deadline may be zero. Asked again it changes
// the deadline.
func (r *Relay) Drain(deadline time.Time) {
	now := &Drain{Since: time.Now(), Deadline: deadline}
	if was := r.draining.Load(); was != nil {
		now.Since = was.Since
	}
	r.draining.Store(now)
	calls, _, _ := r.calls.Counts()
	r.log.Warn("draining: new calls are refused", "calls", calls, "deadline", deadline)
}

// Undrain takes new calls again.
func (r *Relay) Undrain() {
	if r.draining.Swap(nil) != nil {
		r.log.Info("no longer draining: new calls are taken")
	}
}

// drained says whether a drain is over at now.
func (r *Relay) drained(now time.Time) bool {
	d := r.draining.Load()
	if d == nil {
		return false
	}
	calls, _, _ := r.calls.Counts()
	late := !d.Deadline.IsZero() && !now.Before(d.Deadline)
	if calls > 0 && late && r.ends {
		r.log.Warn("the drain's deadline has passed", "calls", calls)
	}
	return calls == 0 || late
}

// Ready is nil while the relay takes calls.
func (r *Relay) Ready() error {
	if !r.ready.Load() {
		return errors.New("relay: not running")
	}
	if r.draining.Load() != nil {
		calls, _, _ := r.calls.Counts()
		return fmt.Errorf("draining, %d calls are left", calls)
	}
	return nil
}
