package trie

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"unsafe"
)

// mostRoot is what a root may decide at most.
const mostRoot = 20

// Build makes the trie of entries. Equal records are stored once. IPv4-mapped
// prefixes count as IPv4, bits after a prefix's length do not count. It fails on an
// invalid prefix or value and on a prefix that is given two values, and never drops
// an entry.
func Build[V Value](roots Roots, entries []Entry[V]) (*Trie[V], error) {
	for _, n := range []int{roots.V4, roots.V6} {
		if n < 1 || n > mostRoot {
			return nil, fmt.Errorf("trie: a root of %d bits; it may have 1 to %d", n, mostRoot)
		}
	}
	rules4, rules6, err := normalize(entries)
	if err != nil {
		return nil, err
	}
	b := builder[V]{known: make([]known, 1<<12)}
	t := &Trie[V]{Roots: roots, Root4: b.root(rules4, roots.V4), Root6: b.root(rules6, roots.V6)}
	t.Words = slices.Clip(b.words)
	return t, nil
}

// A rule is an Entry as the trie is built from it.
type rule[V Value] struct {
	hi, lo uint64 // bits after the prefix's length are 0
	value  V
	bits   uint8
}

// normalize checks the entries and sorts each family's by address, then length: a
// shorter prefix stands before all that it holds.
func normalize[V Value](entries []Entry[V]) (rules4, rules6 []rule[V], err error) {
	for i, e := range entries {
		p := e.Prefix.Masked()
		if !p.IsValid() {
			return nil, nil, fmt.Errorf("trie: entry %d: %v is no prefix", i, e.Prefix)
		}
		if e.Value == 0 || uint32(e.Value) >= Leaf {
			return nil, nil, fmt.Errorf("trie: %v: value %d is not within 1 and %d", e.Prefix, e.Value, uint32(Leaf-1))
		}
		hi, lo, is4 := words(p.Addr())
		r := rule[V]{hi: hi, lo: lo, value: e.Value, bits: uint8(p.Bits())}
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
func sortRules[V Value](rules []rule[V], is4 bool) ([]rule[V], error) {
	slices.SortFunc(rules, func(a, b rule[V]) int {
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
		if a.hi == b.hi && a.lo == b.lo && a.bits == b.bits && a.value != b.value {
			return nil, fmt.Errorf("trie: %v has two values, %d and %d", a.prefix(is4), min(a.value, b.value), max(a.value, b.value))
		}
	}
	return slices.Compact(rules), nil
}

// prefix is the rule's prefix, for messages.
func (r rule[V]) prefix(is4 bool) netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.hi)
	binary.BigEndian.PutUint64(b[8:], r.lo)
	a := netip.AddrFrom16(b)
	if is4 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(a, int(r.bits))
}

// bitsFrom is the n bits of a rule after the first depth; past its end they are 0.
func (r rule[V]) bitsFrom(depth, n int) int {
	if depth < 64 {
		return int((r.hi<<depth | r.lo>>(64-depth)) >> (64 - n))
	}
	return int(r.lo << (depth - 64) >> (64 - n))
}

// A builder makes records from the bottom up, so that equal ones meet at once and
// nothing is ever stored that is not kept.
type builder[V Value] struct {
	words []uint64
	known []known // open addressing by hash
	n     int
}

// root makes a root table and all below it, of one family's sorted rules.
func (b *builder[V]) root(rules []rule[V], depth int) []uint32 {
	root := make([]uint32, 1<<depth)
	for i := range root {
		root[i] = Leaf
	}
	b.entries(root, rules, 0, depth)
	return root
}

// below makes what decides the bits from depth on, inside a prefix whose own answer
// is leaf: a reference to a record, or a leaf when the rules change nothing.
func (b *builder[V]) below(rules []rule[V], depth int, leaf uint32) uint32 {
	var parts [1 << stride]uint32
	for i := range parts {
		parts[i] = leaf
	}
	b.entries(parts[:], rules, depth, stride)
	for _, e := range parts {
		if e&Leaf == 0 || e != parts[0] {
			return b.record(&parts)
		}
	}
	return parts[0]
}

// entries fills in a table over the n bits from depth on.
func (b *builder[V]) entries(table []uint32, rules []rule[V], depth, n int) {
	for i := 0; i < len(rules); {
		at := rules[i].bitsFrom(depth, n)
		if short := depth + n - int(rules[i].bits); short >= 0 {
			for j := range table[at : at+1<<short] {
				table[at+j] = Leaf | uint32(rules[i].value)
			}
			i++
			continue
		}
		end := i + 1
		for end < len(rules) && rules[end].bitsFrom(depth, n) == at {
			end++
		}
		table[at] = b.below(rules[i:end], depth+n, table[at])
		i = end
	}
}

// record stores a record of 64 entries and returns the reference to it.
func (b *builder[V]) record(parts *[1 << stride]uint32) uint32 {
	const middle = 4 << stride / 8 // room before it for as many values as there may be
	var (
		w            [2 * (middle + 1)]uint64
		ends, inner  uint64
		last         uint32 // entry with a value
		back, beyond int    // bits of values, and of references
	)
	for i, e := range parts {
		switch {
		case e&Leaf == 0:
			inner |= 1 << i
			w[middle+2+beyond/64] |= uint64(e) << (beyond % 64)
			beyond += 32
			continue
		case e == last:
			continue
		case last != 0:
			ends |= 1 << (i - 1)
		}
		back += 8 * int(unsafe.Sizeof(V(0)))
		w[middle-(back+63)/64] |= uint64(V(e)) << (-back & 63)
		last = e
	}
	first, end := middle-(back+63)/64, middle+1
	w[middle] = ends
	if inner != 0 {
		w[middle+1] = inner
		end = middle + 2 + (beyond+63)/64
	}
	reference := 2 * (b.store(w[first:end]) + uint32(middle-first))
	if inner != 0 {
		reference++
	}
	return reference
}
