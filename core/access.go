package core

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/wire/sip"
)

// A doorman judges from where a company's terminals are used, once it is known
// whose request it is: by the company's own countries and networks, after the
// platform's policy let the source in.
type doorman struct {
	judged *prometheus.CounterVec // by ground
	log    *slog.Logger

	mu     sync.Mutex // guards the fields below
	rules  map[tenancy.CompanyID]accessRules
	minute int64                           // in which told was begun, since 1970
	told   map[tenancy.TerminalID]struct{} // whose refusal was logged in this minute
}

// accessRules are a company's rules, read from one revision of its document.
type accessRules struct {
	revision uint64
	policy.Access
}

// Bounds of what a doorman remembers. Both tables begin anew when they are full:
// then something is read, or logged, once more.
const (
	maxRules = 8192
	maxTold  = 8192
)

func newDoorman(reg prometheus.Registerer, log *slog.Logger) (*doorman, error) {
	d := &doorman{
		judged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lindero_core_access_total", Help: "Requests of companies that bound where their terminals are used, by why they were let in or not.",
		}, []string{"ground"}),
		log: log, rules: map[tenancy.CompanyID]accessRules{}, told: map[tenancy.TerminalID]struct{}{},
	}
	for _, g := range []policy.Ground{policy.GroundNetwork, policy.GroundCountry, policy.GroundRoadWarrior, policy.GroundElsewhere} {
		d.judged.WithLabelValues(string(g))
	}
	if reg == nil {
		return d, nil
	}
	return d, reg.Register(d.judged)
}

// admits tells whether the terminal may be used from where the request m comes
// from. roaming is 0, or, when it may be so only as a road warrior, how many calls
// its user may have at one time: how many there are is for who counts calls.
func (d *doorman) admits(ctx context.Context, m *sip.Message, t *tenancy.Terminal, company *store.Tenant) (roaming int, ok bool, err error) {
	rules, err := d.of(ctx, company)
	if err != nil {
		return 0, false, err
	}
	at := placeOf(m)
	ok, why := rules.Judge(at.addr, at.country, 0)
	if !at.table {
		ok, why = rules.JudgeWithoutTable(at.addr, 0)
	}
	if why.Ground == policy.GroundOpen {
		return 0, true, nil
	}
	d.judged.WithLabelValues(string(why.Ground)).Inc()
	if why.Ground == policy.GroundRoadWarrior {
		roaming = rules.RoadWarrior
	}
	if !ok {
		d.tell(t, at, why)
	}
	return roaming, ok, nil
}

// of is the company's rules as they are now.
func (d *doorman) of(ctx context.Context, company *store.Tenant) (policy.Access, error) {
	kept, err := company.Access(ctx)
	if err != nil {
		return policy.Access{}, err
	}
	d.mu.Lock()
	r, read := d.rules[company.ID()]
	d.mu.Unlock()
	if read && r.revision == kept.Revision {
		return r.Access, nil
	}
	r = accessRules{revision: kept.Revision}
	if err := json.Unmarshal(kept.Document, &r.Access); err != nil {
		return policy.Access{}, fmt.Errorf("core: access of company %d: %w", company.ID(), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.rules) >= maxRules {
		clear(d.rules)
	}
	d.rules[company.ID()] = r
	return r.Access, nil
}

// tell logs a refusal, once a minute for each terminal: its phone tries again
// and again.
func (d *doorman) tell(t *tenancy.Terminal, at place, why policy.Reason) {
	d.mu.Lock()
	minute := time.Now().Unix() / 60
	if minute != d.minute || len(d.told) >= maxTold {
		d.minute = minute
		clear(d.told)
	}
	_, again := d.told[t.ID]
	d.told[t.ID] = struct{}{}
	d.mu.Unlock()
	if !again {
		d.log.Warn("access refused", "company", t.Company, "user", t.User, "terminal", t.Username,
			"source", at.addr, "country", at.country, "reason", why.Rule, "change", strings.Join(why.Change, "; or "))
	}
}

// A place is where a request comes from, as the edge saw it.
type place struct {
	addr    netip.Addr
	country geo.Country
	table   bool // the edge has a country table
}

// placeOf reads Lindero-Source. What cannot be read is nowhere.
func placeOf(m *sip.Message) (p place) {
	value := m.Get(sip.LinderoSource)
	addr, params, _ := strings.Cut(string(value), ";")
	if a, err := netip.ParseAddrPort(addr); err == nil {
		p.addr = a.Addr().Unmap().WithZone("")
	}
	code, told := sip.Param([]byte(";"+params), "country")
	if told {
		var err error
		p.country, err = geo.ParseCountry(string(code))
		p.table = err == nil
	}
	return p
}
