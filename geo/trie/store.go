package trie

import "slices"

// known is a record that there is; the zero one is an empty place.
type known struct {
	hash, at, n uint32
}

// line is how many words a cache line has.
const line = 8

// store finds the words among those there are, or appends them, and returns where
// they begin.
func (b *builder[V]) store(words []uint64) uint32 {
	if 2*b.n >= len(b.known) {
		b.grow()
	}
	k := known{hash: hash(words), n: uint32(len(words))}
	mask := len(b.known) - 1
	i := int(k.hash) & mask
	for ; b.known[i].n != 0; i = (i + 1) & mask {
		if was := b.known[i]; was.hash == k.hash && was.n == k.n && slices.Equal(b.words[was.at:was.at+was.n], words) {
			return was.at
		}
	}
	if need := len(b.words) + len(words) + line; need > cap(b.words) {
		b.words = slices.Grow(b.words, max(1<<12, len(b.words)))
	}
	k.at = uint32(len(b.words))
	b.words = append(b.words, words...)
	b.known[i] = k
	b.n++
	return k.at
}

func (b *builder[V]) grow() {
	old := b.known
	b.known = make([]known, 4*len(old))
	mask := len(b.known) - 1
	for _, k := range old {
		if k.n == 0 {
			continue
		}
		i := int(k.hash) & mask
		for b.known[i].n != 0 {
			i = (i + 1) & mask
		}
		b.known[i] = k
	}
}

// hash mixes all words. Whoever writes a database could make many records meet, and
// would have a table that takes long to build, of their own making.
func hash(words []uint64) uint32 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, w := range words {
		h = (h ^ w) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return uint32(h)
}
