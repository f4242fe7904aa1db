package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/lindero/lindero/geo"
)

// A Change is one difference between two documents, for people.
type Change struct {
	Path   string `json:"path"`   // such as countries.allow[ES], deny[203.0.113.0/24], budgets.unknown.rate
	Before string `json:"before"` // "": absent
	After  string `json:"after"`
}

// String is "path: before → after".
func (c Change) String() string {
	name := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	return fmt.Sprintf("%s: %s → %s", c.Path, name(c.Before), name(c.After))
}

// Diff says what b changes in a, defaults written out: documents that mean the
// same have no difference. What both leave alone is not named.
func Diff(a, b Document) []Change {
	a, b = a.Canonical(), b.Canonical()
	d := differ{}
	d.countries("countries", &a.Countries, &b.Countries)
	names := map[string]bool{}
	for name := range a.Services {
		names[name] = true
	}
	for name := range b.Services {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d.countries("services."+name, lookup(a.Services, name), lookup(b.Services, name))
	}
	d.prefixes("allow", a.Allow, b.Allow)
	d.prefixes("deny", a.Deny, b.Deny)
	d.prefixes("carriers", a.Carriers, b.Carriers)
	d.budgets(a.Budgets, b.Budgets)
	d.bans(a.Bans, b.Bans)
	return d.changes
}

func lookup(m map[string]Countries, name string) *Countries {
	if c, ok := m[name]; ok {
		return &c
	}
	return nil
}

type differ struct{ changes []Change }

func (d *differ) add(path, before, after string) {
	if before != after {
		d.changes = append(d.changes, Change{path, before, after})
	}
}

// countries compares two Countries, either of which may be absent.
func (d *differ) countries(path string, a, b *Countries) {
	var x, y Countries
	if a != nil {
		x = *a
	}
	if b != nil {
		y = *b
	}
	d.add(path+".default", string(x.Default), string(y.Default))
	d.add(path+".unknown", string(x.Unknown), string(y.Unknown))
	d.set(path+".allow", x.Allow, y.Allow)
	d.set(path+".deny", x.Deny, y.Deny)
	d.add(path+".nobody", flag(x.Nobody), flag(y.Nobody))
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func (d *differ) set(path string, a, b []geo.Country) {
	both := append(slices.Clone(a), b...)
	slices.Sort(both)
	for _, c := range slices.Compact(both) {
		listed := func(l []geo.Country) string {
			if slices.Contains(l, c) {
				return "listed"
			}
			return ""
		}
		d.add(fmt.Sprintf("%s[%v]", path, c), listed(a), listed(b))
	}
}

func (d *differ) prefixes(path string, a, b []Prefix) {
	before, after := describe(a), describe(b)
	all := slices.Collect(maps.Keys(before))
	for p := range after {
		if _, ok := before[p]; !ok {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, comparePrefixes)
	for _, p := range all {
		d.add(fmt.Sprintf("%s[%v]", path, p), before[p], after[p])
	}
}

// describe says of each prefix what its entry says.
func describe(list []Prefix) map[netip.Prefix]string {
	m := make(map[netip.Prefix]string, len(list))
	for _, p := range list {
		s := "listed"
		if p.Note != "" {
			s = fmt.Sprintf("%q", p.Note)
		}
		if p.Expires != nil {
			s += " until " + p.Expires.UTC().Format(time.RFC3339)
		}
		m[Plain(p.Prefix)] = s
	}
	return m
}

func (d *differ) budgets(a, b Budgets) {
	for _, row := range []struct {
		name string
		a, b Budget
	}{
		{"unknown", a.Unknown, b.Unknown}, {"known", a.Known, b.Known}, {"registered", a.Registered, b.Registered},
		{"carrier", a.Carrier, b.Carrier}, {"neighbourhood", a.Neighbourhood, b.Neighbourhood}, {"strangers", a.Strangers, b.Strangers},
	} {
		d.add("budgets."+row.name, row.a.String(), row.b.String())
	}
	d.add("budgets.half_open", fmt.Sprint(a.HalfOpen), fmt.Sprint(b.HalfOpen))
}

// String is "5/s, burst 20" or "unlimited".
func (b Budget) String() string {
	if b.Unlimited {
		return "unlimited"
	}
	return fmt.Sprintf("%d/s, burst %d", b.Rate, b.Burst)
}

func (d *differ) bans(a, b Bans) {
	d.add("bans.failures", fmt.Sprint(a.Failures), fmt.Sprint(b.Failures))
	d.add("bans.malformed", fmt.Sprint(a.Malformed), fmt.Sprint(b.Malformed))
	d.add("bans.window", a.Window.String(), b.Window.String())
	d.add("bans.duration", a.Duration.String(), b.Duration.String())
	d.add("bans.scanners", fmt.Sprint(*a.Scanners), fmt.Sprint(*b.Scanners))
	d.add("bans.account", fmt.Sprint(a.Account), fmt.Sprint(b.Account))
}
