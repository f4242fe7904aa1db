package geo

import (
	"github.com/lindero/lindero/geo/trie"
)

// A Move is how much of the address space two tables place differently.
type Move struct {
	V4      float64            `json:"v4"`      // share, 0 to 1, of the addresses that either table places
	V6      float64            `json:"v6"`      // the same of IPv6, in /64s
	Country map[Country]Change `json:"country"` // per country, and Unknown; those that neither gained nor lost are left out
}

// A Change counts addresses a country gained and lost (IPv4 addresses plus IPv6 /64s are not added up).
type Change struct {
	Gained4 float64 `json:"gained_v4"`
	Lost4   float64 `json:"lost_v4"`
	Gained6 float64 `json:"gained_v6"`
	Lost6   float64 `json:"lost_v6"`
}

// Moved compares two tables exactly, not by sampling.
func Moved(from, to *Table) Move {
	m := Move{Country: map[Country]Change{}}
	for _, is4 := range []bool{true, false} {
		var moved, placed float64
		var gained, lost [Countries]float64
		sweep(from.Trie(), to.Trie(), is4, func(was, is Country, size float64) {
			if was != Unknown || is != Unknown {
				placed += size
			}
			if was != is {
				moved += size
				gained[is] += size
				lost[was] += size
			}
		})
		if placed == 0 {
			continue
		}
		if is4 {
			m.V4 = moved / placed
		} else {
			m.V6 = moved / placed
		}
		for i := range gained {
			if c := Country(i); gained[c]+lost[c] > 0 {
				change := m.Country[c]
				if is4 {
					change.Gained4, change.Lost4 = gained[c], lost[c]
				} else {
					change.Gained6, change.Lost6 = gained[c], lost[c]
				}
				m.Country[c] = change
			}
		}
	}
	return m
}

// sizes is how many addresses the table gives each country; only Addresses and
// Networks are set.
func (t *Table) sizes() (sizes [Countries]Size) {
	for _, is4 := range []bool{true, false} {
		sweep(nil, t.trie, is4, func(_, is Country, size float64) {
			if is4 {
				sizes[is].Addresses += size
			} else {
				sizes[is].Networks += size
			}
		})
	}
	return sizes
}

// sweep calls f for every piece of one family's address space that neither trie
// divides, with its size: IPv4 addresses, or IPv6 in /64s, of which a longer
// prefix is a part.
func sweep(from, to *trie.Trie, is4 bool, f func(was, is Country, size float64)) {
	const all4, all6 = 1 << 32, 1 << 64
	size, a, b := float64(all6), root(from, is4), root(to, is4)
	if is4 {
		size = all4
	}
	s := sweeper{from: from, to: to, found: f}
	for i := range a {
		s.entry(a[i], b[i], size/float64(len(a)))
	}
}

// root is a trie's root for a family; a nil trie says nothing of any address.
func root(t *trie.Trie, is4 bool) []uint32 {
	switch {
	case t == nil:
		nothing := make([]uint32, 1<<rootBits)
		for i := range nothing {
			nothing[i] = trie.Leaf
		}
		return nothing
	case is4:
		return t.Root4
	default:
		return t.Root6
	}
}

// A sweeper goes through two tries side by side.
type sweeper struct {
	from, to *trie.Trie
	found    func(was, is Country, size float64)
}

func (s *sweeper) entry(a, b uint32, size float64) {
	switch {
	case a&b&trie.Leaf != 0:
		s.found(Country(a), Country(b), size)
	case a&trie.Leaf != 0:
		for _, b := range s.to.Nodes[b] {
			s.entry(a, b, size/16)
		}
	case b&trie.Leaf != 0:
		for _, a := range s.from.Nodes[a] {
			s.entry(a, b, size/16)
		}
	default:
		as, bs := &s.from.Nodes[a], &s.to.Nodes[b]
		for i := range as {
			s.entry(as[i], bs[i], size/16)
		}
	}
}
