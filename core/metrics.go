package core

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/auth"
)

// metrics are what the front counts. Label values are our own words, never text
// from the wire.
type metrics struct {
	messages *prometheus.CounterVec // by kind
	dropped  *prometheus.CounterVec // by why
	verdicts *prometheus.CounterVec // of credentials
	replies  *prometheus.CounterVec // by code
	failures prometheus.Counter     // of the database

	log    *slog.Logger
	spoken atomic.Int64 // when a failure was last logged, Unix seconds
}

// failureEvery is how often failures of the database are logged: once is news,
// one per request would bury it.
const failureEvery = 10 * time.Second

func newMetrics(reg prometheus.Registerer, log *slog.Logger) (*metrics, error) {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		messages: vec("lindero_core_messages_total", "SIP messages received from edges.", "kind"),
		dropped:  vec("lindero_core_dropped_total", "SIP messages that could not be used or answered.", "why"),
		verdicts: vec("lindero_core_credentials_total", "Requests that need credentials, by what theirs were worth.", "verdict"),
		replies:  vec("lindero_core_replies_total", "Responses made without the B2BUA.", "code"),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lindero_core_database_failures_total", Help: "Requests the database failed."}),
		log: log,
	}
	for _, k := range []string{"request", "response"} {
		m.messages.WithLabelValues(k)
	}
	for _, v := range []auth.Verdict{auth.Wrong, auth.None, auth.Stale, auth.Accepted} {
		m.verdicts.WithLabelValues(v.String())
	}
	for _, c := range []prometheus.Collector{m.messages, m.dropped, m.verdicts, m.replies, m.failures} {
		if reg == nil {
			break
		}
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// failed takes note of a failure of the database.
func (m *metrics) failed(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	m.failures.Inc()
	now, last := time.Now().Unix(), m.spoken.Load()
	if now-last >= int64(failureEvery/time.Second) && m.spoken.CompareAndSwap(last, now) {
		m.log.Error("database", "err", err)
	}
}
