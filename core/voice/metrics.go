package voice

import "github.com/prometheus/client_golang/prometheus"

// metrics count what all sessions do.
type metrics struct {
	sent, ignored, digits prometheus.Counter
	sessions              prometheus.Collector
}

func newMetrics(e *Engine) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "lindero", Subsystem: "voice", Name: name, Help: help})
	}
	return &metrics{
		sent:    counter("packets_sent_total", "RTP packets sent."),
		ignored: counter("packets_ignored_total", "Datagrams that were no RTP, or from elsewhere than the peer said."),
		digits:  counter("digits_total", "Keys pressed, by RFC 4733 or INFO."),
		sessions: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "lindero", Subsystem: "voice", Name: "sessions", Help: "Open sessions.",
		}, func() float64 { return float64(e.Sessions()) }),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.sent, m.ignored, m.digits, m.sessions} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
