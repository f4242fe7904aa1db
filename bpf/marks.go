package bpf

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
)

// placeOf is where the mark of a source is; exactly in judge.h looks there.
func placeOf(key, seed uint64) int {
	var marks *shieldMarks
	return int(mix64(key^seed) >> 20 % uint64(len(marks.Count)))
}

// mark counts a source that is put (1) or was taken away (-1). Other processes may
// count beside it. A count that cannot grow stays for ever: then the program looks
// for a source that is not there, which costs time and nothing else.
func (m *memory) mark(key uint64, by int) {
	at := placeOf(key, m.seed)
	word := (*uint32)(unsafe.Pointer(&m.marks.Count[at&^3])) // there are no atomic bytes
	shift := at & 3 * 8                                      // the byte order is little-endian, as the program's
	for {
		was := atomic.LoadUint32(word)
		n := int(was >> shift & math.MaxUint8)
		if n == math.MaxUint8 || n+by < 0 {
			return
		}
		if atomic.CompareAndSwapUint32(word, was, was&^(math.MaxUint8<<shift)|uint32(n+by)<<shift) {
			return
		}
	}
}

// recount makes the marks of the sources that maps hold.
func recount(t tables) error {
	var state shieldState
	if err := t[shieldMapState].Lookup(uint32(0), &state); err != nil {
		return fmt.Errorf("bpf: reading the seed: %w", err)
	}
	marks := new(shieldMarks)
	err := eachSource(t[shieldMapSources], func(key uint64, _ shieldSource) {
		if c := &marks.Count[placeOf(key, state.Seed)]; *c < math.MaxUint8 {
			*c++
		}
	})
	if err == nil {
		err = t[shieldMapMarks].Put(uint32(0), marks)
	}
	if err != nil {
		return fmt.Errorf("bpf: marking sources: %w", err)
	}
	return nil
}

// eachSource calls f for all sources of a map, in batches.
func eachSource(m *ebpf.Map, f func(key uint64, v shieldSource)) error {
	const size = 4096
	keys, values := make([]uint64, size), make([]shieldSource, size)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			f(keys[i], values[i])
		}
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
