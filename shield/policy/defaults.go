package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Default is the built-in policy, version 0: every country may come in, floods may not.
func Default() Document { return Document{}.Filled() }

// Filled is d with every default written out. It shares nothing with d that
// either could change.
func (d Document) Filled() Document {
	d.Countries = d.Countries.Filled()
	d.Services = maps.Clone(d.Services)
	for name, c := range d.Services {
		d.Services[name] = c.Filled()
	}
	d.Allow, d.Deny, d.Carriers = clonePrefixes(d.Allow), clonePrefixes(d.Deny), clonePrefixes(d.Carriers)
	d.Budgets = d.Budgets.Filled()
	d.Bans = d.Bans.Filled()
	return d
}

// Canonical is Filled with its lists in order, so that documents which mean the
// same are written the same.
func (d Document) Canonical() Document {
	d = d.Filled()
	for _, list := range [][]Prefix{d.Allow, d.Deny, d.Carriers} {
		slices.SortFunc(list, func(a, b Prefix) int { return comparePrefixes(a.Prefix, b.Prefix) })
	}
	sort := func(c Countries) {
		slices.Sort(c.Allow)
		slices.Sort(c.Deny)
	}
	sort(d.Countries)
	for _, c := range d.Services {
		sort(c)
	}
	return d
}

// Filled is c with its defaults written out.
func (c Countries) Filled() Countries {
	c.Default = cmp.Or(c.Default, Allow)
	c.Unknown = cmp.Or(c.Unknown, Allow)
	c.Allow, c.Deny = slices.Clone(c.Allow), slices.Clone(c.Deny)
	return c
}

// Filled is b with its defaults written out.
func (b Budgets) Filled() Budgets {
	b.Unknown = cmp.Or(b.Unknown, Budget{Rate: 5, Burst: 20})
	b.Known = cmp.Or(b.Known, Budget{Rate: 50, Burst: 200})
	b.Registered = cmp.Or(b.Registered, Budget{Rate: 200, Burst: 1000})
	b.Carrier = cmp.Or(b.Carrier, Budget{Unlimited: true})
	b.Neighbourhood = cmp.Or(b.Neighbourhood, Budget{Rate: 50, Burst: 200})
	b.Strangers = cmp.Or(b.Strangers, Budget{Rate: 2000, Burst: 4000})
	b.HalfOpen = cmp.Or(b.HalfOpen, 64)
	return b
}

// Filled is b with its defaults written out.
func (b Bans) Filled() Bans {
	b.Failures = cmp.Or(b.Failures, 10)
	b.Malformed = cmp.Or(b.Malformed, 50)
	b.Window = cmp.Or(b.Window, Duration(10*time.Minute))
	b.Duration = cmp.Or(b.Duration, Duration(10*time.Minute))
	b.Account = cmp.Or(b.Account, 30)
	scanners := b.Scanners == nil || *b.Scanners
	b.Scanners = &scanners
	return b
}

func clonePrefixes(list []Prefix) []Prefix {
	list = slices.Clone(list)
	for i, p := range list {
		if p.Expires != nil {
			at := p.Expires.UTC()
			list[i].Expires = &at
		}
	}
	return list
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
