package forward

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A clock reads CLOCK_MONOTONIC, which programs in the kernel count arrivals by,
// without a system call: time.Now reads it too, but does not give it away.
type clock struct {
	epoch time.Time
	zero  uint64 // CLOCK_MONOTONIC at epoch, ns
}

// newClock compares the two. They are read one after the other, so the clock may be
// some hundred nanoseconds off, always the same.
func newClock() (clock, error) {
	best := clock{}
	shortest := time.Hour
	for range 5 { // an interruption between the two would make them differ by more
		c := clock{epoch: time.Now()}
		var at unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
			return clock{}, fmt.Errorf("forward: clock: %w", err)
		}
		took := time.Since(c.epoch)
		c.zero = uint64(at.Nano() - int64(took/2))
		if took < shortest {
			best, shortest = c, took
		}
	}
	return best, nil
}

// now is CLOCK_MONOTONIC in ns.
func (c clock) now() uint64 { return c.zero + uint64(time.Since(c.epoch)) }

// time turns ns of CLOCK_MONOTONIC into a time; 0 is never.
func (c clock) time(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return c.epoch.Add(time.Duration(ns - c.zero))
}
