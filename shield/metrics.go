package shield

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// metrics are what the guard counts itself; packets the filter counts.
type metrics struct {
	offences     [offences]atomic.Uint64
	lost         atomic.Uint64 // sightings that found the queue full
	reportFaults atomic.Uint64
	sampleFaults atomic.Uint64
	saveFaults   atomic.Uint64
	notEnforced  atomic.Uint64 // policies and tables that were refused
}

func (m *metrics) offence(o Offence) {
	if int(o) < offences {
		m.offences[o].Add(1)
	}
}

var (
	packetsDesc  = prometheus.NewDesc("lindero_shield_packets_total", "Packets by how they ended and where they came from, since the filter was attached.", []string{"verdict", "country"}, nil)
	bansDesc     = prometheus.NewDesc("lindero_shield_bans", "Sources that are banned.", nil, nil)
	sourcesDesc  = prometheus.NewDesc("lindero_shield_sources", "Sources of a better class than unknown.", []string{"class"}, nil)
	policyDesc   = prometheus.NewDesc("lindero_shield_policy_version", "Version of the policy in force.", nil, nil)
	tableDesc    = prometheus.NewDesc("lindero_shield_table_info", "The country table in force.", []string{"version", "type"}, nil)
	modeDesc     = prometheus.NewDesc("lindero_shield_mode_info", "Who judges packets.", []string{"mode"}, nil)
	offencesDesc = prometheus.NewDesc("lindero_shield_offences_total", "Offences that the roles told.", []string{"offence"}, nil)
	coreDesc     = prometheus.NewDesc("lindero_shield_core_reachable", "1 when core answered the last time it was asked.", nil, nil)
	clockDesc    = prometheus.NewDesc("lindero_shield_core_clock_ahead_seconds", "By how much core's clock is ahead of this machine's.", nil, nil)
	faultsDesc   = prometheus.NewDesc("lindero_shield_faults_total", "What went wrong.", []string{"fault"}, nil)
)

// collector shows a Guard to Prometheus, and reads the filter when it is asked.
type collector struct{ g *Guard }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{packetsDesc, bansDesc, sourcesDesc, policyDesc, tableDesc, modeDesc, offencesDesc, coreDesc, clockDesc, faultsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	g := c.g
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	all, err := g.post.Load().counters()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(packetsDesc, err)
	} else {
		for country := range all {
			for v, n := range all[country] {
				if n != 0 {
					counter(packetsDesc, n, policy.Verdict(v).String(), geo.Country(country).String())
				}
			}
		}
	}
	census := g.ledger.census(time.Now())
	gauge(bansDesc, float64(census.bans))
	gauge(sourcesDesc, float64(census.known), policy.Known.String())
	gauge(sourcesDesc, float64(census.registered), policy.Registered.String())
	gauge(policyDesc, float64(g.force.Load().version.Number))
	if t := g.table.Load(); t != nil {
		gauge(tableDesc, 1, t.Info().Version, t.Info().Type)
	}
	gauge(modeDesc, 1, g.post.Load().mode)
	for o := range Offence(offences) {
		counter(offencesDesc, g.tallied.offences[o].Load(), offenceLabels[o])
	}
	if g.core != nil {
		reachable := 0.0
		if heard, fault := g.contact.state(); fault == "" && !heard.IsZero() {
			reachable = 1
		}
		gauge(coreDesc, reachable)
		gauge(clockDesc, g.contact.coreAhead().Ahead().Seconds())
	}
	counter(faultsDesc, g.tallied.lost.Load(), "sighting_lost")
	counter(faultsDesc, g.tallied.reportFaults.Load(), "report")
	counter(faultsDesc, g.calls.endedLost(), "ended_call")
	counter(faultsDesc, g.tallied.sampleFaults.Load(), "sample")
	counter(faultsDesc, g.tallied.saveFaults.Load(), "state_not_written")
	counter(faultsDesc, g.tallied.notEnforced.Load(), "refused_policy_or_table")
	counter(faultsDesc, g.notes.unlisted(), "sampled_packet_unlisted")
	counter(faultsDesc, census.full, "no_room")
	counter(faultsDesc, census.failed, "filter_write")
}

var offenceLabels = [offences]string{BadCredentials: "bad_credentials", Malformed: "malformed", Scanner: "scanner"}

// A census counts what the ledger holds.
type census struct {
	bans, known, registered int
	full, failed            uint64
}

func (l *ledger) census(now time.Time) census {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := census{full: l.full, failed: l.failed}
	c.known, c.registered = l.standings.count(now)
	for k := range l.bans.keys() {
		if _, ok := l.bans.of(k, now); ok {
			c.bans++
		}
	}
	return c
}
