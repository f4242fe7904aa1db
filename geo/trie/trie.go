// Package trie is a compressed multibit trie over IP prefixes, laid out as flat
// arrays that a BPF program walks with plain loads: root tables over the first bits,
// then records that decide six bits each. It knows addresses and numbers; what a
// number means (a country, a rule) is the caller's.
//
// A lookup is waiting for memory, so what counts is how few cache lines wait for one
// another and how many there are in all. A record says in one line what a table of 64
// entries would: a bit wherever a value ends and one for each part that is divided
// further; counting bits leads to the value, or to the record of the part, which
// stand in the record itself (DESIGN decision 7).
package trie

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"unsafe"
)

// Leaf marks an entry that is an answer; the other 31 bits are the value. The
// value 0 means nothing was said about the address.
const Leaf = 1 << 31

// stride is how many bits a record decides.
const stride = 6

// A Value is what a prefix has: 1 and up, less than Leaf.
type Value interface{ uint8 | uint32 }

// An Entry says that the addresses of Prefix have Value. Of prefixes that hold an
// address the longest decides, in whatever order they come.
type Entry[V Value] struct {
	Prefix netip.Prefix
	Value  V
}

// A Roots is how many bits the root tables of each family decide, 1 to 20.
type Roots struct{ V4, V6 int }

// A Trie answers for IPv4 and IPv6; both share Words. It is constant once built.
//
// An entry of a root is a leaf, Leaf|value, or a reference to the record that decides
// the next six bits, which say which of 64 parts an address is in. A reference is
// twice the index of a word in the middle of the record, and one more when parts of
// it are divided further. From there on it has
//
//	a word     bit i: part i+1 begins another value than the parts before it have
//	a word     bit i: part i is divided further; only when any is
//	32 bits    a reference for each part that is divided further
//
// up to a whole word, the lowest bits of words first; and before it, backwards from
// the highest bits of the word before, each value as a V, that of part 0 first. Parts
// that are divided further count as if they went on with the value before them. So
// nothing in a record stands where it takes more than counting bits once to find.
type Trie[V Value] struct {
	Roots        Roots
	Root4, Root6 []uint32
	Words        []uint64
}

// Lookup is the value of the longest prefix that holds a, or 0. A nil Trie says 0.
func (t *Trie[V]) Lookup(a netip.Addr) V {
	if t == nil || !a.IsValid() {
		return 0
	}
	hi, lo, is4 := words(a)
	root, depth := t.root(is4)
	e := root[hi>>(64-depth)]
	hi, lo = shift(hi, lo, depth)
	for e&Leaf == 0 {
		e = t.record(e).entry(int(hi >> (64 - stride)))
		hi, lo = shift(hi, lo, stride)
	}
	return V(e &^ Leaf)
}

// root is the table of a family's first bits, and how many they are.
func (t *Trie[V]) root(is4 bool) (entries []uint32, depth int) {
	if is4 {
		return t.Root4, t.Roots.V4
	}
	return t.Root6, t.Roots.V6
}

// A record is one that a reference leads to.
type record[V Value] struct {
	t           *Trie[V]
	at          int // its middle
	ends, inner uint64
}

func (t *Trie[V]) record(reference uint32) record[V] {
	r := record[V]{t: t, at: int(reference >> 1)}
	r.ends = t.Words[r.at]
	if reference&1 != 0 {
		r.inner = t.Words[r.at+1]
	}
	return r
}

// entry is that of a part.
func (r record[V]) entry(part int) uint32 {
	before := uint64(1)<<part - 1
	if r.inner>>part&1 != 0 {
		n := bits.OnesCount64(r.inner & before)
		return uint32(r.t.Words[r.at+2+n/2] >> (n % 2 * 32))
	}
	n := int(unsafe.Sizeof(V(0))) * (bits.OnesCount64(r.ends&before) + 1) // bytes back
	return Leaf | uint32(V(r.t.Words[r.at-(n+7)/8]>>(-n&7*8)))
}

// Bytes is the size of the tables.
func (t *Trie[V]) Bytes() int {
	if t == nil {
		return 0
	}
	return 4*(len(t.Root4)+len(t.Root6)) + 8*len(t.Words)
}

// words is an address with its first bit on top; of IPv4, mapped or not, only the
// upper half of hi is used.
func words(a netip.Addr) (hi, lo uint64, is4 bool) {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:])) << 32, 0, true
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), false
}

// shift drops the first n bits, 0 < n < 64.
func shift(hi, lo uint64, n int) (uint64, uint64) {
	return hi<<n | lo>>(64-n), lo << n
}
