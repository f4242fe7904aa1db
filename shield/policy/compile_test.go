package policy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
)

func compile(t testing.TB, d Document, now time.Time) *Compiled {
	t.Helper()
	c, err := Compile(d, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCountriesByService(t *testing.T) {
	c := compile(t, Document{
		Countries: Countries{Default: Deny, Unknown: Deny, Allow: countries(t, "ES PT")},
		Services: map[string]Countries{
			"web":   {Deny: countries(t, "FR")},
			"media": {Default: Deny, Allow: countries(t, "DE")},
		},
	}, time.Now())
	for name, row := range map[string]struct {
		service Service
		country string
		denied  bool
		rule    string
	}{
		"listed":                  {SIP, "ES", false, "countries: allow names ES"},
		"not listed":              {SIP, "FR", true, "countries: default is deny, and no list names FR"},
		"unknown":                 {SIP, "ZZ", true, "countries: unknown is deny"},
		"a service of its own":    {Web, "FR", true, "services.web: deny names FR"},
		"which replaces":          {Web, "CN", false, "services.web: default is allow"},
		"unknown there":           {Web, "ZZ", false, "services.web: unknown is allow"},
		"media is TURN":           {TURN, "ES", true, "services.media: default is deny"},
		"and RTP":                 {RTP, "ES", true, "services.media: default is deny"},
		"media's own":             {RTP, "DE", false, "services.media: allow names DE"},
		"a place without country": {SIP, "", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			at := geo.Country(255)
			if row.country != "" {
				at = country(t, row.country)
			}
			if got := c.Denies(row.service, at); got != row.denied {
				t.Errorf("denied: %v", got)
			}
			if rule := c.CountryRule(row.service, at); !strings.HasPrefix(rule, row.rule) {
				t.Errorf("rule %q, want %q", rule, row.rule)
			}
			if row.denied && c.CountryChange(row.service, at) == "" {
				t.Error("nothing would change it")
			}
		})
	}
}

// What CountryChange says to write does let the country in.
func TestCountryChange(t *testing.T) {
	es := country(t, "ES")
	for name, row := range map[string]struct {
		before Countries
		says   string
		after  Countries
	}{
		"by default": {Countries{Default: Deny, Allow: countries(t, "PT")}, "add ES to allow in countries", Countries{Default: Deny, Allow: countries(t, "PT ES")}},
		"by name":    {Countries{Deny: countries(t, "ES")}, "take ES out of deny in countries", Countries{}},
		"by both":    {Countries{Default: Deny, Allow: countries(t, "PT"), Deny: countries(t, "ES")}, "move ES from deny to allow in countries", Countries{Default: Deny, Allow: countries(t, "PT ES")}},
	} {
		t.Run(name, func(t *testing.T) {
			c := compile(t, Document{Countries: row.before}, time.Now())
			if !c.Denies(SIP, es) || c.CountryChange(SIP, es) != row.says {
				t.Errorf("denied %v, change %q", c.Denies(SIP, es), c.CountryChange(SIP, es))
			}
			if compile(t, Document{Countries: row.after}, time.Now()).Denies(SIP, es) {
				t.Error("the change does not help")
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	at := func(s int64) *time.Time { t := time.Unix(s, 0); return &t }
	p := func(s string, until *time.Time) Prefix { return Prefix{netip.MustParsePrefix(s), "n", until} }
	d := Document{
		Allow: []Prefix{p("192.0.2.0/24", at(100)), p("192.0.2.1/32", nil)},
		Deny:  []Prefix{p("198.51.100.0/24", at(200)), p("203.0.113.0/24", at(300))},
	}
	for now, row := range map[int64]struct {
		until time.Time
		rules string
	}{
		99:  {*at(100), "allow 192.0.2.0/24 (n), allow 192.0.2.1/32 (n), deny 198.51.100.0/24 (n), deny 203.0.113.0/24 (n)"},
		100: {*at(200), "allow 192.0.2.1/32 (n), deny 198.51.100.0/24 (n), deny 203.0.113.0/24 (n)"},
		299: {*at(300), "allow 192.0.2.1/32 (n), deny 203.0.113.0/24 (n)"},
		300: {time.Time{}, "allow 192.0.2.1/32 (n)"},
	} {
		c := compile(t, d, time.Unix(now, 0))
		var rules []string
		for _, r := range c.Rules[1:] {
			rules = append(rules, r.String())
		}
		if !c.Until.Equal(row.until) || strings.Join(rules, ", ") != row.rules {
			t.Errorf("at %d: until %v, rules %q", now, c.Until, rules)
		}
		v := ListValue(c.Lists.Lookup(netip.MustParseAddr("192.0.2.1")))
		if v.Action() != ListAllow || c.Rule(v).Prefix.Prefix.Bits() != 32 {
			t.Errorf("at %d: 192.0.2.1 is %v", now, c.Rule(v))
		}
	}
}

// Lists compared with looking at each entry.
func TestTheLongestPrefixDecides(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	base := []netip.Addr{netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("2001:db8:1:2:3:4:5:6")}
	near := func() netip.Addr {
		b := base[rng.IntN(2)].AsSlice()
		for range rng.IntN(3) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	for range 200 {
		var d Document
		seen := map[netip.Prefix]bool{}
		for range rng.IntN(40) {
			a := near()
			p, _ := a.Prefix(rng.IntN(a.BitLen() + 1))
			if seen[p] {
				continue
			}
			seen[p] = true
			list := []*[]Prefix{&d.Allow, &d.Deny, &d.Carriers}[rng.IntN(3)]
			*list = append(*list, Prefix{Prefix: p})
		}
		c := compile(t, d, time.Now())
		for range 200 {
			a := near()
			var want Rule
			for _, r := range c.Rules[1:] {
				if r.Prefix.Prefix.Contains(a) && (want.List == "" || r.Prefix.Prefix.Bits() > want.Prefix.Prefix.Bits()) {
					want = r
				}
			}
			v := ListValue(c.Lists.Lookup(a))
			if got := c.Rule(v); got != want {
				t.Fatalf("%v: %v, want %v", a, got, want)
			}
			action := map[string]ListValue{"": ListNone, "allow": ListAllow, "deny": ListDeny, "carriers": ListCarrier}[want.List]
			if v.Action() != action || c.Actions.Lookup(a) != action.Kernel() {
				t.Fatalf("%v: action %x, for the kernel %x, want %x", a, v.Action(), c.Actions.Lookup(a), action)
			}
		}
	}
}

// scattered are n entries, each somewhere else.
func scattered(n int, bits int) []Prefix {
	rng := rand.New(rand.NewPCG(3, 4))
	list, seen := make([]Prefix, 0, n), map[netip.Prefix]bool{}
	for len(list) < n {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], rng.Uint64()&(1<<61-1)|1<<61)
		binary.BigEndian.PutUint64(b[8:], rng.Uint64())
		a := netip.AddrFrom16(b)
		if bits <= 32 {
			a = netip.AddrFrom4([4]byte(b[4:]))
		}
		p, _ := a.Prefix(bits)
		if !seen[p] {
			seen[p] = true
			list = append(list, Prefix{Prefix: p})
		}
	}
	return list
}

func TestListsThatTheKernelHasNoRoomFor(t *testing.T) {
	if _, err := Compile(Document{Deny: scattered(MaxEntries, 32)}, 1, time.Now()); err != nil {
		t.Errorf("50,000 scattered IPv4 addresses: %v", err)
	}
	_, err := Compile(Document{Deny: scattered(5000, 128)}, 1, time.Now())
	if err == nil || !strings.Contains(err.Error(), "words of the kernel's table") {
		t.Errorf("5,000 scattered IPv6 addresses: %v", err)
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, d := range map[string]Document{
		"default":      {},
		"10000 of /32": {Deny: scattered(10_000, 32)},
		"50000 of /32": {Deny: scattered(50_000, 32)},
		"50000 of /24": {Deny: scattered(50_000, 24)},
	} {
		b.Run(name, func(b *testing.B) {
			var c *Compiled
			for b.Loop() {
				c = compile(b, d, time.Now())
			}
			b.ReportMetric(float64(len(c.Actions.Words)), "words")
		})
	}
}
