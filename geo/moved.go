package geo

import (
	"math/bits"

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

// A beginning is where addresses of another country begin.
type beginning struct {
	first   trie.Point
	country Country
}

func beginnings(t *trie.Trie[uint8], is4 bool) (list []beginning) {
	for first, c := range t.Runs(is4) {
		list = append(list, beginning{first, Country(c)})
	}
	return list
}

// sweep calls f for every piece of one family's address space that neither trie
// divides, with its size: IPv4 addresses, or IPv6 in /64s, of which a longer
// prefix is a part.
func sweep(from, to *trie.Trie[uint8], is4 bool, f func(was, is Country, size float64)) {
	a, b := beginnings(from, is4), beginnings(to, is4)
	var begun trie.Point
	for len(a) > 1 || len(b) > 1 {
		var end trie.Point
		if len(b) == 1 || len(a) > 1 && a[1].first.Before(b[1].first) {
			end = a[1].first
		} else {
			end = b[1].first
		}
		f(a[0].country, b[0].country, size(begun, end, is4))
		begun = end
		if len(a) > 1 && a[1].first == end {
			a = a[1:]
		}
		if len(b) > 1 && b[1].first == end {
			b = b[1:]
		}
	}
	f(a[0].country, b[0].country, size(begun, trie.Point{}, is4))
}

// size is how much there is from first up to end, or to the end of all, which is
// the point after the last and so 0.
func size(first, end trie.Point, is4 bool) float64 {
	const half, all = 1 << 32, 1 << 64
	lo, borrow := bits.Sub64(end.Lo, first.Lo, 0)
	hi, _ := bits.Sub64(end.Hi, first.Hi, borrow)
	n := float64(hi) + float64(lo)/all
	if first == end {
		n = all
	}
	if is4 {
		return n / half
	}
	return n
}
