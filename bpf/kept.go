package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/cilium/ebpf"
)

// find loads the maps that are pinned: kept are those that fit the program, old
// those that a program with another layout made. When any map is to be made, so is
// state: a new one tells processes that hold the old maps to open them again.
func (p *pins) find(specs map[string]*ebpf.MapSpec, number uint32) (kept, old tables, err error) {
	kept, old = tables{}, tables{}
	for name, spec := range specs {
		m, err := ebpf.LoadPinnedMap(p.path(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			kept.close()
			old.close()
			return nil, nil, fmt.Errorf("bpf: opening the pinned map %s: %w", name, refused(err))
		}
		if spec.Compatible(m) == nil {
			kept[name] = m
		} else {
			old[name] = m
		}
	}
	m := kept[shieldMapState]
	if m == nil {
		return anew(kept, old)
	}
	var state shieldState
	switch err := m.Lookup(uint32(0), &state); {
	case err != nil || state.Layout != number:
		return anew(kept, old)
	case len(kept) < len(specs):
		retire(kept, old, shieldMapState)
	}
	if kept[shieldMapSources] == nil {
		retire(kept, old, shieldMapMarks)
	}
	return kept, old, nil
}

// anew has all maps replaced, but for next, whose program is the relay's to change.
func anew(kept, old tables) (next, others tables, err error) {
	next = tables{}
	if m := kept[shieldMapNext]; m != nil {
		next[shieldMapNext] = m
		delete(kept, shieldMapNext)
	}
	return next, merged(old, kept), nil
}

// retire has a map that would fit replaced.
func retire(kept, old tables, name string) {
	if kept[name] != nil {
		old[name] = kept[name]
		delete(kept, name)
	}
}

func merged(a, b tables) tables {
	maps.Copy(a, b)
	return a
}

// carry copies into new maps what older ones hold and nobody could say again. What
// the older program counts until the newer is in force is not carried.
func carry(t, old tables) error {
	for _, name := range slices.Sorted(maps.Keys(old)) {
		var err error
		switch name {
		case shieldMapSources:
			err = carryEntries(t[name], old[name])
		case shieldMapPorts, shieldMapLegs:
			err = carryValue(t[name], old[name])
		case shieldMapCounters:
			if old[name].ValueSize() != t[name].ValueSize() {
				continue // 256 countries and 16 verdicts fill what a per-CPU value may have: another shape is another count
			}
			var counters []shieldCounters
			if err = old[name].Lookup(uint32(0), &counters); err == nil {
				err = t[name].Put(uint32(0), counters)
			}
		case shieldMapState:
			err = carrySeed(t[name], old[name])
		}
		if err != nil {
			return fmt.Errorf("bpf: carrying %s to new maps: %w", name, err)
		}
	}
	return nil
}

// carrySeed keeps the seed, so that explanations and bans meet the same buckets.
func carrySeed(to, from *ebpf.Map) error {
	var state shieldState
	if err := to.Lookup(uint32(0), &state); err != nil {
		return err
	}
	was, err := from.LookupBytes(uint32(0))
	if err != nil || len(was) < 8 {
		return err
	}
	state.Seed = seedOf(was)
	return to.Put(uint32(0), &state)
}

// carryValue copies the only value: fields are only ever appended.
func carryValue(to, from *ebpf.Map) error {
	was, err := from.LookupBytes(uint32(0))
	if err != nil {
		return err
	}
	return to.Put(uint32(0), resize(was, int(to.ValueSize())))
}

func carryEntries(to, from *ebpf.Map) error {
	if from.KeySize() != to.KeySize() {
		return nil // another idea of what a source is
	}
	var key uint64
	value := make([]byte, from.ValueSize())
	entries := from.Iterate()
	for entries.Next(&key, &value) {
		err := to.Put(key, resize(value, int(to.ValueSize())))
		if err != nil {
			return err
		}
	}
	return entries.Err()
}

func resize(b []byte, size int) []byte {
	if len(b) >= size {
		return b[:size]
	}
	return append(slices.Clone(b), make([]byte, size-len(b))...)
}

// pin gives the new maps their names: at first beside the old ones.
func (p *pins) pin(t, kept tables) error {
	for name, m := range t {
		if kept[name] != nil {
			continue
		}
		os.Remove(p.path(fresh + name)) // of a process that died in the middle
		if err := m.Pin(p.path(fresh + name)); err != nil {
			return fmt.Errorf("bpf: pinning %s: %w", name, refused(err))
		}
	}
	return nil
}

// unpin takes back what pin did.
func (p *pins) unpin(t tables) {
	for name := range t {
		os.Remove(p.path(fresh + name))
	}
}

// rename puts the new maps' pins in the place of the old ones, state last: it tells
// other processes.
func (p *pins) rename(t, kept tables) error {
	names := slices.Sorted(maps.Keys(t))
	names = append(slices.DeleteFunc(names, func(n string) bool { return n == shieldMapState }), shieldMapState)
	for _, name := range names {
		if kept[name] != nil {
			continue
		}
		if err := os.Rename(p.path(fresh+name), p.path(name)); err != nil {
			return fmt.Errorf("bpf: pinning %s: %w", name, err)
		}
	}
	return nil
}
