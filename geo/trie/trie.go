// Package trie is a stride-4 multibit trie over IP prefixes, laid out as flat
// arrays that a BPF program walks with plain loads: a root table over the first
// RootBits bits, then nodes of sixteen children. It knows addresses and numbers;
// what a number means (a country, a rule) is the caller's.
//
// An entry of a root or node is either a leaf, Leaf|value, or the index of the
// node that decides the next four bits (DESIGN decision 7).
package trie

import "net/netip"

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

// Build makes the trie of entries. Equal subtrees are stored once. IPv4-mapped
// prefixes count as IPv4. It fails on an invalid prefix or value, never drops one.
func Build(rootBits int, entries []Entry) (*Trie, error) { panic("not written") }

// Lookup is the value of the longest prefix that holds a, or 0. A nil Trie says 0.
func (t *Trie) Lookup(a netip.Addr) uint32 { panic("not written") }
