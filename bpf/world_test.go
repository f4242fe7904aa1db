package bpf

import "math/rand/v2"

// A world is a made-up country table with the shape of a real one: as many
// prefixes, as long, of as many countries. It is built as geo/trie builds it, but
// for equal subtrees, which a made-up world has none of.
type world struct {
	root4, root6 []uint32
	nodes        [][16]uint32
}

func newWorld() *world {
	w := &world{root4: make([]uint32, 1<<16), root6: make([]uint32, 1<<16)}
	for i := range w.root4 {
		w.root4[i], w.root6[i] = leaf, leaf
	}
	return w
}

// put says a prefix of at least 16 bits is in a country; those put later win.
func (w *world) put(root []uint32, top uint64, bits int, country uint8) {
	at := &root[top>>48]
	for done := 16; ; done += 4 {
		if bits <= done {
			*at = leaf | uint32(country)
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
				n[first+i] = leaf | uint32(country)
			}
			return
		}
		at = &n[first]
	}
}

// addresses is what the benchmark takes sources from, in network order.
type addresses [1 << 20][2]uint32

// populate makes the world of a database of some half a million prefixes, and
// returns addresses of either family inside random ones of them.
func populate() (_ *world, inside, inside6 *addresses) {
	r := rand.New(rand.NewPCG(1, 2))
	w, inside, inside6 := newWorld(), new(addresses), new(addresses)
	country := func() uint8 { return uint8(1 + r.IntN(250)) }
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
