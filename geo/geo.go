// Package geo says which country an address is in: it reads any MMDB country
// database, compiles it into a table that user space and the shield's kernel
// program share, compares tables, and installs new ones. It does not decide what
// a country may do; that is shield/policy's.
package geo

import (
	"context"
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo/trie"
)

// A Country is a place in one fixed list of ISO 3166-1 alpha-2 codes (and XK, EU,
// AP, which databases use). Places are never renumbered: kernel counters,
// compiled policies and tables of different ages meet in them.
type Country uint8

// Unknown is the country of addresses no database places. It prints as "ZZ".
const Unknown Country = 0

// Countries is the number of places a Country can take; not all are used.
const Countries = 256

// ParseCountry reads a code in whatever case, ZZ included.
func ParseCountry(code string) (Country, error) { panic("not written") }

// String is the two-letter code.
func (c Country) String() string { panic("not written") }

// MarshalText and UnmarshalText make a Country a code in JSON and YAML, also as a
// map key.
func (c Country) MarshalText() ([]byte, error)     { return []byte(c.String()), nil }
func (c *Country) UnmarshalText(text []byte) error { panic("not written") }

// All lists every country in use, Unknown not among them, by code.
func All() []Country { panic("not written") }

// A Table is a compiled country database. It is constant; a nil *Table is the
// table of no database, where every address is Unknown.
type Table struct {
	trie *trie.Trie // 16 root bits, values are Country
	info Info
}

// Info describes a Table.
type Info struct {
	Path     string    `json:"path"`
	Type     string    `json:"type"`    // database_type of the file, such as GeoLite2-Country
	Built    time.Time `json:"built"`   // when the database was made
	Version  string    `json:"version"` // Built's date and the first 8 hex digits of the file's SHA-256
	SHA256   string    `json:"sha256"`
	V4, V6   int       // prefixes
	Lost     int       `json:"lost"`          // prefixes that could not be represented
	Codes    []string  `json:"unknown_codes"` // codes in the file that are no Country; their prefixes count as Unknown
	Seen     int       `json:"countries"`     // countries that have a prefix
	Nodes    int       `json:"nodes"`
	Bytes    int       `json:"bytes"` // of the compiled table
	Read     time.Duration
	Compiled time.Duration
}

// Open reads and compiles the MMDB at path.
func Open(path string) (*Table, error) { panic("not written") }

// Compile makes a Table of prefixes and countries, without a file; for tests and tools.
func Compile(entries map[netip.Prefix]Country) (*Table, error) { panic("not written") }

// Country is the country of a; IPv4-mapped addresses count as IPv4.
func (t *Table) Country(a netip.Addr) Country { panic("not written") }

// Trie is the compiled form, for the kernel; nil for a nil Table.
func (t *Table) Trie() *trie.Trie { panic("not written") }

// Info describes the table; the zero Info for a nil Table.
func (t *Table) Info() Info { panic("not written") }

// A Move is how much of the address space two tables place differently.
type Move struct {
	V4, V6  float64            // shares, 0 to 1, of the addresses that either table places (IPv6 in /64s)
	Country map[Country]Change // per country, both families
}

// A Change counts addresses a country gained and lost (IPv4 addresses plus IPv6 /64s are not added up).
type Change struct{ Gained4, Lost4, Gained6, Lost6 float64 }

// Moved compares two tables exactly, not by sampling.
func Moved(from, to *Table) Move { panic("not written") }

// Watch calls changed with the table at path, now when there is one and again
// whenever the file is replaced, until ctx ends; a file that cannot be read is
// given to failed and the table before it stays. It looks every interval.
func Watch(ctx context.Context, path string, interval time.Duration, changed func(*Table), failed func(error)) {
	panic("not written")
}
