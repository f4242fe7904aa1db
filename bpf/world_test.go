package bpf

import (
	"math/rand/v2"
	"net/netip"
)

// A world is a made-up country table with the shape of a real one: as many
// prefixes, as long, of as many countries. It is built as geo/trie builds it, but
// for equal subtrees, which a made-up world has none of.
type world struct {
	bits         int // of the root tables
	root4, root6 []uint32
	nodes        [][16]uint32
}

func newWorld() *world {
	w := &world{bits: 16, root4: make([]uint32, 1<<16), root6: make([]uint32, 1<<16)}
	fill(w.root4, nil)
	fill(w.root6, nil)
	return w
}

// newLists is an empty list trie.
func newLists() *world {
	w := &world{bits: 8, root4: make([]uint32, 1<<8), root6: make([]uint32, 1<<8)}
	fill(w.root4, nil)
	fill(w.root6, nil)
	return w
}

// add says an IPv4 prefix, or an IPv6 one of up to 64 bits, has a value.
func (w *world) add(prefix string, value uint32) {
	p := netip.MustParsePrefix(prefix)
	var top uint64
	for i, b := range p.Addr().AsSlice() {
		if i < 8 {
			top |= uint64(b) << (56 - 8*i)
		}
	}
	root := w.root6
	if p.Addr().Is4() {
		root = w.root4
	}
	w.put(root, top, p.Bits(), value)
}

// put is add for the upper bits of an address; prefixes that are put later win.
func (w *world) put(root []uint32, top uint64, bits int, value uint32) {
	at := &root[top>>(64-w.bits)]
	for done := w.bits; ; done += 4 {
		if bits <= done {
			*at = leaf | value
			return
		}
		if *at&leaf != 0 {
			var n [16]uint32
			for i := range n {
				n[i] = *at
			}
			*at = uint32(len(w.nodes)) // before the nodes move
			w.nodes = append(w.nodes, n)
		}
		n := &w.nodes[*at]
		first := int(top << done >> 60)
		if left := bits - done; left < 4 {
			for i := range 1 << (4 - left) {
				n[first+i] = leaf | value
			}
			return
		}
		at = &n[first]
	}
}

// addresses is what the benchmark takes sources from, in network order.
type addresses [1 << 15][2]uint32

// populate makes the world of a database of some half a million prefixes, and
// returns addresses of either family inside random ones of them.
func populate() (_ *world, inside, inside6 *addresses) {
	r := rand.New(rand.NewPCG(1, 2))
	w, inside, inside6 := newWorld(), new(addresses), new(addresses)
	country := func() uint32 { return uint32(1 + r.IntN(250)) }
	var four, six []uint64
	cut := func(root []uint32, block uint64, bits, length int) uint64 {
		top := block | r.Uint64()>>bits
		top &^= 1<<(64-length) - 1
		w.put(root, top, length, country())
		return top
	}
	var twenties []uint64
	for range 12_000 { // registries' blocks, and what holders made of them
		block := uint64(16+r.IntN(190))<<56 | uint64(r.IntN(256))<<48
		for range 4 {
			twenty := block | uint64(r.IntN(16))<<44
			twenties = append(twenties, twenty)
			for range 6 {
				four = append(four, cut(w.root4, twenty, 20, 22+r.IntN(3)))
			}
		}
	}
	for i := range 16_000 { // and crowded /24s
		crowded := twenties[r.IntN(len(twenties))] | uint64(r.IntN(16))<<40
		for range 13 {
			four = append(four, cut(w.root4, crowded, 24, 28+i%8/7))
		}
	}
	for i := range 40_000 {
		block := uint64(0x2400+r.IntN(4)*0x200+r.IntN(8))<<48 | uint64(r.IntN(1<<10))<<38
		six = append(six, cut(w.root6, block, 26, 32))
		for range 4 * (i % 16 / 15) {
			six = append(six, cut(w.root6, block, 32, 48))
		}
	}
	for i := range inside {
		inside[i][0] = swap(uint32(four[r.IntN(len(four))]>>32) | uint32(r.IntN(8)))
		top := six[r.IntN(len(six))]
		inside6[i] = [2]uint32{swap(uint32(top >> 32)), swap(uint32(top) | uint32(r.IntN(1<<16)))}
	}
	return w, inside, inside6
}

func swap(v uint32) uint32 { return v<<24 | v>>8&0xff<<16 | v>>16&0xff<<8 | v>>24 }
