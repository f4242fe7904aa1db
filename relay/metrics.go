package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
)

// meters are a relay's metrics. What others count already is read on scrape.
type meters struct {
	relay                              *Relay
	commands                           *prometheus.CounterVec
	calls, legs, ended, ports, packets *prometheus.Desc
	control, conns                     *prometheus.Desc
}

func newMeters(r *Relay) *meters {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lindero_relay_"+name, help, labels, nil)
	}
	return &meters{
		relay: r,
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lindero_relay_commands_total", Help: "NG commands by what they were and how they ended.",
		}, []string{"command", "result"}),
		calls:   desc("calls", "Live calls."),
		legs:    desc("legs", "Ports lent to live calls, RTP and RTCP."),
		ended:   desc("calls_ended_total", "Calls that ended, by why.", "why"),
		ports:   desc("port_pairs", "Pairs of media ports by what they do.", "address", "state"),
		control: desc("control_total", "NG commands and connections by what became of them.", "event"),
		conns:   desc("control_connections", "Open connections of those who send NG commands."),
		packets: desc("packets_total", "Packets on media ports by how they ended.", "verdict"),
	}
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

// Describe implements prometheus.Collector.
func (m *meters) Describe(ch chan<- *prometheus.Desc) {
	m.commands.Describe(ch)
	for _, d := range []*prometheus.Desc{m.calls, m.legs, m.ended, m.ports, m.packets, m.control, m.conns} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *meters) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	m.commands.Collect(ch)
	calls, legs, ended := m.relay.calls.Counts()
	gauge(m.calls, calls)
	gauge(m.legs, legs)
	for _, why := range call.Reasons() {
		counter(m.ended, ended[why], why.String())
	}
	for addr, pool := range m.relay.pools {
		free, lent, resting := pool.Counts()
		gauge(m.ports, free, addr.String(), "free")
		gauge(m.ports, lent, addr.String(), "lent")
		gauge(m.ports, resting, addr.String(), "resting")
	}
	s := m.relay.ng.server.Stats()
	for event, n := range map[string]uint64{
		"command": s.Commands, "duplicate": s.Duplicates, "malformed": s.Malformed, "dropped": s.Dropped,
		"refused connection": s.Refused, "slow connection": s.Slow,
	} {
		counter(m.control, n, event)
	}
	gauge(m.conns, s.Conns)
	sums := m.relay.table.Packets()
	for v := range forward.Verdicts {
		counter(m.packets, sums[v], v.String())
	}
}
