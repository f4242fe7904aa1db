// Package geo says which country an address is in: it reads any MMDB country
// database, compiles it into a table that user space and the shield's kernel
// program share, compares tables, and installs new ones. It does not decide what
// a country may do; that is shield/policy's.
package geo

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lindero/lindero/geo/trie"
)

// roots are those of the kernel's table. Databases divide IPv4 into /24s and seldom
// further, which one record below a root of 18 bits says, in 1 MiB. Of IPv6 little is
// used, and one below /26 says every /32.
var roots = trie.Roots{V4: 18, V6: 14}

// MaxBytes is the kernel's room for a table, IPv4 and IPv6 together: the roots and
// 8 MiB below them. A database of June 2026, IPtoASN, takes 1.3 MiB of these (400,000
// prefixes); there is room for several times the prefixes of the largest.
const MaxBytes = 4*(1<<18+1<<14) + 8<<20

// A Table is a compiled country database. It is constant; a nil *Table is the
// table of no database, where every address is Unknown.
type Table struct {
	trie *trie.Trie[uint8] // values are Country
	info Info
	size func() *[Countries]Size // counted when somebody asks
}

// Info describes a Table.
type Info struct {
	Path        string    `json:"path"`
	Type        string    `json:"type"`        // database_type of the file, such as GeoLite2-Country
	Description string    `json:"description"` // the maker's own words, in English when there are any; some name the licence
	Built       time.Time `json:"built"`       // when the database was made
	Version     string    `json:"version"`     // Built's date and the first 8 hex digits of the file's SHA-256
	SHA256      string    `json:"sha256"`
	V4          int       `json:"v4"`            // prefixes with a country, equal neighbours joined
	V6          int       `json:"v6"`            // the same, longer than /64 too
	Lost        int       `json:"lost"`          // prefixes that could not be represented
	Codes       []string  `json:"unknown_codes"` // codes in the file that are no Country; their prefixes count as Unknown
	Seen        int       `json:"countries"`     // countries that have a prefix
	Bytes       int       `json:"bytes"`         // of the compiled table

	Read     time.Duration `json:"read_ns"`
	Compiled time.Duration `json:"compiled_ns"`
}

// A Size is how much of the Internet a country has.
type Size struct {
	Prefixes  int     `json:"prefixes"`
	Addresses float64 `json:"addresses"` // IPv4
	Networks  float64 `json:"networks"`  // IPv6, in /64s
}

// Compile makes a Table of prefixes and countries, without a file; for tests and tools.
func Compile(entries map[netip.Prefix]Country) (*Table, error) {
	list := make([]trie.Entry[uint8], 0, len(entries))
	for _, p := range slices.SortedFunc(maps.Keys(entries), netip.Prefix.Compare) {
		c := entries[p]
		if c != Unknown {
			list = append(list, trie.Entry[uint8]{Prefix: p, Value: uint8(c)})
			continue
		}
		return nil, fmt.Errorf("geo: %v: a prefix needs a country; leave it out to make it unknown", p)
	}
	return compile(list, Info{})
}

// compile makes the table of entries; info is what is known of their origin.
func compile(entries []trie.Entry[uint8], info Info) (*Table, error) {
	began := time.Now()
	t := &Table{info: info}
	var err error
	if t.trie, err = trie.Build(roots, entries); err != nil {
		return nil, fmt.Errorf("geo: compiling: %w", err)
	}
	t.measure(entries)
	t.info.Bytes = t.trie.Bytes()
	t.info.Compiled = time.Since(began)
	return t, nil
}

// measure counts what the entries give to whom.
func (t *Table) measure(entries []trie.Entry[uint8]) {
	var prefixes [Countries]int
	for _, e := range entries {
		if prefixes[e.Value] == 0 {
			t.info.Seen++
		}
		prefixes[e.Value]++
		if a := e.Prefix.Addr(); a.Is4() {
			t.info.V4++
		} else {
			t.info.V6++
		}
	}
	t.size = sync.OnceValue(func() *[Countries]Size {
		sizes := t.sizes()
		for c, n := range prefixes {
			sizes[c].Prefixes = n
		}
		return &sizes
	})
}

// Country is the country of a; IPv4-mapped addresses count as IPv4. Other IPv6 that
// stands for IPv4 (6to4, Teredo) is Unknown, though databases alias it: what served
// it was shut down long ago.
func (t *Table) Country(a netip.Addr) Country {
	if t == nil {
		return Unknown
	}
	return Country(t.trie.Lookup(a))
}

// Trie is the compiled form, for the kernel; nil for a nil Table.
func (t *Table) Trie() *trie.Trie[uint8] {
	if t == nil {
		return nil
	}
	return t.trie
}

// Info describes the table; the zero Info for a nil Table.
func (t *Table) Info() Info {
	if t == nil {
		return Info{}
	}
	return t.info
}

// Size is how much of the Internet a country has.
func (t *Table) Size(c Country) Size {
	if t == nil {
		return Size{}
	}
	return t.size()[c]
}
