package trie

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Build makes the trie of entries. Equal subtrees are stored once. IPv4-mapped
// prefixes count as IPv4, bits after a prefix's length do not count. It fails on
// an invalid prefix or value and on a prefix that is given two values, and never
// drops an entry.
func Build(rootBits int, entries []Entry) (*Trie, error) {
	if rootBits != 8 && rootBits != 16 {
		return nil, fmt.Errorf("trie: root of %d bits; it is 8 or 16", rootBits)
	}
	rules4, rules6, err := normalize(entries)
	if err != nil {
		return nil, err
	}
	t := &Trie{RootBits: rootBits}
	b := newBuilder(t)
	t.Root4, t.Root6 = b.root(rules4), b.root(rules6)
	t.Nodes = slices.Clip(t.Nodes)
	return t, nil
}

// A rule is an Entry as the trie is built from it.
type rule struct {
	hi, lo uint64 // bits after the prefix's length are 0
	leaf   uint32
	bits   uint8
}

// normalize checks the entries and sorts each family's by address, then length: a
// shorter prefix stands before all that it holds.
func normalize(entries []Entry) (rules4, rules6 []rule, err error) {
	for i, e := range entries {
		p := e.Prefix.Masked()
		if !p.IsValid() {
			return nil, nil, fmt.Errorf("trie: entry %d: %v is no prefix", i, e.Prefix)
		}
		if e.Value == 0 || e.Value >= Leaf {
			return nil, nil, fmt.Errorf("trie: %v: value %d is not within 1 and %d", e.Prefix, e.Value, uint32(Leaf-1))
		}
		hi, lo, is4 := words(p.Addr())
		r := rule{hi: hi, lo: lo, leaf: Leaf | e.Value, bits: uint8(p.Bits())}
		if !is4 {
			rules6 = append(rules6, r)
			continue
		}
		if p.Addr().Is4In6() {
			r.bits -= 96 // it has as many: Masked would have cleared the ffff else
		}
		rules4 = append(rules4, r)
	}
	if rules4, err = sortRules(rules4, true); err != nil {
		return nil, nil, err
	}
	rules6, err = sortRules(rules6, false)
	return rules4, rules6, err
}

// sortRules sorts one family's rules and takes out repetitions.
func sortRules(rules []rule, is4 bool) ([]rule, error) {
	slices.SortFunc(rules, func(a, b rule) int {
		switch {
		case a.hi != b.hi:
			return cmp.Compare(a.hi, b.hi)
		case a.lo != b.lo:
			return cmp.Compare(a.lo, b.lo)
		default:
			return int(a.bits) - int(b.bits)
		}
	})
	for i := 1; i < len(rules); i++ {
		a, b := rules[i-1], rules[i]
		if a.hi == b.hi && a.lo == b.lo && a.bits == b.bits && a.leaf != b.leaf {
			return nil, fmt.Errorf("trie: %v has two values, %d and %d", a.prefix(is4), min(a.leaf, b.leaf)&^Leaf, max(a.leaf, b.leaf)&^Leaf)
		}
	}
	return slices.Compact(rules), nil
}

// prefix is the rule's prefix, for messages.
func (r rule) prefix(is4 bool) netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.hi)
	binary.BigEndian.PutUint64(b[8:], r.lo)
	a := netip.AddrFrom16(b)
	if is4 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(a, int(r.bits))
}

// slot is the four bits of a rule after the first depth, depth a multiple of 4.
func (r rule) slot(depth int) int {
	if depth < 64 {
		return int(r.hi >> (60 - depth) & 15)
	}
	return int(r.lo >> (124 - depth) & 15)
}

// A builder makes nodes from the bottom up, so that equal ones meet at once and
// nothing is ever stored that is not kept.
type builder struct {
	t     *Trie
	known []known // open addressing by hash
}

// known is a node that there is; the zero one is an empty place.
type known struct {
	hash uint32
	next uint32 // the node's index + 1
}

func newBuilder(t *Trie) *builder { return &builder{t: t, known: make([]known, 1<<12)} }

// root makes a root table and all below it, of one family's sorted rules.
func (b *builder) root(rules []rule) []uint32 {
	depth := b.t.RootBits
	root := make([]uint32, 1<<depth)
	for i := range root {
		root[i] = Leaf
	}
	b.entries(root, rules, depth, func(r rule) int { return int(r.hi >> (64 - depth)) })
	return root
}

// below makes what decides the bits from depth on, inside a prefix whose own
// answer is leaf: a node's index, or a leaf when the rules change nothing.
func (b *builder) below(rules []rule, depth int, leaf uint32) uint32 {
	var n Node
	for i := range n {
		n[i] = leaf
	}
	b.entries(n[:], rules, depth+4, func(r rule) int { return r.slot(depth) })
	for _, e := range n {
		if e&Leaf == 0 || e != n[0] {
			return b.store(&n)
		}
	}
	return n[0]
}

// entries fills in a table of which slot says where a rule begins; the bits up to
// depth are decided by it.
func (b *builder) entries(table []uint32, rules []rule, depth int, slot func(rule) int) {
	for i := 0; i < len(rules); {
		at := slot(rules[i])
		if short := depth - int(rules[i].bits); short >= 0 {
			for j := range table[at : at+1<<short] {
				table[at+j] = rules[i].leaf
			}
			i++
			continue
		}
		end := i + 1
		for end < len(rules) && slot(rules[end]) == at {
			end++
		}
		table[at] = b.below(rules[i:end], depth, table[at])
		i = end
	}
}

// store finds the node among those there are, or adds it.
func (b *builder) store(n *Node) uint32 {
	if 2*len(b.t.Nodes) >= len(b.known) {
		b.grow()
	}
	h, mask := hash(n), len(b.known)-1
	i := int(h) & mask
	for ; b.known[i].next != 0; i = (i + 1) & mask {
		if k := b.known[i]; k.hash == h && b.t.Nodes[k.next-1] == *n {
			return k.next - 1
		}
	}
	if len(b.t.Nodes) == cap(b.t.Nodes) {
		b.t.Nodes = slices.Grow(b.t.Nodes, max(256, len(b.t.Nodes)))
	}
	b.t.Nodes = append(b.t.Nodes, *n)
	b.known[i] = known{h, uint32(len(b.t.Nodes))}
	return uint32(len(b.t.Nodes)) - 1
}

func (b *builder) grow() {
	old := b.known
	b.known = make([]known, 4*len(old))
	mask := len(b.known) - 1
	for _, k := range old {
		if k.next == 0 {
			continue
		}
		i := int(k.hash) & mask
		for b.known[i].next != 0 {
			i = (i + 1) & mask
		}
		b.known[i] = k
	}
}

// hash mixes all of a node. Whoever writes a database could make many nodes meet,
// and would have a table that takes long to build, of their own making.
func hash(n *Node) uint32 {
	h := uint64(0x9e3779b97f4a7c15)
	for i := 0; i < len(n); i += 2 {
		h ^= uint64(n[i])<<32 | uint64(n[i+1])
		h *= 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return uint32(h)
}
