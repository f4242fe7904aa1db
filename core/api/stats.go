package api

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/geo"
)

// Stats is what the border sees, as live nodes told it.
type Stats struct {
	At            time.Time      `json:"at"`
	PolicyVersion uint64         `json:"policy_version" doc:"in force; a node with another number has not heard yet"`
	PolicyFault   string         `json:"policy_fault,omitempty" doc:"why the version that was put last is not the one in force, and what to do"`
	TableVersion  string         `json:"table_version" doc:"of core's country database; empty: it has none"`
	Bans          int            `json:"bans" doc:"in force"`
	Nodes         []NodeStatus   `json:"nodes"`
	Counters      []Total        `json:"counters"`
	Sources       []SourceStatus `json:"sources" doc:"the busiest of the last hour"`
	SourcesKnown  int            `json:"sources_known" doc:"how many were seen in the last hour"`
	Forgotten     uint64         `json:"sources_forgotten" doc:"rare ones forgotten for want of room since core started"`
}

// A Total is packets of a country that ended in a verdict, over all live nodes.
type Total struct {
	Country   string  `json:"country" doc:"ZZ: unknown"`
	Verdict   string  `json:"verdict"`
	Drops     bool    `json:"drops"`
	Packets   uint64  `json:"packets" doc:"since each node's filter was attached"`
	PerSecond float64 `json:"per_second"`
}

// A SourceStatus is one of the busiest sources.
type SourceStatus struct {
	Address  netip.Addr `json:"address" doc:"IPv6: the first address of its /64"`
	Service  string     `json:"service"`
	Country  string     `json:"country"`
	Class    string     `json:"class"`
	Verdict  string     `json:"verdict" doc:"the last one"`
	Packets  uint64     `json:"packets" doc:"estimated from samples"`
	LastSeen time.Time  `json:"last_seen"`
}

// How many sources a Stats has when nobody says.
const (
	statsSources    = 50
	maxStatsSources = 1000
)

// stats is what there is now, with the n busiest sources.
func (a *API) stats(n int) Stats {
	now := time.Now()
	board, _ := a.board.look()
	s := Stats{
		At: now.UTC(), PolicyVersion: board.policy.Number, PolicyFault: board.fault, TableVersion: a.table.Load().Info().Version,
		Nodes: a.nodes.status(), Counters: a.nodes.totals(), Sources: a.sources.busiest(now, n),
	}
	for _, b := range board.bans {
		if b.Until.After(now) {
			s.Bans++
		}
	}
	s.SourcesKnown, s.Forgotten = a.sources.count()
	return s
}

// totals adds up the counters of live nodes, by country and verdict.
func (n *nodes) totals() []Total {
	packets, speed := map[cell]uint64{}, map[cell]float64{}
	n.mu.Lock()
	n.each(time.Now(), func(d *node, _ []*node) {
		if !d.alive() {
			return
		}
		for c, more := range d.counters {
			packets[c] += more
			speed[c] += d.speed[c]
		}
	})
	n.mu.Unlock()
	all := make([]Total, 0, len(packets))
	for c, sum := range packets {
		all = append(all, Total{c.country.String(), c.verdict.String(), c.verdict.Drops(), sum, speed[c]})
	}
	slices.SortFunc(all, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Verdict, b.Verdict))
	})
	return all
}

// busiest are the n sources with the most packets, the busiest first.
func (s *sources) busiest(now time.Time, n int) []SourceStatus {
	type entry struct {
		key sourceKey
		is  source
	}
	order := func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.is.packets, a.is.packets), a.key.addr.Compare(b.key.addr), cmp.Compare(a.key.service, b.key.service))
	}
	top := make([]entry, 0, 2*n+1)
	least := uint64(0) // what n have already, so that most need no comparing
	cut := func() {
		slices.SortFunc(top, order)
		top = top[:min(n, len(top))]
		if n > 0 && len(top) == n {
			least = top[n-1].is.packets
		}
	}
	s.each(now, func(key sourceKey, is *source) {
		if is.packets < least || n == 0 {
			return
		}
		if top = append(top, entry{key, *is}); len(top) > 2*n {
			cut()
		}
	})
	cut()
	all := make([]SourceStatus, len(top))
	for i, e := range top {
		all[i] = SourceStatus{e.key.addr, e.key.service.ForPeople(), e.is.country.String(), e.is.class.String(),
			e.is.verdict.String(), e.is.packets, e.is.last.UTC()}
	}
	return all
}

type statsInput struct {
	Sources int `query:"sources" minimum:"0" maximum:"1000" default:"50" doc:"How many of the busiest sources to list."`
}

type statsOutput struct {
	Body Stats
}

func (a *API) statsNow(_ context.Context, in *statsInput) (*statsOutput, error) {
	return &statsOutput{a.stats(in.Sources)}, nil
}

// A CountryName is a country as people write it.
type CountryName struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

type countriesOutput struct {
	Body []CountryName
}

func (a *API) countries(context.Context, *struct{}) (*countriesOutput, error) {
	all := geo.All()
	out := make([]CountryName, len(all))
	for i, c := range all {
		out[i] = CountryName{c.String(), c.Name()}
	}
	return &countriesOutput{out}, nil
}

func (a *API) statsRoutes(h huma.API) {
	tags := []string{"shield"}
	route(a, h, huma.Operation{OperationID: "stats", Method: http.MethodGet, Path: "/api/v1/shield/stats", Tags: tags,
		Summary: "Nodes, verdicts and sources now"}, Operator, a.statsNow)
	route(a, h, huma.Operation{OperationID: "stream", Method: http.MethodGet, Path: "/api/v1/shield/stream", Tags: tags, Metadata: isHeld(),
		Summary: "Stats once a second, as server-sent events", Description: "Each event is called stats and has a Stats in JSON.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "event: stats, data: a Stats in JSON"}}}}},
	}, Operator, a.stream)
	route(a, h, huma.Operation{OperationID: "list-countries", Method: http.MethodGet, Path: "/api/v1/shield/countries", Tags: tags,
		Summary: "Countries that a policy may name"}, Operator, a.countries)
}
