package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// A DryRun says what a policy would change for those who were seen in the last hour
// and those who are registered.
type DryRun struct {
	VersionChecked    uint64          `json:"version_checked" doc:"the version in force, against which the document was held"`
	Sources           int             `json:"sources" doc:"how many were judged: seen in the window, or registered"`
	WouldDrop         int             `json:"would_drop" doc:"sources that pass today"`
	WouldPassAgain    int             `json:"would_pass_again" doc:"sources that are dropped today"`
	RegisteredDropped []DryRegistered `json:"registered_dropped" doc:"registrations whose source would be dropped, at most 1000"`
	ByCountry         []DryCountry    `json:"by_country" doc:"of those that would be dropped"`
	PassByCountry     []DryCountry    `json:"pass_by_country" doc:"of those that would pass again"`
	Summary           string          `json:"summary"`
	Window            string          `json:"window" doc:"how far back sources were seen"`
	Forgotten         uint64          `json:"forgotten" doc:"rare sources that were forgotten for want of room since core started"`
	Changes           []policy.Change `json:"changes" doc:"what the document changes"`
	Notes             []string        `json:"notes" doc:"what this did not look at, and parts of the document that have no effect"`
}

// A dry is a DryRun in the making.
type dry struct {
	DryRun
	lost              int               // registrations not listed
	dropped           map[string]*tally // by country
	passed            map[string]*tally
	registeredSources int
}

// A DryRegistered is a registration whose source would be dropped.
type DryRegistered struct {
	Company  string     `json:"company"`
	User     string     `json:"user"`
	Terminal string     `json:"terminal"`
	Address  netip.Addr `json:"address"`
	Country  string     `json:"country"`
	Rule     string     `json:"rule"`
}

// A DryCountry counts sources of a country.
type DryCountry struct {
	Country    string `json:"country"`
	Sources    int    `json:"sources"`
	Registered int    `json:"registered"`
}

type tally struct{ sources, registered int }

// maxListed bounds the registrations that an answer lists.
const maxListed = 1000

// subject is a source and what is known of it.
type subject struct {
	services   uint8        // bit of each policy.Service it was seen at
	earned     policy.Class // known or registered, as nodes saw it
	registered bool         // as core knows
}

type dryRunInput struct {
	Body body[DryRunRequest]
}

// A DryRunRequest is a policy to try.
type DryRunRequest struct {
	Document policy.Document `json:"document" doc:"the policy to try"`
}

type dryRunOutput struct {
	Body DryRun
}

func (a *API) dryRun(ctx context.Context, in *dryRunInput) (*dryRunOutput, error) {
	var f faults
	document := in.Body.decode(&f).Document
	f.under("body.document", document.Validate())
	if err := f.err(); err != nil {
		return nil, err
	}
	before := a.bench()
	n, _ := a.board.look()
	compiled, err := policy.Compile(document, 0, before.now)
	if err != nil {
		f.under("body.document", err)
		return nil, f.err()
	}
	after := *before
	after.policy = compiled

	subjects := map[netip.Addr]*subject{}
	a.sources.each(before.now, func(key sourceKey, seen *source) {
		is := of(subjects, key.addr)
		is.services |= 1 << key.service
		is.earned = max(is.earned, seen.earned())
	})
	out := &dry{DryRun: DryRun{
		VersionChecked: n.policy.Number, RegisteredDropped: []DryRegistered{},
		Changes: append([]policy.Change{}, policy.Diff(n.policy.Document, document)...), Notes: document.Warnings(before.now),
	}}
	out.Window, out.Forgotten = a.sources.reach(before.now)
	out.note(before.table)
	err = a.store.Platform().Registrations(ctx, func(r tenancy.Registration) error {
		addr, ok := addressOf(r.Source)
		if !ok {
			return nil
		}
		is := of(subjects, sourceOf(addr))
		is.registered, is.earned = true, policy.Registered
		is.services |= 1 << policy.SIP
		out.registration(r, addr, is.services, before, &after)
		return nil
	})
	if err != nil {
		return nil, a.failed(ctx, "registration", err)
	}
	out.judge(subjects, before, &after)
	return &dryRunOutput{out.DryRun}, nil
}

func of(all map[netip.Addr]*subject, addr netip.Addr) *subject {
	if all[addr] == nil {
		all[addr] = &subject{}
	}
	return all[addr]
}

// addressOf reads where a phone was seen, "203.0.113.9:5062;transport=udp".
func addressOf(source string) (netip.Addr, bool) {
	at, _, _ := strings.Cut(source, ";")
	if p, err := netip.ParseAddrPort(at); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(at)
	return addr.Unmap().WithZone(""), err == nil
}

// note says what the answer leaves out.
func (d *dry) note(table *geo.Table) {
	d.Notes = append(d.Notes, "budgets, half-open connections and media ports are not simulated: a source counted as passing may still be over its budget")
	if table == nil {
		d.Notes = append(d.Notes, "core has no country database, so country rules were not applied")
	}
	if d.Forgotten > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s rare sources were forgotten for want of room and are not among those judged", thousands(int(d.Forgotten))))
	}
}

