package policy

import (
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/geo"
)

// An Access says from where a company's terminals may be used: it is judged in
// user space once the account is known, after the platform's policy let the source
// in. A source may come in when one of Networks holds it or Countries lets its
// country in. Networks shut out everybody else when Countries restricts nothing;
// with neither everybody may come in, so an empty list never means nobody.
type Access struct {
	Countries   Countries `json:"countries,omitzero" yaml:"countries"`
	Networks    []Network `json:"networks,omitempty" yaml:"networks,omitempty"`
	RoadWarrior int       `json:"road_warrior,omitzero" yaml:"road_warrior"` // calls at one time from elsewhere, 0 to 3; registering is then let through too
}

// A Network is an authorised network.
type Network struct {
	Prefix netip.Prefix `json:"prefix" yaml:"prefix"`
	Note   string       `json:"note,omitempty" yaml:"note,omitempty"`
}

// Limits of an Access.
const (
	MaxNetworks    = 1000
	MaxRoadWarrior = 3
)

// A Reason is why an Access let a source in or not.
type Reason struct {
	Ground Ground   `json:"ground"`
	Rule   string   `json:"rule"`             // the rule that decided, as a phrase
	Change []string `json:"change,omitempty"` // what would change it, one phrase each
}

// String is the rule.
func (r Reason) String() string { return r.Rule }

// A Ground is the kind of a Reason; it serves as a metric label.
type Ground string

// The grounds. The first four let in.
const (
	GroundOpen        Ground = "open"         // the company bounds nothing
	GroundNetwork     Ground = "network"      // an authorised network
	GroundCountry     Ground = "country"      // its country may come in
	GroundRoadWarrior Ground = "road_warrior" // one of the calls that may come from anywhere
	GroundElsewhere   Ground = "elsewhere"    // no authorised network, and no country that may
	GroundTooMany     Ground = "too_many"     // the calls from anywhere are all in use
)

// Judge says whether a terminal of the company may be used from a now. country is
// where a is; roamingCalls counts the company's calls that GroundRoadWarrior let
// in and that are not over. A machine without a country table calls
// JudgeWithoutTable.
func (a Access) Judge(addr netip.Addr, country geo.Country, roamingCalls int) (bool, Reason) {
	return a.judge(addr, country, true, roamingCalls)
}

// JudgeWithoutTable is Judge where no country table is: countries are off, so a
// company that bounds countries is not bounded by them.
func (a Access) JudgeWithoutTable(addr netip.Addr, roamingCalls int) (bool, Reason) {
	return a.judge(addr, geo.Unknown, false, roamingCalls)
}

func (a Access) judge(addr netip.Addr, country geo.Country, table bool, roamingCalls int) (bool, Reason) {
	bounded := a.Countries.restricts()
	if !bounded && len(a.Networks) == 0 {
		return true, Reason{Ground: GroundOpen, Rule: "the company lets its terminals be used from anywhere"}
	}
	if n, ok := a.network(addr); ok {
		return true, Reason{Ground: GroundNetwork, Rule: "authorised network " + entry(n.Prefix, n.Note)}
	}
	rule := fmt.Sprintf("%v is in none of the company's %s", addr, count(len(a.Networks), "authorised network"))
	change := []string{fmt.Sprintf("authorise a network that holds %v", addr)}
	switch {
	case bounded && !table:
		return true, Reason{Ground: GroundCountry, Rule: "no country table: the company's country list is not applied"}
	case bounded && a.Countries.lets(country):
		return true, Reason{Ground: GroundCountry, Rule: a.Countries.phrase("the company's countries", country)}
	case bounded:
		rule = a.Countries.phrase("the company's countries", country)
		change = append(change, a.Countries.change("the company's countries", country))
	}
	if a.RoadWarrior > roamingCalls {
		return true, Reason{Ground: GroundRoadWarrior, Rule: fmt.Sprintf("%s, but %d of %s from anywhere is in use", rule, roamingCalls, count(a.RoadWarrior, "call"))}
	}
	if a.RoadWarrior > 0 {
		return false, Reason{
			Ground: GroundTooMany, Rule: fmt.Sprintf("%s, and %s from anywhere are in use", rule, count(a.RoadWarrior, "call")),
			Change: append(change, "wait until one of the calls from elsewhere ends"),
		}
	}
	return false, Reason{
		Ground: GroundElsewhere, Rule: rule,
		Change: append(change, fmt.Sprintf("allow calls from anywhere (1 to %d, road_warrior)", MaxRoadWarrior)),
	}
}

// network is the longest authorised network that holds addr.
func (a Access) network(addr netip.Addr) (Network, bool) {
	best, found := Network{}, false
	addr = addr.Unmap().WithZone("")
	for _, n := range a.Networks {
		if p := Plain(n.Prefix); p.Contains(addr) && (!found || p.Bits() > Plain(best.Prefix).Bits()) {
			best, found = n, true
		}
	}
	return best, found
}

// Validate reports every fault at once, as Faults.
func (a Access) Validate() error {
	var f Faults
	restricted := len(a.Networks) > 0
	a.Countries.validate(&f, "countries", restricted)
	f.check(len(a.Networks) <= MaxNetworks, "networks", "%d entries; at most %d", len(a.Networks), MaxNetworks)
	seen := map[netip.Prefix]string{}
	for i, n := range a.Networks {
		checkPrefix(&f, seen, fmt.Sprintf("networks[%d]", i), n.Prefix, n.Note)
	}
	f.check(a.RoadWarrior >= 0 && a.RoadWarrior <= MaxRoadWarrior, "road_warrior", "%d; 0 to %d", a.RoadWarrior, MaxRoadWarrior)
	return f.err()
}
