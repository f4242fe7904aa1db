package bpf

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A world is a made-up table, of countries with the shape of a real one: as many
// prefixes, as long, of as many countries; or of lists. It is laid out as geo/trie
// does it, but for equal records, of which a made-up world has few.
type world struct {
	root4, root6 []part
}

// A part of the address space has one value, or is divided into 64.
type part struct {
	value uint8
	below *[64]part
}

func newWorld() *world { return &world{make([]part, 1<<18), make([]part, 1<<14)} }

// newLists is an empty list trie.
func newLists() *world { return &world{make([]part, 1<<12), make([]part, 1<<12)} }

// add says an IPv4 prefix, or an IPv6 one of up to 64 bits, has a value.
func (w *world) add(prefix string, value uint8) {
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
	put(root, top, p.Bits(), value)
}

// put is add for the upper bits of an address; prefixes that are put later win.
func put(root []part, top uint64, length int, value uint8) {
	done := bits.Len(uint(len(root))) - 1
	at := &root[top>>(64-done)]
	for ; length > done; done += 6 {
		if at.below == nil {
			at.below = new([64]part)
			for i := range at.below {
				at.below[i].value = at.value
			}
		}
		first := int(top << done >> 58)
		if left := length - done; left < 6 {
			for i := range 1 << (6 - left) {
				at.below[first+i] = part{value: value}
			}
			return
		}
		at = &at.below[first]
	}
	*at = part{value: value}
}

func (w *world) trie() (t Trie) {
	for i := range w.root4 {
		t.Root4 = append(t.Root4, t.lay(&w.root4[i]))
	}
	for i := range w.root6 {
		t.Root6 = append(t.Root6, t.lay(&w.root6[i]))
	}
	return t
}

// lay appends a part's record, after those below it, and returns its entry.
func (t *Trie) lay(p *part) uint32 {
	if p.below == nil {
		return leaf | uint32(p.value)
	}
	var ends, inner uint64
	var rest, values []byte
	for i := range p.below {
		if b := &p.below[i]; b.below != nil {
			inner |= 1 << i
			rest = binary.LittleEndian.AppendUint32(rest, t.lay(b))
		} else if last := len(values) - 1; last < 0 || values[last] != b.value {
			if last >= 0 {
				ends |= 1 << (i - 1)
			}
			values = append(values, b.value)
		}
	}
	for len(values)%8 != 0 {
		values = append(values, 0)
	}
	slices.Reverse(values)
	t.append(values)
	reference := uint32(2 * len(t.Words))
	t.Words = append(t.Words, ends)
	if inner != 0 {
		reference++
		t.Words = append(t.Words, inner)
		t.append(append(rest, 0, 0, 0, 0))
	}
	return reference
}

// append appends whole words of bytes.
func (t *Trie) append(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		t.Words = append(t.Words, binary.LittleEndian.Uint64(b))
	}
}

// addresses is what the benchmark takes sources from, in network order.
type addresses [1 << 15][2]uint32

// populate makes the world of a database of some half a million prefixes, and
// returns addresses of either family inside random ones of them.
func populate() (_ *world, inside, inside6 *addresses) {
	r := rand.New(rand.NewPCG(1, 2))
	w, inside, inside6 := newWorld(), new(addresses), new(addresses)
	country := func() uint8 { return uint8(1 + r.IntN(250)) }
	var four, six []uint64
	cut := func(root []part, block uint64, bits, length int) uint64 {
		top := block | r.Uint64()>>bits
		top &^= 1<<(64-length) - 1
		put(root, top, length, country())
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
