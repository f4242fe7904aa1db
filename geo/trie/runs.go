package trie

import (
	"iter"
	"math/bits"
)

// A Point is an address with its first bit on top; of IPv4 only the upper half of
// Hi is used.
type Point struct{ Hi, Lo uint64 }

// Before tells whether p is the lower address.
func (p Point) Before(q Point) bool { return p.Hi < q.Hi || p.Hi == q.Hi && p.Lo < q.Lo }

// Runs goes through one family's address space in order: each address where another
// value begins, and that value, which holds up to the next one, of the last to the
// end. The first is address 0. A nil Trie says 0 of all.
func (t *Trie[V]) Runs(is4 bool) iter.Seq2[Point, V] {
	return func(yield func(Point, V) bool) {
		if t == nil {
			yield(Point{}, 0)
			return
		}
		r := runner[V]{t: t, yield: yield}
		root, depth := t.root(is4)
		for i, e := range root {
			if !r.entry(e, Point{Hi: uint64(i) << (64 - depth)}, depth) {
				return
			}
		}
	}
}

// A runner goes through a trie and joins neighbours of one value.
type runner[V Value] struct {
	t     *Trie[V]
	yield func(Point, V) bool
	last  uint32
}

// entry goes through the addresses of an entry, which begin at first and have the
// bits up to depth in common; false: no more is wanted.
func (r *runner[V]) entry(e uint32, first Point, depth int) bool {
	if e&Leaf != 0 {
		if e == r.last {
			return true
		}
		r.last = e
		return r.yield(first, V(e&^Leaf))
	}
	rec := r.t.record(e)
	for begins := 1 | rec.inner | rec.inner<<1 | rec.ends<<1; begins != 0; begins &= begins - 1 {
		part := bits.TrailingZeros64(begins)
		if !r.entry(rec.entry(part), first.plus(uint64(part), depth), depth+stride) {
			return false
		}
	}
	return true
}

// plus is p with six bits filled in after the first depth; bits past the end of an
// address are left out.
func (p Point) plus(part uint64, depth int) Point {
	part <<= 64 - stride
	if depth >= 64 {
		return Point{p.Hi, p.Lo | part>>(depth-64)}
	}
	return Point{p.Hi | part>>depth, p.Lo | part<<(64-depth)}
}
