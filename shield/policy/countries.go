package policy

import (
	"fmt"
	"slices"

	"github.com/lindero/lindero/geo"
)

// restricts tells whether c keeps anybody out.
func (c Countries) restricts() bool {
	return c.Default == Deny || c.Unknown == Deny || len(c.Deny) > 0
}

// lets tells whether c lets a country in.
func (c Countries) lets(country geo.Country) bool {
	switch {
	case country == geo.Unknown:
		return c.Unknown != Deny
	case slices.Contains(c.Deny, country):
		return false
	case c.Default == Deny:
		return slices.Contains(c.Allow, country)
	}
	return true
}

// denied is the bitmap of the places c keeps out. Numbers that are no country
// follow Default, so that a table newer than this program meets the same rule.
func (c Countries) denied() (bits [4]uint64) {
	for i := range geo.Countries {
		if !c.lets(geo.Country(i)) {
			bits[i/64] |= 1 << (i % 64)
		}
	}
	return bits
}

// phrase names what in c, which stands at path, decides about a country.
func (c Countries) phrase(path string, country geo.Country) string {
	switch {
	case country == geo.Unknown:
		return fmt.Sprintf("%s: unknown is %s, and the country is unknown", path, orAllow(c.Unknown))
	case slices.Contains(c.Deny, country):
		return fmt.Sprintf("%s: deny names %v", path, country)
	case slices.Contains(c.Allow, country):
		return fmt.Sprintf("%s: allow names %v", path, country)
	}
	return fmt.Sprintf("%s: default is %s, and no list names %v", path, orAllow(c.Default), country)
}

// change says what to write in c, which stands at path, to let a country in that it keeps out.
func (c Countries) change(path string, country geo.Country) string {
	switch {
	case country == geo.Unknown:
		return fmt.Sprintf("set unknown to allow in %s", path)
	case !slices.Contains(c.Deny, country):
		return fmt.Sprintf("add %v to allow in %s", country, path)
	case c.Default == Deny:
		return fmt.Sprintf("move %v from deny to allow in %s", country, path)
	}
	return fmt.Sprintf("take %v out of deny in %s", country, path)
}

func orAllow(a Action) Action {
	if a == Deny {
		return Deny
	}
	return Allow
}

// validate adds c's faults. Where others are let in by something else than
// countries, letting in no country is no fault.
func (c Countries) validate(f *Faults, path string, others bool) {
	c.Default.validate(f, path+".default")
	c.Unknown.validate(f, path+".unknown")
	for name, list := range map[string][]geo.Country{"allow": c.Allow, "deny": c.Deny} {
		seen := map[geo.Country]bool{}
		for i, country := range list {
			at := fmt.Sprintf("%s.%s[%d]", path, name, i)
			f.check(country != geo.Unknown, at, "%v is no country; unknown says what happens to addresses that none has", country)
			f.check(!seen[country], at, "%v is named twice", country)
			f.check(name == "deny" || !slices.Contains(c.Deny, country), at, "%v is in deny too", country)
			seen[country] = true
		}
	}
	all, in := geo.All(), 0
	for _, country := range all {
		if c.lets(country) {
			in++
		}
	}
	f.check(in > 0 || c.Nobody || others, path, "would keep out every one of the %d countries: %s; write \"nobody\": true here if that is meant", len(all), c.why())
	f.check(in == 0 || !c.Nobody, path+".nobody", "is true, yet %d countries may come in", in)
}

func (c Countries) why() string {
	if c.Default == Deny {
		return "default is deny and allow names none that deny does not"
	}
	return "deny names them all"
}

func (a Action) validate(f *Faults, path string) {
	f.check(a == "" || a == Allow || a == Deny, path, "%q; allow or deny", string(a))
}

// warnings are the parts of c that change nothing.
func (c Countries) warnings(path string) []string {
	var w []string
	if c.Default != Deny && len(c.Allow) > 0 {
		w = append(w, fmt.Sprintf("%s.allow: has no effect while default is allow: countries it does not name may come in too", path))
	}
	if c.Default == Deny && len(c.Deny) > 0 {
		w = append(w, fmt.Sprintf("%s.deny: has no effect while default is deny", path))
	}
	return w
}
