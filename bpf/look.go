package bpf

import (
	"fmt"
	"sync/atomic"
)

// A Surroundings is all that the kernel knows of one source now, for explanations.
type Surroundings struct {
	Now      uint64 // ms of the kernel's clock
	Source   *Source
	Cell     uint64        // raw, see shield/judge.Cell
	Around   [2][2]uint32  // in either row
	Refused  uint64        // raw, see shield/judge.Refused
	All      [32][2]uint32 // by service*2, +1 for TCP, +16 for IPv6
	HalfOpen [2]uint32
}

// The hashes' salts; bucket.h has the same, and a test compares what they find.
const (
	aroundSalt   = 0x9e3779b97f4a7c15
	halfOpenSalt = 0xc2b2ae3d27d4eb4f
)

// mix64 is MurmurHash3's finalizer.
func mix64(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h
}

// Look reads what there is about a source (key and neighbourhood as in
// shield/judge). Stamps come before tokens or counts, as in Cell.
func (s *Shield) Look(key, around uint64) (Surroundings, error) {
	done, err := s.use()
	if err != nil {
		return Surroundings{}, err
	}
	defer done()
	b, seed := s.memory.buckets, s.memory.seed
	own, near := mix64(key^seed), mix64(around^seed^aroundSalt)
	half := &b.HalfOpen[mix64(key^seed^halfOpenSalt)%uint64(len(b.HalfOpen))]
	l := Surroundings{
		Now:      s.now(),
		Cell:     atomic.LoadUint64(&b.Cells[own%uint64(len(b.Cells))]),
		Refused:  atomic.LoadUint64(&b.Refused[own%uint64(len(b.Refused))]),
		HalfOpen: [2]uint32{atomic.LoadUint32(&half.Stamp), atomic.LoadUint32(&half.Count)},
	}
	for i := range l.Around {
		at := &b.Around[i][near>>(32*i)%uint64(len(b.Around[i]))]
		l.Around[i] = [2]uint32{atomic.LoadUint32(&at.Stamp), atomic.LoadUint32(&at.Tokens)}
	}
	for i := range l.All {
		l.All[i] = [2]uint32{atomic.LoadUint32(&b.All[i].Stamp), atomic.LoadUint32(&b.All[i].Tokens)}
	}
	var k shieldSource
	switch err := s.maps.Sources.Lookup(key, &k); {
	case err == nil:
		v := source(k)
		l.Source = &v
	case !missing(err):
		return Surroundings{}, fmt.Errorf("bpf: looking for a source: %w", err)
	}
	return l, nil
}

// Seed is what keys are hashed with; it lives as long as the pins.
func (s *Shield) Seed() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory.seed
}
