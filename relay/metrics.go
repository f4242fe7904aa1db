package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
)

// meters are a relay's metrics. What others count already is read on scrape.
type meters struct {
	relay             *Relay
	commands, refused *prometheus.CounterVec
	loss, jitter, mos prometheus.Histogram

	calls, legs, ended, ports, packets  *prometheus.Desc
	control, conns                      *prometheus.Desc
	paths, mode, fallbacks, refusedLegs *prometheus.Desc
	load, limit, refuses, draining      *prometheus.Desc
	journal, faulty, resumed            *prometheus.Desc
}

func newMeters(r *Relay) *meters {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lindero_relay_"+name, help, labels, nil)
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lindero_relay_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lindero_relay_" + name, Help: help, Buckets: buckets})
	}
	m := &meters{
		relay:    r,
		commands: vec("commands_total", "NG commands by what they were and how they ended.", "command", "result"),
		refused:  vec("refused_total", "New calls that were refused, by the limit that was reached.", "limit"),
		loss: histogram("call_loss_ratio", "Share of packets that never came, of each direction of a call that ended.",
			0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
		jitter: histogram("call_jitter_seconds", "Jitter of each direction of a call that ended (RFC 3550).",
			0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25),
		mos: histogram("call_mos", "Mean opinion score of each direction of a call that ended (G.107).",
			1.5, 2, 2.5, 3, 3.3, 3.6, 3.8, 4, 4.2, 4.3, 4.4),
		calls:       desc("calls", "Live calls."),
		legs:        desc("legs", "Ports lent to live calls, RTP and RTCP."),
		ended:       desc("calls_ended_total", "Calls that ended, by why.", "why"),
		ports:       desc("port_pairs", "Pairs of media ports by what they do.", "address", "state"),
		control:     desc("control_total", "NG commands and connections by what became of them.", "event"),
		conns:       desc("control_connections", "Open connections of those who send NG commands."),
		packets:     desc("packets_total", "Packets on media ports by how they ended.", "verdict"),
		paths:       desc("calls_by_path", "Live calls by how their RTP goes: all by the kernel, one way, none.", "path"),
		mode:        desc("forwarding_info", "Always 1; the labels say how packets of a device go, and why not better.", "device", "mode", "reason"),
		fallbacks:   desc("kernel_passed_total", "Packets that the kernel's program did not repeat, by why.", "reason"),
		refusedLegs: desc("kernel_refused_legs_total", "Legs that the kernel would not take."),
		load:        desc("load", "What limits are about, now: bandwidth in Mbit/s, cpu as a share.", "limit"),
		limit:       desc("limit", "The limits in force, in the same units.", "limit"),
		refuses:     desc("refusing", "1 while new calls are refused because of a limit, or draining.", "limit"),
		draining:    desc("draining", "1 while the relay takes no new calls so that it can be taken away."),
		journal:     desc("state_bytes", "Bytes of the journal that keeps calls over a restart."),
		faulty:      desc("state_faulty", "1 while the journal cannot be written."),
		resumed:     desc("resumed_calls", "Calls that this process took over from the one before.", "result"),
	}
	for _, name := range limits() {
		m.refused.WithLabelValues(name)
	}
	return m
}

// command counts one command. Names that are not ours are one label value: the
// label never comes from the wire.
func (m *meters) command(name, result string) {
	known := false
	for _, c := range counted() {
		known = known || c.name == name
	}
	if !known {
		name = "unknown"
	}
	m.commands.WithLabelValues(name, result).Inc()
}

// own are the metrics that count by themselves.
func (m *meters) own() []prometheus.Collector {
	return []prometheus.Collector{m.commands, m.refused, m.loss, m.jitter, m.mos}
}

