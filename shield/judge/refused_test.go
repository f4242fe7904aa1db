package judge

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A word is a list of the four sources refused last, each once, whatever came before.
func TestRefusedRemembersTheLastFour(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	var r Refused
	var want []uint16 // the latest first
	for range 100_000 {
		name := uint16(1 + rng.IntN(9))
		if got := r.again(name); got != slices.Contains(want, name) {
			t.Fatalf("%x knows %d: %v; refused were %v", uint64(r), name, got, want)
		}
		r = r.with(name)
		want = slices.DeleteFunc(want, func(n uint16) bool { return n == name })
		if want = slices.Insert(want, 0, name); len(want) > 4 {
			want = want[:4]
		}
	}
}

func TestNoSourceIsCalledZero(t *testing.T) {
	for k := range Key(1 << 18) {
		if Seed(1).Name(k) == 0 {
			t.Fatalf("source %d is", k)
		}
	}
}
