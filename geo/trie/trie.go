// Package trie is a stride-4 multibit trie over IP prefixes, laid out as flat
// arrays that a BPF program walks with plain loads: a root table over the first
// RootBits bits, then nodes of sixteen children. It knows addresses and numbers;
// what a number means (a country, a rule) is the caller's.
//
// An entry of a root or node is either a leaf, Leaf|value, or the index of the
// node that decides the next four bits (DESIGN decision 7).
package trie

import (
	"encoding/binary"
	"net/netip"
)

// Leaf marks an entry that is an answer; the other 31 bits are the value. The
// value 0 means nothing was said about the address.
const Leaf = 1 << 31

// A Node is sixteen entries, one cache line.
type Node = [16]uint32

// An Entry says that the addresses of Prefix have Value (1 to Leaf-1). Of prefixes
// that hold an address the longest decides, in whatever order they come.
type Entry struct {
	Prefix netip.Prefix
	Value  uint32
}

// A Trie answers for IPv4 and IPv6; both share Nodes. It is constant once built.
type Trie struct {
	RootBits     int // 8 or 16: Root4 and Root6 have 1<<RootBits entries
	Root4, Root6 []uint32
	Nodes        []Node
}

// Lookup is the value of the longest prefix that holds a, or 0. A nil Trie says 0.
func (t *Trie) Lookup(a netip.Addr) uint32 {
	if t == nil || !a.IsValid() {
		return 0
	}
	hi, lo, is4 := words(a)
	root := t.Root6
	if is4 {
		root = t.Root4
	}
	e := root[hi>>(64-t.RootBits)]
	hi, lo = shift(hi, lo, t.RootBits)
	for e&Leaf == 0 {
		e = t.Nodes[e][hi>>60]
		hi, lo = shift(hi, lo, 4)
	}
	return e &^ Leaf
}

// Bytes is the size of the tables.
func (t *Trie) Bytes() int {
	if t == nil {
		return 0
	}
	return 4*(len(t.Root4)+len(t.Root6)) + 64*len(t.Nodes)
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
