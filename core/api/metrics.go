package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the API counts. Label values are our own words.
type metrics struct {
	requests    *prometheus.CounterVec   // by operation and code
	seconds     *prometheus.HistogramVec // by operation
	refused     *prometheus.CounterVec   // by why
	watching    prometheus.Gauge
	bansTaken   prometheus.Counter
	bansRefused prometheus.Counter
	failures    prometheus.Counter
	panics      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, a *API) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lindero_core_http_requests_total", Help: "Requests to the API."}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lindero_core_http_seconds", Help: "How long they took; watch and stream are held on purpose.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30}}, []string{"operation"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lindero_core_http_refused_total", Help: "What was not let in: no such token, another scope, another node's name, another content type, too many connections of one address."}, []string{"why"}),
		watching: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lindero_core_watches", Help: "Nodes that wait for something to do."}),
		bansTaken:   counter("lindero_core_node_bans_total", "Bans that nodes made."),
		bansRefused: counter("lindero_core_node_bans_refused_total", "Reports with bans for which there was no room."),
		failures:    counter("lindero_core_api_database_failures_total", "Requests to the API that the database failed."),
		panics:      counter("lindero_core_http_panics_total", "Requests that broke the API. Each is a bug."),
	}
	for _, why := range []string{"token", "scope", "node", "type", "connections"} {
		m.refused.WithLabelValues(why)
	}
	collectors := []prometheus.Collector{
		m.requests, m.seconds, m.refused, m.watching, m.bansTaken, m.bansRefused, m.failures, m.panics,
		gauge("lindero_core_nodes", "Nodes that were heard of in the last minute.", func() float64 {
			n := 0
			for _, d := range a.nodes.status() {
				if !d.Gone {
					n++
				}
			}
			return float64(n)
		}),
		gauge("lindero_core_sources", "Sources seen at the border in the last hour.", func() float64 { n, _ := a.sources.count(); return float64(n) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "lindero_core_sources_forgotten_total",
			Help: "Rare sources forgotten for want of room."}, func() float64 { _, n := a.sources.count(); return float64(n) }),
		gauge("lindero_core_policy_version", "The version of the policy in force.", func() float64 { n, _ := a.board.look(); return float64(n.policy.Number) }),
		gauge("lindero_core_policy_unusable", "1 while the policy that was put last cannot be used, so that an older one is in force.", func() float64 {
			if n, _ := a.board.look(); n.fault != "" {
				return 1
			}
			return 0
		}),
		gauge("lindero_core_bans", "Bans in force.", func() float64 {
			count := 0
			n, _ := a.board.look()
			for _, b := range n.bans {
				if b.Until.After(time.Now()) {
					count++
				}
			}
			return float64(count)
		}),
	}
	for _, c := range collectors {
		if reg == nil {
			break
		}
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
