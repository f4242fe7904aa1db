package geo

import (
	"fmt"
	"strings"
	"sync"
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
func ParseCountry(code string) (Country, error) {
	if len(code) == 2 {
		if c := register().byCode[index(code[0], code[1])]; c != 0 || strings.EqualFold(code, "ZZ") {
			return c, nil
		}
	}
	switch strings.ToUpper(code) {
	case "UK":
		return Unknown, fmt.Errorf("geo: %q is no country code; the United Kingdom is GB", code)
	case "EL":
		return Unknown, fmt.Errorf("geo: %q is no country code; Greece is GR", code)
	}
	return Unknown, fmt.Errorf("geo: %q is no country code; they are two letters by ISO 3166-1, such as ES", code)
}

// String is the two-letter code.
func (c Country) String() string {
	if code := register().codes[c]; code != "" {
		return code
	}
	return fmt.Sprintf("country %d", uint8(c)) // no database and no ParseCountry gives one
}

// Name is what English speakers call the country.
func (c Country) Name() string {
	if name := register().names[c]; name != "" {
		return name
	}
	return c.String()
}

// MarshalText and UnmarshalText make a Country a code in JSON and YAML, also as a
// map key.
func (c Country) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a code like ParseCountry.
func (c *Country) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCountry(string(text))
	return err
}

// All lists every country in use, Unknown not among them, by code.
func All() []Country {
	var all []Country
	for _, c := range register().byCode {
		if c != Unknown {
			all = append(all, c)
		}
	}
	return all
}

// A registry is the list, ready to be asked.
type registry struct {
	codes, names [Countries]string
	byCode       [26 * 26]Country // by index
}

// register reads the list once.
var register = sync.OnceValue(func() *registry {
	r := &registry{}
	r.codes[Unknown], r.names[Unknown] = "ZZ", "unknown"
	c := Unknown
	for line := range strings.Lines(strings.TrimSpace(list)) {
		c++
		r.codes[c], r.names[c], _ = strings.Cut(strings.TrimSpace(line), " ")
		r.byCode[index(r.codes[c][0], r.codes[c][1])] = c
	}
	return r
})

// index is a code's place in byCode, that of ZZ for what is no two letters.
func index(a, b byte) int {
	a, b = a|0x20, b|0x20
	if a < 'a' || a > 'z' || b < 'a' || b > 'z' {
		a, b = 'z', 'z'
	}
	return int(a-'a')*26 + int(b-'a')
}
