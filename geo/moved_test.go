package geo_test

import (
	"math"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/geo"
)

func compile(t testing.TB, entries map[string]string) *geo.Table {
	t.Helper()
	countries := map[netip.Prefix]geo.Country{}
	for p, c := range entries {
		countries[netip.MustParsePrefix(p)] = parse(t, c)
	}
	table, err := geo.Compile(countries)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func parse(t testing.TB, code string) geo.Country {
	t.Helper()
	c, err := geo.ParseCountry(code)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMovedCountsEveryAddress(t *testing.T) {
	from := compile(t, map[string]string{
		"192.0.2.0/24": "ES", "198.51.100.0/24": "FR", "203.0.113.0/24": "PT",
		"2001:db8::/48": "ES", "2001:db8:1::/48": "FR",
	})
	to := compile(t, map[string]string{
		"192.0.2.0/24": "ES", "192.0.2.64/32": "FR", // one address moves
		"198.51.100.0/25": "FR",                        // half is lost
		"203.0.113.0/24":  "PT", "198.18.0.0/24": "PT", // a /24 is gained
		"2001:db8::/48": "ES", "2001:db8:0:ffff:8000::/65": "FR", // half a /64 moves
		"2001:db8:1::/48": "FR",
	})
	m := geo.Moved(from, to)
	if want := (1.0 + 128 + 256) / 1024; m.V4 != want {
		t.Errorf("%v of IPv4 moved, want %v", m.V4, want)
	}
	if want := 0.5 / (2 * 65536); m.V6 != want {
		t.Errorf("%v of IPv6 moved, want %v", m.V6, want)
	}
	want := map[string]geo.Change{
		"ES": {Lost4: 1, Lost6: 0.5}, "FR": {Gained4: 1, Lost4: 128, Gained6: 0.5}, "PT": {Gained4: 256}, "ZZ": {Gained4: 128, Lost4: 256},
	}
	for code, change := range want {
		if got := m.Country[parse(t, code)]; got != change {
			t.Errorf("%s: %+v, want %+v", code, got, change)
		}
	}
	if len(m.Country) != len(want) {
		t.Errorf("countries that changed: %v", m.Country)
	}
}

func TestMovedFromAndToNothing(t *testing.T) {
	some := compile(t, map[string]string{"192.0.2.0/24": "ES", "2001:db8::/32": "ES"})
	for name, c := range map[string]struct {
		from, to *geo.Table
		want     float64
	}{"nothing to something": {nil, some, 1}, "something to nothing": {some, nil, 1}, "itself": {some, some, 0}, "nothing to nothing": {nil, nil, 0}} {
		if m := geo.Moved(c.from, c.to); m.V4 != c.want || m.V6 != c.want || math.IsNaN(m.V4) {
			t.Errorf("%s: %+v, want %v", name, m, c.want)
		}
	}
}

func TestCompileRefusesWhatIsNoPlace(t *testing.T) {
	for name, entries := range map[string]map[netip.Prefix]geo.Country{
		"no country":           {netip.MustParsePrefix("192.0.2.0/24"): geo.Unknown},
		"no prefix":            {{}: 1},
		"twice, written apart": {netip.MustParsePrefix("192.0.2.0/24"): 1, netip.MustParsePrefix("192.0.2.1/24"): 2},
	} {
		if _, err := geo.Compile(entries); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
