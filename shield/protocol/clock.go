package protocol

import "time"

// ClockWarn is by how much a node's clock and core's may differ before people are told.
const ClockWarn = 2 * time.Second

// A Clock is what is known of another's clock. Bans end at a time of day: with a clock
// that is wrong they would end too late, or be over before they began, so a difference
// that is worth telling is taken out of the times that come from there. The correction
// stays as it is while the difference does, however long each message took.
type Clock struct {
	ahead      time.Duration
	correction time.Duration
}

// Heard takes note that the other's clock said theirs when ours said ours. A zero
// theirs, of a program that does not tell, changes nothing.
func (c *Clock) Heard(theirs, ours time.Time) {
	if theirs.IsZero() {
		return
	}
	c.ahead = theirs.Sub(ours)
	if (c.ahead - c.correction).Abs() <= ClockWarn/2 {
		return
	}
	if c.correction = c.ahead.Round(time.Second); c.ahead.Abs() <= ClockWarn {
		c.correction = 0
	}
}

// Ahead is by how much the other's clock was ahead of ours when it was last heard.
func (c Clock) Ahead() time.Duration { return c.ahead }

// Wrong tells whether the two differ by more than ClockWarn.
func (c Clock) Wrong() bool { return c.ahead.Abs() > ClockWarn }

// Ours is a ban of theirs with its times on our clock.
func (c Clock) Ours(b Ban) Ban {
	b.Since, b.Until = c.At(b.Since), c.At(b.Until)
	return b
}

// At is a time of theirs on our clock; none stays none.
func (c Clock) At(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-c.correction)
}
