package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A Source is exact state of a source; see shield/judge.Source.
type Source struct {
	Class  uint8
	Proven bool
	Until  uint32 // second of the kernel's clock; 0: never
	Stamp  uint32 // of the bucket, ms
	Tokens uint32 // thousandths
}

// full is more than any bucket holds: the first packet cuts it to the burst.
const full = 1<<32 - 1

// PutSource makes or changes a source; its bucket starts full when it is new and
// is kept when it is not: v's is not looked at. A packet judged meanwhile may cost
// the source nothing. ErrFull when the table is full.
func (s *Shield) PutSource(key uint64, v Source) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	if v.Class == 0 || v.Class >= uint8(shieldClassCLASSES) {
		return fmt.Errorf("bpf: class %d is no class of an exact source", v.Class)
	}
	k := shieldSource{Until: v.Until, Class: v.Class}
	if v.Proven {
		k.Proven = 1
	}
	for { // again, when somebody else puts or deletes the same one meanwhile
		switch err = s.change(key, k); {
		case missing(err):
			err = s.add(key, k)
		case err == nil:
			return nil
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyExist):
			continue
		case errors.Is(err, unix.E2BIG):
			return fmt.Errorf("bpf: %w: %d sources", ErrFull, s.maps.Sources.MaxEntries())
		case err != nil:
			return fmt.Errorf("bpf: putting a source: %w", err)
		}
		return nil
	}
}

// change gives a source that is there another value, but for its bucket.
func (s *Shield) change(key uint64, k shieldSource) error {
	var was shieldSource
	if err := s.maps.Sources.Lookup(key, &was); err != nil {
		return err
	}
	k.Bucket = was.Bucket
	return s.maps.Sources.Update(key, &k, ebpf.UpdateExist)
}

// add puts a source that is not there.
func (s *Shield) add(key uint64, k shieldSource) error {
	k.Bucket = shieldBucket{Tokens: full, Stamp: uint32(s.now())}
	s.memory.mark(key, 1)
	err := s.maps.Sources.Update(key, &k, ebpf.UpdateNoExist)
	if err != nil {
		s.memory.mark(key, -1)
	}
	return err
}

// DeleteSource forgets one; one that is not there is forgotten already.
func (s *Shield) DeleteSource(key uint64) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	switch err := s.maps.Sources.Delete(key); {
	case missing(err):
		return nil
	case err != nil:
		return fmt.Errorf("bpf: forgetting a source: %w", err)
	}
	s.memory.mark(key, -1)
	return nil
}

// Sources calls f for all of them. f may delete sources; one that is put
// meanwhile may be missed.
func (s *Shield) Sources(f func(key uint64, v Source)) error {
	all, err := s.snapshot()
	if err != nil {
		return err
	}
	for key, v := range all {
		f(key, source(v))
	}
	return nil
}

func (s *Shield) snapshot() (map[uint64]shieldSource, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	all := map[uint64]shieldSource{}
	if err := eachSource(s.maps.Sources, func(key uint64, v shieldSource) { all[key] = v }); err != nil {
		return nil, fmt.Errorf("bpf: reading sources: %w", err)
	}
	return all, nil
}

func source(k shieldSource) Source {
	return Source{Class: k.Class, Proven: k.Proven != 0, Until: k.Until, Stamp: k.Bucket.Stamp, Tokens: k.Bucket.Tokens}
}

func missing(err error) bool { return errors.Is(err, ebpf.ErrKeyNotExist) }