// registration lists a registration whose source would be dropped at one of the
// services it was seen at, once.
func (d *dry) registration(r tenancy.Registration, addr netip.Addr, services uint8, before, after *bench) {
	for s := policy.SIP; s < policy.Services; s++ {
		now := after.judge(addr, s, policy.Registered)
		if services&(1<<s) == 0 || !now.verdict.Drops() || before.judge(addr, s, policy.Registered).verdict.Drops() {
			continue
		}
		if len(d.RegisteredDropped) >= maxListed {
			d.lost++
			return
		}
		d.RegisteredDropped = append(d.RegisteredDropped, DryRegistered{
			Company: r.Company, User: r.User, Terminal: r.Terminal, Address: addr, Country: now.country.String(), Rule: after.rule(now, s),
		})
		return
	}
}

// judge counts every source once, whatever the number of services it was seen at.
func (d *dry) judge(subjects map[netip.Addr]*subject, before, after *bench) {
	d.dropped, d.passed = map[string]*tally{}, map[string]*tally{}
	for addr, is := range subjects {
		d.Sources++
		drop, pass, country := false, false, geo.Unknown
		for s := policy.SIP; s < policy.Services; s++ {
			if is.services&(1<<s) == 0 {
				continue
			}
			was, will := before.judge(addr, s, is.earned), after.judge(addr, s, is.earned)
			country = will.country
			drop = drop || !was.verdict.Drops() && will.verdict.Drops()
			pass = pass || was.verdict.Drops() && !will.verdict.Drops()
		}
		if drop {
			d.WouldDrop++
			count(d.dropped, country, is.registered)
			if is.registered {
				d.registeredSources++
			}
		}
		if pass {
			d.WouldPassAgain++
			count(d.passed, country, is.registered)
		}
	}
	d.ByCountry, d.PassByCountry = countries(d.dropped), countries(d.passed)
	slices.SortFunc(d.RegisteredDropped, func(a, b DryRegistered) int {
		return cmp.Or(cmp.Compare(a.Company, b.Company), cmp.Compare(a.User, b.User), cmp.Compare(a.Terminal, b.Terminal), a.Address.Compare(b.Address))
	})
	d.Summary = d.sentence()
}

func count(in map[string]*tally, c geo.Country, registered bool) {
	t := in[c.String()]
	if t == nil {
		t = &tally{}
		in[c.String()] = t
	}
	t.sources++
	if registered {
		t.registered++
	}
}

// countries lists a tally, the largest first.
func countries(of map[string]*tally) []DryCountry {
	all := make([]DryCountry, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, DryCountry{name, of[name].sources, of[name].registered})
	}
	slices.SortStableFunc(all, func(a, b DryCountry) int { return cmp.Compare(b.Sources, a.Sources) })
	return all
}

// named is how many registrations the sentence names.
const named = 3

// sentence is "would drop 1,204 sources in 17 countries, 3 of them registered: …".
func (d *dry) sentence() string {
	s := "would drop nobody who was seen or is registered"
	if d.WouldDrop > 0 {
		s = fmt.Sprintf("would drop %s in %s, ", plural(d.WouldDrop, "source", "sources"), plural(len(d.dropped), "country", "countries"))
		switch d.registeredSources {
		case 0:
			s += "none of them registered"
		default:
			s += thousands(d.registeredSources) + " of them registered: " + d.names()
		}
	}
	if d.WouldPassAgain > 0 {
		s += fmt.Sprintf("; would let in %s that %s dropped today", plural(d.WouldPassAgain, "source", "sources"), isAre(d.WouldPassAgain))
	}
	return s
}

func (d *dry) names() string {
	var all []string
	for _, r := range d.RegisteredDropped[:min(named, len(d.RegisteredDropped))] {
		all = append(all, fmt.Sprintf("%s of %s (%s at %v, %s)", r.User, r.Company, r.Terminal, r.Address, r.Country))
	}
	s := strings.Join(all, ", ")
	if more := len(d.RegisteredDropped) + d.lost - len(all); more > 0 {
		s += fmt.Sprintf(" and %s more", thousands(more))
	}
	return s
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands prints 1204 as "1,204".
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// reach says how far back sources go, and how many were forgotten for want of room.
func (s *sources) reach(now time.Time) (string, uint64) {
	_, forgotten := s.count()
	age := now.Sub(s.since)
	if age >= window {
		return "the last hour", forgotten
	}
	return fmt.Sprintf("the last %v, since core started", age.Truncate(time.Second)), forgotten
}

func (a *API) dryRunRoutes(h huma.API) {
	route(a, h, huma.Operation{
		OperationID: "dry-run", Method: http.MethodPost, Path: "/api/v1/shield/dry-run", Tags: []string{"shield"}, MaxBodyBytes: documentBody,
		Summary:     "What a policy would change",
		Description: "Judges every source seen in the last hour and every live registration by the document and by the policy in force. Nothing is changed. Budgets are not simulated.",
	}, Operator, a.dryRun)
}
