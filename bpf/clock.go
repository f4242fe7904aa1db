package bpf

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Now is the kernel's clock in ms: jiffies, so it moves in steps of a tick.
func (s *Shield) Now() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0
	}
	return s.now()
}

func (s *Shield) now() uint64 {
	if s.clocked {
		return atomic.LoadUint64(s.memory.clock)
	}
	var jiffies [8]byte
	if _, err := s.ticks.Run(&ebpf.RunOptions{Context: jiffies[:], ContextOut: jiffies[:]}); err != nil {
		// Never seen; the coarse clock ticks alike, from another start.
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &t)
		return uint64(t.Nano() / 1e6)
	}
	return binary.NativeEndian.Uint64(jiffies[:]) * s.memory.tick / 1000
}

// SetClock sets the time of a shield that was opened with Options.Clock.
func (s *Shield) SetClock(ms uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		atomic.StoreUint64(s.memory.clock, ms)
	}
}

// Test runs the program over a frame of at least 14 bytes, which goes nowhere, and
// returns the XDP action (1 drop, 2 pass). What a packet changes, it changes.
func (s *Shield) Test(frame []byte) (action uint32, err error) {
	done, err := s.use()
	if err != nil {
		return 0, err
	}
	defer done()
	action, err = s.program.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		return 0, fmt.Errorf("bpf: running the program: %w", err)
	}
	return action, nil
}
