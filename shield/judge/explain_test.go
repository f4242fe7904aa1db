package judge

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// What Explain says happens, and only then; asking changes nothing.
func TestExplainSaysWhatJudgeDoes(t *testing.T) {
	e := NewEngine(4)
	es, fr := country(t, "ES"), country(t, "FR")
	table, err := geo.Compile(map[netip.Prefix]geo.Country{
		netip.MustParsePrefix("198.18.0.0/16"): es, netip.MustParsePrefix("198.19.0.0/24"): fr, netip.MustParsePrefix("2001:db8::/33"): es,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.SetTable(table)
	e.SetLeg(30000, true)
	pol := compile(t, policy.Document{
		Countries: policy.Countries{Deny: []geo.Country{fr}},
		Allow:     entries("198.18.0.5/32"), Deny: entries("198.18.0.6/32"), Carriers: entries("198.18.1.0/24"),
		Budgets: policy.Budgets{
			Carrier: policy.Budget{Rate: 2, Burst: 3}, HalfOpen: 4, Known: policy.Budget{Rate: 3, Burst: 5},
			Strangers: policy.Budget{Rate: 12, Burst: 20}, Neighbourhood: policy.Budget{Rate: 15, Burst: 25},
		},
	})
	e.SetPolicy(pol)
	for i, s := range []Source{{Class: policy.Ban}, {Class: policy.Ban, Proven: true, Until: 300}, {Class: policy.Known, Until: 200}, {Class: policy.Registered}} {
		if err := e.PutSource(Key(0xc6120200+i), s); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(6, 6))
	seen := map[policy.Verdict]int{}
	now := Millis(100_000)
	for range 100_000 {
		now += Millis(rng.Uint64N(5))
		p := Packet{
			Source:  netip.AddrFrom4([4]byte{198, 18 + byte(rng.IntN(10)/9), byte(rng.IntN(4)), byte(rng.IntN(30))}),
			Service: policy.Service(1 + rng.IntN(4)), Port: uint16(30000 + rng.IntN(2)),
		}
		if rng.IntN(200) == 0 {
			p.Source = netip.MustParseAddr("0.0.0.0")
		}
		if p.Service != policy.RTP {
			p.TCP = rng.IntN(2) == 0
			p.Opens = p.TCP && rng.IntN(8) != 0
		}
		before := e.Look(p)
		f := Explain(p, before, pol, table.Country(p.Source), true, now)
		if after := e.Look(p); !reflect.DeepEqual(after, before) {
			t.Fatalf("asking changed %+v into %+v", before, after)
		}
		r := e.Judge(p, now)
		r.Sampled = false
		if f.Ruling.Verdict != r.Verdict || f.Class != r.Class || f.List != r.List {
			t.Fatalf("explained as %+v, judged as %+v", f.Ruling, r)
		}
		seen[r.Verdict]++
		if f.Rule == "" || r.Verdict.Drops() && r.Verdict != policy.Malformed && len(f.Change) == 0 {
			t.Fatalf("%v has rule %q, and to change it %q", r.Verdict, f.Rule, f.Change)
		}
		if (f.BanEnds != nil) != (r.Verdict == policy.Banned) {
			t.Fatalf("%v with a ban's end %v", r.Verdict, f.BanEnds)
		}
		if f.Budget != nil && f.Budget.Packets < 1 != r.Verdict.Drops() && r.Verdict != policy.Strangers {
			t.Fatalf("%v with %+v", r.Verdict, *f.Budget)
		}
	}
	for v := policy.Passed; v < policy.Verdicts; v++ {
		if seen[v] == 0 && v != policy.Fragment && v != policy.Connection || seen[policy.Connection] == 0 {
			t.Errorf("never seen: %v", v)
		}
	}
}

func TestExplanationsInWords(t *testing.T) {
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	pol := compile(t, policy.Document{
		Countries: policy.Countries{Deny: []geo.Country{country(t, "FR")}},
		Deny:      []policy.Prefix{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Note: "office of X", Expires: &until}},
	})
	const now = 1_000_000
	for name, row := range map[string]struct {
		p            Packet
		s            State
		at           string
		rule, change string
	}{
		"denied":   {sip("203.0.113.9"), State{}, "ZZ", "deny 203.0.113.0/24 (office of X)", "take 203.0.113.0/24 out of deny; it ends by itself at 2030-01-01T00:00:00Z | an entry of allow that holds 203.0.113.9/32"},
		"country":  {sip("2001:db8::1"), State{}, "FR", "countries: deny names FR", "take FR out of deny in countries | an entry of allow that holds 2001:db8::/64"},
		"banned":   {sip("198.18.0.1"), State{Source: &Source{Class: policy.Ban, Until: 1060}}, "ES", "banned for another 1m0s", "lift the ban | wait until it ends | come over TCP"},
		"unknown":  {sip("198.18.0.1"), State{}, "ES", "a source of class unknown may send 5 packets a second, 20 at once; 20.0 are left", "sending more"},
		"spent":    {sip("198.18.0.1"), State{Cell: Cell{now, 0, 500}, Tag: 0}, "ES", "a source of class unknown may send 5 packets a second, 20 at once; 0.5 are left", "wait: packets come in | a higher budgets.unknown | answer a challenge"},
		"network":  {sip("198.18.7.1"), State{Around: both(Bucket{now, 1})}, "ES", "the unknown sources of its 198.18.7.0/24 may send 50 packets a second", "wait: packets come in | a higher budgets.neighbourhood"},
		"crowd":    {sip("198.18.7.1"), State{Name: 9, All: Bucket{now, 1_000_000}}, "ES", "all unknown sources may send 2000 packets a second, 4000 at once; 1000.0 are left; the last 1000 are not for this source: it is new here, and its 198.18.7.0/24 has 200.0 of 200 packets left", "wait: packets come in | try again"},
		"back":     {sip("198.18.7.1"), State{Name: 9, Refused: 9 << 16, Around: both(Bucket{now, 90_000}), All: Bucket{now, 2_000_000}}, "ES", "all unknown sources may send 2000 packets a second, 4000 at once; 2000.0 are left; the last 2000 are not for this source: it comes back, and its 198.18.7.0/24 has 90.0 of 200 packets left", "wait: packets come in | try again"},
		"carriers": {sip("198.18.7.1"), State{Source: &Source{Class: policy.Carrier}}, "ES", "a source of class carrier has no budget", "denying ES to sip"},
	} {
		t.Run(name, func(t *testing.T) {
			f := Explain(row.p, row.s, pol, country(t, row.at), true, now)
			if !strings.HasPrefix(f.Rule, row.rule) || !strings.HasPrefix(strings.Join(f.Change, " | "), row.change) {
				t.Errorf("%v: %q; %q", f.Verdict, f.Rule, f.Change)
			}
		})
	}
}
