package api

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A bench is what core can judge a source by, without a node: policy, country table
// and bans. Of budgets and calls it knows nothing, of a source's class what it is told.
type bench struct {
	policy *policy.Compiled
	table  *geo.Table // nil: countries are off
	banOf  map[netip.Prefix]*protocol.Ban
	now    time.Time
}

// A ruling is what policy, table and bans say of a source, in the shield's order:
// addresses that are no source, lists, bans, countries. earned is the class that the
// source has beside a ban; since when core does not know, and takes it for long. The
// packet is a datagram, for the web of a connection.
type ruling struct {
	verdict policy.Verdict
	country geo.Country
	class   policy.Class
	list    policy.ListValue
	ban     *protocol.Ban // also one that does not hold
}

func (b *bench) judge(a netip.Addr, s policy.Service, earned policy.Class) ruling {
	a = a.Unmap().WithZone("")
	r := ruling{verdict: policy.Passed, country: b.table.Country(a)}
	if noSource(a) {
		r.verdict = policy.Malformed
		return r
	}
	r.list = policy.ListValue(b.policy.Lists.Lookup(a))
	switch r.list.Action() {
	case policy.ListAllow:
		r.verdict = policy.Allowed
		return r
	case policy.ListDeny:
		r.verdict = policy.Denied
		return r
	case policy.ListCarrier:
		r.class = policy.Carrier
		return r
	}
	r.class = earned
	if ban := b.banOf[prefixOf(a)]; ban != nil && ban.Until.After(b.now) {
		r.ban = ban
		if ban.Holds(earned, time.Time{}, s == policy.Web) {
			r.verdict, r.class = policy.Banned, policy.Ban
			return r
		}
	}
	if b.table != nil && b.policy.Denies(s, r.country) {
		r.verdict = policy.CountryDenied
	}
	return r
}

// noSource tells whether no packet can come from a (RFC 1122 §3.2.1.3, RFC 4291 §2.5).
func noSource(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first == 0 || first >= 224
	}
	return a.IsUnspecified() || a.As16()[0] == 0xff
}

// rule is what decided, as a phrase.
func (b *bench) rule(r ruling, s policy.Service) string {
	switch {
	case r.verdict == policy.Malformed:
		return "no packet can come from this address"
	case r.list.Action() != policy.ListNone:
		return b.policy.Rule(r.list).String()
	case r.verdict == policy.Banned && !r.ban.Proven:
		return fmt.Sprintf("banned by %s: %s (datagrams; a connection may prove who it is)", r.ban.By, r.ban.Reason)
	case r.verdict == policy.Banned:
		return fmt.Sprintf("banned by %s: %s", r.ban.By, r.ban.Reason)
	case b.table == nil:
		return "no rule names it, and without a country database countries are off"
	}
	return b.policy.CountryRule(s, r.country)
}

// change is what would change the ruling, one phrase each.
func (b *bench) change(r ruling, s policy.Service) []string {
	switch r.verdict {
	case policy.Denied:
		return []string{"take " + b.policy.Rule(r.list).Prefix.Prefix.String() + " out of deny, or add a longer prefix to allow"}
	case policy.Banned:
		return []string{"wait until " + policy.When(r.ban.Until), "lift the ban of " + r.ban.Prefix.String(), "add the source to allow"}
	case policy.CountryDenied:
		return []string{b.policy.CountryChange(s, r.country), "add the source to allow"}
	}
	if r.ban != nil {
		return []string{r.ban.Spared(r.class)}
	}
	return []string{}
}

// explain says what would happen to the source's next packet as far as core can know.
func (b *bench) explain(a netip.Addr, s policy.Service, earned policy.Class) protocol.Explanation {
	r := b.judge(a, s, earned)
	e := protocol.Explanation{
		Node: "core", Address: a, Service: s.ForPeople(), Verdict: r.verdict.String(), Drops: r.verdict.Drops(),
		Rule:          b.rule(r, s) + "; no node answered, so this is by policy, bans and country database alone: budgets and calls are not in it",
		PolicyVersion: b.policy.Version, TableVersion: b.table.Info().Version, Country: r.country.String(),
		Class: r.class.String(), Change: b.change(r, s), Mode: "core",
	}
	if r.ban != nil {
		until := r.ban.Until.UTC()
		e.BanEnds, e.BanReason = &until, r.ban.Reason
	}
	return e
}

// bench is what core can judge by now.
func (a *API) bench() *bench {
	n, _ := a.board.look()
	return &bench{policy: n.compiled, table: a.table.Load(), banOf: n.banOf, now: time.Now()}
}
