package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
)

func TestDiff(t *testing.T) {
	no, until := false, time.Unix(1e9, 0)
	a := Document{
		Countries: Countries{Default: Deny, Allow: countries(t, "ES PT")},
		Services:  map[string]Countries{"web": {Deny: countries(t, "FR")}},
		Deny:      prefixes("203.0.113.0/24", "198.51.100.0/24"),
	}
	b := Document{
		Countries: Countries{Default: Deny, Allow: countries(t, "DE ES")},
		Services:  map[string]Countries{"media": {}},
		Deny:      []Prefix{{netip.MustParsePrefix("203.0.113.0/24"), "office of X", &until}},
		Carriers:  prefixes("192.0.2.0/24"),
		Budgets:   Budgets{Unknown: Budget{Rate: 9, Burst: 9}, Carrier: Budget{Rate: 1, Burst: 2}, HalfOpen: 5},
		Bans:      Bans{Window: Duration(time.Minute), Scanners: &no},
	}
	want := `countries.allow[DE]: (none) → listed
countries.allow[PT]: listed → (none)
services.media.default: (none) → allow
services.media.unknown: (none) → allow
services.web.default: allow → (none)
services.web.unknown: allow → (none)
services.web.deny[FR]: listed → (none)
deny[198.51.100.0/24]: listed → (none)
deny[203.0.113.0/24]: listed → "office of X" until 2001-09-09T01:46:40Z
carriers[192.0.2.0/24]: (none) → listed
budgets.unknown: 5/s, burst 20 → 9/s, burst 9
budgets.carrier: unlimited → 1/s, burst 2
budgets.half_open: 64 → 5
bans.window: 10m → 1m
bans.scanners: true → false`
	var got []string
	for _, c := range Diff(a, b) {
		got = append(got, c.String())
	}
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	back := Diff(b, a)
	for i, c := range Diff(a, b) {
		if !slices.Contains(back, Change{c.Path, c.After, c.Before}) {
			t.Errorf("change %d does not turn round: %v", i, c)
		}
	}
	if same := Diff(b, b.Canonical()); same != nil {
		t.Errorf("a document differs from its canonical form: %v", same)
	}
}

func TestAccess(t *testing.T) {
	office := []Network{{netip.MustParsePrefix("198.51.100.0/24"), "office"}, {netip.MustParsePrefix("2001:db8:1::/48"), ""}}
	spain := Countries{Default: Deny, Allow: countries(t, "ES")}
	es, fr := country(t, "ES"), country(t, "FR")
	inside, outside := "198.51.100.7", "203.0.113.7"
	for name, row := range map[string]struct {
		access  Access
		addr    string
		country geo.Country
		roaming int
		want    bool
		ground  Ground
		rule    string
	}{
		"nothing said":              {Access{}, outside, fr, 0, true, GroundOpen, "from anywhere"},
		"allow everywhere said":     {Access{Countries: Countries{Default: Allow}}, outside, fr, 0, true, GroundOpen, "from anywhere"},
		"in a network":              {Access{Networks: office}, inside, fr, 0, true, GroundNetwork, "authorised network 198.51.100.0/24 (office)"},
		"mapped":                    {Access{Networks: office}, "::ffff:198.51.100.7", fr, 0, true, GroundNetwork, "198.51.100.0/24"},
		"IPv6":                      {Access{Networks: office}, "2001:db8:1::9", fr, 0, true, GroundNetwork, "2001:db8:1::/48"},
		"in none":                   {Access{Networks: office}, outside, es, 0, false, GroundElsewhere, "203.0.113.7 is in none of the company's 2 authorised networks"},
		"networks, all countries":   {Access{Networks: office, Countries: Countries{Default: Allow}}, outside, es, 0, false, GroundElsewhere, ""},
		"its country":               {Access{Countries: spain}, outside, es, 0, true, GroundCountry, "the company's countries: allow names ES"},
		"another country":           {Access{Countries: spain}, outside, fr, 0, false, GroundElsewhere, "the company's countries: default is deny, and no list names FR"},
		"a network goes first":      {Access{Countries: spain, Networks: office}, inside, fr, 0, true, GroundNetwork, ""},
		"a country beside networks": {Access{Countries: spain, Networks: office}, outside, es, 0, true, GroundCountry, ""},
		"neither":                   {Access{Countries: spain, Networks: office}, outside, fr, 0, false, GroundElsewhere, ""},
		"on the road":               {Access{Networks: office, RoadWarrior: 2}, outside, es, 1, true, GroundRoadWarrior, "1 of 2 calls from anywhere"},
		"too many on the road":      {Access{Networks: office, RoadWarrior: 2}, outside, es, 2, false, GroundTooMany, "2 calls from anywhere are in use"},
		"no country":                {Access{Countries: spain}, outside, geo.Unknown, 0, true, GroundCountry, "unknown is allow"},
		"no country, and denied":    {Access{Countries: Countries{Default: Deny, Unknown: Deny, Allow: countries(t, "ES")}}, outside, geo.Unknown, 0, false, GroundElsewhere, "unknown is deny"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := row.access.Validate(); err != nil {
				t.Fatal(err)
			}
			got, why := row.access.Judge(netip.MustParseAddr(row.addr), row.country, row.roaming)
			if got != row.want || why.Ground != row.ground || !strings.Contains(why.Rule, row.rule) {
				t.Errorf("%v, %v: %v", got, why.Ground, why)
			}
			if got != (len(why.Change) == 0) {
				t.Errorf("allowed %v, and this would change it: %q", got, why.Change)
			}
		})
	}
	if ok, why := (Access{Countries: spain}).JudgeWithoutTable(netip.MustParseAddr(outside), 0); !ok {
		t.Errorf("without a country table countries are off, but: %v", why)
	}
	if ok, _ := (Access{Countries: spain, Networks: office}).JudgeWithoutTable(netip.MustParseAddr(inside), 0); !ok {
		t.Error("a network does not count without a table")
	}
}

func TestAccessFaults(t *testing.T) {
	office := netip.MustParsePrefix("198.51.100.0/24")
	for name, row := range map[string]struct {
		access Access
		want   string
	}{
		"too many calls":       {Access{RoadWarrior: 4}, "road_warrior: 4; 0 to 3"},
		"a negative number":    {Access{RoadWarrior: -1}, "road_warrior: -1; 0 to 3"},
		"nobody":               {Access{Countries: Countries{Default: Deny}}, "countries: would keep out every one"},
		"nobody but an office": {Access{Countries: Countries{Default: Deny}, Networks: []Network{{Prefix: office}}}, ""},
		"twice":                {Access{Networks: []Network{{Prefix: office}, {Prefix: office}}}, "networks[1].prefix: 198.51.100.0/24 stands at networks[0] already"},
		"host bits":            {Access{Networks: []Network{{Prefix: netip.PrefixFrom(office.Addr().Next(), 24)}}}, "networks[0].prefix: 198.51.100.1/24 has bits"},
		"too many":             {Access{Networks: make([]Network, MaxNetworks+1)}, "networks: 1001 entries; at most 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			err := row.access.Validate()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), row.want)) {
				t.Errorf("error %v, want %q", err, row.want)
			}
		})
	}
}