// Describe implements prometheus.Collector.
func (m *meters) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.own() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{
		m.calls, m.legs, m.ended, m.ports, m.packets, m.control, m.conns, m.paths, m.mode, m.fallbacks, m.refusedLegs,
		m.load, m.limit, m.refuses, m.draining, m.journal, m.faulty, m.resumed,
	} {
		ch <- d
	}
}

// A sheet is where what was read on a scrape is written.
type sheet chan<- prometheus.Metric

func (s sheet) gauge(d *prometheus.Desc, n float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
}

func (s sheet) counter(d *prometheus.Desc, n uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// Collect implements prometheus.Collector.
func (m *meters) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.own() {
		c.Collect(ch)
	}
	done, ok := m.relay.hold()
	if !ok {
		return
	}
	defer done()
	out := sheet(ch)
	m.collectCalls(out)
	m.collectPackets(out)
	m.collectLoad(out)
}

func (m *meters) collectCalls(out sheet) {
	r := m.relay
	calls, legs, ended := r.calls.Counts()
	out.gauge(m.calls, float64(calls))
	out.gauge(m.legs, float64(legs))
	for _, why := range call.Reasons() {
		out.counter(m.ended, ended[why], why.String())
	}
	_, live := r.load.last() // at most a second old; it takes a look at every call
	out.gauge(m.paths, float64(live.Kernel), "kernel")
	out.gauge(m.paths, float64(live.Mixed), "mixed")
	out.gauge(m.paths, float64(live.User), "user space")
	for addr, pool := range r.pools {
		free, lent, resting := pool.Counts()
		out.gauge(m.ports, float64(free), addr.String(), "free")
		out.gauge(m.ports, float64(lent), addr.String(), "lent")
		out.gauge(m.ports, float64(resting), addr.String(), "resting")
	}
	if s := r.state; s != nil {
		out.gauge(m.journal, float64(s.journal.Size()))
		out.gauge(m.faulty, one(s.journal.Fault() != ""))
		out.gauge(m.resumed, float64(s.resumed), "resumed")
		out.gauge(m.resumed, float64(s.lost), "lost")
	}
}

func (m *meters) collectPackets(out sheet) {
	r := m.relay
	s := r.ng.server.Stats()
	for event, n := range map[string]uint64{
		"command": s.Commands, "duplicate": s.Duplicates, "malformed": s.Malformed, "dropped": s.Dropped,
		"refused connection": s.Refused, "slow connection": s.Slow,
	} {
		out.counter(m.control, n, event)
	}
	out.gauge(m.conns, float64(s.Conns))
	sums := r.table.Packets()
	for v := range forward.Verdicts {
		out.counter(m.packets, sums[v], v.String())
	}
	if r.kernel == nil {
		out.gauge(m.mode, 1, "", "user space", r.how)
		return
	}
	for _, d := range r.devices() {
		out.gauge(m.mode, 1, d.Name, d.Mode, d.Reason)
	}
	for reason, n := range r.fallbacks() {
		out.counter(m.fallbacks, n, reason)
	}
	out.counter(m.refusedLegs, r.table.Refused())
}

func (m *meters) collectLoad(out sheet) {
	r := m.relay
	rates, live := r.load.last()
	out.gauge(m.load, float64(live.Calls), limitCalls)
	out.gauge(m.load, rates.Bandwidth, limitBandwidth)
	out.gauge(m.load, rates.CPU, limitCPU)
	out.gauge(m.limit, float64(r.maxCalls), limitCalls)
	if r.limits.Bandwidth > 0 {
		out.gauge(m.limit, r.limits.Bandwidth, limitBandwidth)
	}
	if r.limits.CPU > 0 {
		out.gauge(m.limit, r.limits.CPU, limitCPU)
	}
	over := r.refusing()
	for _, name := range limits() {
		if name != limitPorts { // a port may be free at another address
			out.gauge(m.refuses, one(over != nil && over.limit == name), name)
		}
	}
	out.gauge(m.draining, one(r.draining.Load() != nil))
}

// one is how metrics say yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
