package trie

import (
	"cmp"
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
	rules, err := normalize(entries)
	if err != nil {
		return nil, err
	}
	d := &draft{rootBits: rootBits, root4: emptyRoot(rootBits), root6: emptyRoot(rootBits)}
	for i, r := range rules {
		if i > 0 && rules[i-1].samePrefix(r) {
			if rules[i-1].value != r.value {
				return nil, fmt.Errorf("trie: %v has two values, %d and %d", r.prefix(), rules[i-1].value, r.value)
			}
			continue
		}
		d.insert(r)
	}
	return d.finish(), nil
}

// A rule is an Entry as the trie is built from it.
type rule struct {
	hi, lo uint64 // bits after the prefix's length are 0
	value  uint32
	bits   uint8
	is4    bool
}

func (r rule) samePrefix(o rule) bool {
	return r.hi == o.hi && r.lo == o.lo && r.bits == o.bits && r.is4 == o.is4
}

// prefix is the rule's prefix, for messages.
func (r rule) prefix() netip.Prefix {
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(r.hi>>(56-8*i)), byte(r.lo>>(56-8*i))
	}
	a := netip.AddrFrom16(b)
	if r.is4 {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(a, int(r.bits))
}

// normalize checks the entries and sorts them by length, then address, so that a
// longer prefix always overwrites part of a shorter one, and the same prefix
// stands side by side.
func normalize(entries []Entry) ([]rule, error) {
	var starts [130]int // of each length's rules; counting sort
	rules := make([]rule, len(entries))
	for i, e := range entries {
		p := e.Prefix.Masked()
		if !p.IsValid() {
			return nil, fmt.Errorf("trie: entry %d: %v is no prefix", i, e.Prefix)
		}
		if e.Value == 0 || e.Value >= Leaf {
			return nil, fmt.Errorf("trie: %v: value %d is not within 1 and %d", e.Prefix, e.Value, uint32(Leaf-1))
		}
		bits := p.Bits()
		hi, lo, is4 := words(p.Addr())
		if is4 && p.Addr().Is4In6() {
			bits -= 96 // of ::ffff:0:0/96 or longer, as Masked would have cleared the ffff else
		}
		rules[i] = rule{hi: hi, lo: lo, value: e.Value, bits: uint8(bits), is4: is4}
		starts[bits+1]++
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	sorted, next := make([]rule, len(rules)), starts
	for _, r := range rules {
		sorted[next[r.bits]] = r
		next[r.bits]++
	}
	for i := range len(starts) - 1 {
		slices.SortFunc(sorted[starts[i]:starts[i+1]], byAddress)
	}
	return sorted, nil
}

func byAddress(a, b rule) int {
	switch {
	case a.is4 != b.is4 && a.is4:
		return -1
	case a.is4 != b.is4:
		return 1
	case a.hi != b.hi:
		return cmp.Compare(a.hi, b.hi)
	default:
		return cmp.Compare(a.lo, b.lo)
	}
}

// A draft is a trie that grows; each of its nodes has one parent.
type draft struct {
	rootBits     int
	root4, root6 []uint32
	nodes        []Node
}

func emptyRoot(bits int) []uint32 {
	root := make([]uint32, 1<<bits)
	fill(root, Leaf)
	return root
}

func fill(entries []uint32, e uint32) {
	for i := range entries {
		entries[i] = e
	}
}

// insert puts a rule over the shorter ones. Those as long or longer have not been
// inserted within it, so what it overwrites is leaves.
func (d *draft) insert(r rule) {
	root, hi, lo, left := d.root6, r.hi, r.lo, int(r.bits)
	if r.is4 {
		root = d.root4
	}
	at, leaf := int(hi>>(64-d.rootBits)), Leaf|r.value
	if left <= d.rootBits {
		fill(root[at:at+1<<(d.rootBits-left)], leaf)
		return
	}
	n := d.below(&root[at])
	hi, lo = shift(hi, lo, d.rootBits)
	for left -= d.rootBits; left > 4; left -= 4 {
		e := d.nodes[n][hi>>60]
		if e&Leaf != 0 { // below may move the nodes, so it gets no pointer into them
			e = d.add(e)
			d.nodes[n][hi>>60] = e
		}
		n = e
		hi, lo = shift(hi, lo, 4)
	}
	at = int(hi >> 60)
	fill(d.nodes[n][at:at+1<<(4-left)], leaf)
}

// below is the node under an entry of a root, made when the entry is a leaf.
func (d *draft) below(e *uint32) uint32 {
	if *e&Leaf != 0 {
		*e = d.add(*e)
	}
	return *e
}

// add makes a node that says what the leaf said.
func (d *draft) add(leaf uint32) uint32 {
	var n Node
	fill(n[:], leaf)
	d.nodes = append(d.nodes, n)
	return uint32(len(d.nodes) - 1)
}

// finish stores equal subtrees once: bottom up, two nodes are equal when their
// entries are. A node that says the same everywhere becomes a leaf.
func (d *draft) finish() *Trie {
	t := &Trie{RootBits: d.rootBits, Root4: d.root4, Root6: d.root6}
	known := make(map[Node]uint32, len(d.nodes)/2)
	var store func(e uint32) uint32
	store = func(e uint32) uint32 {
		if e&Leaf != 0 {
			return e
		}
		n := d.nodes[e]
		same := true
		for i := range n {
			n[i] = store(n[i])
			same = same && n[i] == n[0]
		}
		if same && n[0]&Leaf != 0 {
			return n[0]
		}
		at, ok := known[n]
		if !ok {
			at = uint32(len(t.Nodes))
			t.Nodes = append(t.Nodes, n)
			known[n] = at
		}
		return at
	}
	for _, root := range [][]uint32{t.Root4, t.Root6} {
		for i, e := range root {
			root[i] = store(e)
		}
	}
	t.Nodes = slices.Clip(t.Nodes)
	return t
}
