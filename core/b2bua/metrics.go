package b2bua

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
)

// metrics are the counters of a B2BUA. Label values are words of ours.
type metrics struct {
	ended   *prometheus.CounterVec // by verdict
	dropped *prometheus.CounterVec // by reason: parse, request, response, send
	refused prometheus.Counter
	roamers prometheus.Counter
	panics  prometheus.Counter
	info    prometheus.Counter
	gauges  []prometheus.Collector
}

func newMetrics(b *B2BUA) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "lindero", Subsystem: "b2bua", Name: name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "lindero", Subsystem: "b2bua", Name: name, Help: help}, f)
	}
	total := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "lindero", Subsystem: "b2bua", Name: name, Help: help}, f)
	}
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "lindero", Subsystem: "b2bua", Name: "calls_total", Help: "Calls that ended, by verdict.",
		}, []string{"verdict"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "lindero", Subsystem: "b2bua", Name: "dropped_total", Help: "Messages that were not understood or could not be sent.",
		}, []string{"reason"}),
		refused: counter("calls_refused_total", "Calls refused because there were too many, or at shutdown."),
		roamers: counter("roaming_refused_total", "Calls refused because their user has as many from elsewhere as the company lets."),
		panics:  counter("panics_total", "Panics that ended a call instead of the process."),
		info:    counter("info_total", "INFO requests inside calls: digits, mostly."),
		gauges: []prometheus.Collector{
			gauge("calls", "Calls now.", func() float64 { return float64(b.live.Load()) }),
			gauge("dialogs", "Dialogs now, also those that ring or are being closed.", func() float64 { return float64(b.legs.len()) }),
			gauge("transactions", "Transactions now.", func() float64 { return float64(b.txs.len()) }),
			gauge("cdrs_pending", "CDRs that wait to be written.", func() float64 { return float64(b.cdrs.pending.Load()) }),
			total("cdr_failures_total", "Failed tries to write a CDR.", func() float64 { return float64(b.cdrs.retries.Load()) }),
			total("cdrs_lost_total", "CDRs that were logged instead of written, at shutdown.", func() float64 { return float64(b.cdrs.lost.Load()) }),
		},
	}
	for _, v := range []tenancy.Verdict{tenancy.OK, tenancy.Caller, tenancy.Callee, tenancy.Upstream, tenancy.Ours} {
		m.ended.WithLabelValues(string(v))
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range append([]prometheus.Collector{m.ended, m.dropped, m.refused, m.roamers, m.panics, m.info}, m.gauges...) {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
