package bpf

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// Whoever puts and deletes sources at once, the marks count them: no source is
// without one, and when all are gone all are 0.
func TestMarks(t *testing.T) {
	n := newNamespace(t)
	edge, relay := n.must(t, Options{Owner: "edge"}), n.must(t, Options{Owner: "relay"})
	var working sync.WaitGroup
	for i, s := range []*Shield{edge, relay, edge, relay} {
		working.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for range 5000 {
				key := r.Uint64N(8) // few, so that they meet
				var err error
				if r.IntN(2) == 0 {
					err = s.PutSource(key, Source{Class: 1})
				} else {
					err = s.DeleteSource(key)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	want := new(shieldMarks)
	count := func(s *Shield) {
		t.Helper()
		*want = shieldMarks{}
		if err := s.Sources(func(key uint64, _ Source) { want.Count[placeOf(key, s.Seed())]++ }); err != nil {
			t.Fatal(err)
		}
		if s.memory.marks.Count != want.Count {
			t.Error("the marks do not count the sources")
		}
	}
	count(edge)
	for key := range uint64(8) {
		if err := relay.DeleteSource(key); err != nil {
			t.Fatal(err)
		}
	}
	count(relay)
}

// A count that is full neither turns over nor goes down.
func TestMarkIsFull(t *testing.T) {
	s := trial(t)
	count := &s.memory.marks.Count[placeOf(9, s.Seed())]
	*count = math.MaxUint8 - 1
	for range 3 {
		s.memory.mark(9, 1)
	}
	s.memory.mark(9, -1)
	if *count != math.MaxUint8 {
		t.Errorf("it is %d", *count)
	}
	*count = 0
	s.memory.mark(9, -1)
	if *count != 0 {
		t.Errorf("below 0 it is %d", *count)
	}
}
