package edge

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/wire/sip/transport"
)

// A verdict says why a message did not simply go on. Each is a counter.
type verdict uint8

// The verdicts. The zero verdict is no refusal.
const (
	verdictNone        verdict = iota
	verdictGarbage             // not SIP, or not so much that it could be answered
	verdictMalformed           // answered with the code the scanner named
	verdictHops                // 483: Max-Forwards used up
	verdictLoop                // 482
	verdictScheme              // 416
	verdictExtension           // 420: Proxy-Require
	verdictFull                // 503: the transaction table is full
	verdictToken               // 403: a token that we did not seal
	verdictFlowGone            // 430: the phone's flow is gone
	verdictNoTarget            // 503: core names a target we cannot reach
	verdictCoreDown            // 503: no core can be reached
	verdictRelayDown           // 503: no relay answers in time
	verdictMedia               // 488: no stream that can be anchored
	verdictTimeout             // 408 or silence: the far side did not answer
	verdictStranger            // a connection to the inside that is not core's
	verdictStrayAck            // an ACK that belongs to nothing
	verdictStrayCancel         // 481: a CANCEL that belongs to nothing
	verdictStray               // a response that belongs to nothing
	verdictWrongFlow           // a response from elsewhere than the request went
	verdictUnsent              // a response whose way back is gone
	verdictRoute               // a Route of a stranger's, taken away
	verdictHidden              // a header that named an inside address, taken away
	verdictQueue               // a response dropped because too many waited for the relay
	verdictScanner             // a request of a tool that looks for ways in, not answered
	verdictNotAnchored         // an answer that the relay did not anchor
	numVerdicts
)

var verdictNames = [numVerdicts]string{
	"none", "garbage", "malformed", "hops", "loop", "scheme", "extension", "full", "token", "flow_gone", "no_target",
	"core_down", "relay_down", "media", "timeout", "stranger", "stray_ack", "stray_cancel", "stray", "wrong_flow",
	"unsent", "route", "hidden", "queue", "scanner", "not_anchored",
}

// A tally counts something that has a direction.
type tally struct{ inward, outward atomic.Uint64 }

func (t *tally) add(inward bool) {
	if inward {
		t.inward.Add(1)
		return
	}
	t.outward.Add(1)
}

// metrics counts without locks; Prometheus reads on scrape.
type metrics struct {
	verdicts    [numVerdicts]atomic.Uint64
	requests    tally // forwarded
	responses   tally // forwarded
	repeats     atomic.Uint64
	resent      atomic.Uint64
	pings       atomic.Uint64 // keep-alives sent
	pongs       atomic.Uint64 // and answered
	silent      atomic.Uint64 // flows that left some in a row unanswered
	flowsFull   atomic.Uint64
	stateFaults atomic.Uint64
}

func (m *metrics) count(v verdict) { m.verdicts[v].Add(1) }

var (
	verdictDesc   = prometheus.NewDesc("lindero_edge_verdicts_total", "Messages that did not simply go on, by reason.", []string{"verdict"}, nil)
	messageDesc   = prometheus.NewDesc("lindero_edge_messages_total", "Messages forwarded.", []string{"kind", "direction"}, nil)
	eventDesc     = prometheus.NewDesc("lindero_edge_events_total", "What else happened.", []string{"event"}, nil)
	liveDesc      = prometheus.NewDesc("lindero_edge_live", "Things the edge remembers now.", []string{"thing"}, nil)
	transportDesc = prometheus.NewDesc("lindero_edge_transport_total", "Counters of the sockets.", []string{"face", "event"}, nil)
)

// collector shows an Edge to Prometheus.
type collector struct{ e *Edge }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{verdictDesc, messageDesc, eventDesc, liveDesc, transportDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(v int, thing string) {
		ch <- prometheus.MustNewConstMetric(liveDesc, prometheus.GaugeValue, float64(v), thing)
	}
	m := &c.e.metrics
	for v := verdictNone + 1; v < numVerdicts; v++ {
		counter(verdictDesc, m.verdicts[v].Load(), verdictNames[v])
	}
	counter(messageDesc, m.requests.inward.Load(), "request", "inward")
	counter(messageDesc, m.requests.outward.Load(), "request", "outward")
	counter(messageDesc, m.responses.inward.Load(), "response", "inward")
	counter(messageDesc, m.responses.outward.Load(), "response", "outward")
	counter(eventDesc, m.repeats.Load(), "retransmission_absorbed")
	counter(eventDesc, m.resent.Load(), "retransmission_sent")
	counter(eventDesc, m.pings.Load(), "keepalive_sent")
	counter(eventDesc, m.pongs.Load(), "keepalive_answered")
	counter(eventDesc, m.silent.Load(), "flow_silent")
	counter(eventDesc, m.flowsFull.Load(), "flow_not_learned")
	counter(eventDesc, m.stateFaults.Load(), "state_not_written")
	gauge(c.e.table.Len(), "transactions")
	gauge(c.e.keeper.len(), "flows")
	for _, face := range []struct {
		name  string
		stats transport.Stats
	}{{"outside", c.e.outside.Stats()}, {"inside", c.e.inside.Stats()}} {
		gauge(int(face.stats.Conns), face.name+"_connections")
		for name, v := range socketCounters(face.stats) {
			counter(transportDesc, v, face.name, name)
		}
	}
}

func socketCounters(s transport.Stats) map[string]uint64 {
	return map[string]uint64{
		"datagrams_in": s.DatagramsIn, "datagrams_out": s.DatagramsOut, "messages_in": s.MessagesIn, "messages_out": s.MessagesOut,
		"bytes_in": s.BytesIn, "bytes_out": s.BytesOut, "oversized": s.Oversized, "tiny": s.Tiny, "keepalives": s.KeepAlives,
		"stun": s.STUN, "bad_source": s.BadSource, "denied": s.Denied, "receive_drops": s.ReceiveDrops, "read_errors": s.ReadErrors,
		"send_errors": s.SendErrors, "accepted": s.Accepted, "dialed": s.Dialed, "dials_failed": s.DialsFailed,
		"refused": s.Refused, "refused_source": s.RefusedSource, "accept_errors": s.AcceptErrors,
		"handshakes_failed": s.HandshakesFailed, "idle_closed": s.IdleClosed, "half_closed": s.HalfClosed,
		"pong_missed": s.PongMissed, "stall_closed": s.StallClosed, "queue_overflows": s.QueueOverflows,
		"frames_refused": s.FramesRefused, "pings_in": s.PingsIn, "pings_out": s.PingsOut, "pongs_in": s.PongsIn,
	}
}

func register(reg prometheus.Registerer, e *Edge) error {
	if reg == nil {
		return nil
	}
	if err := reg.Register(collector{e}); err != nil {
		return fmt.Errorf("edge: register metrics: %w", err)
	}
	return nil
}
