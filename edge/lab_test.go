package edge_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/edge"
)

// patience is how long a test waits for what must come.
const patience = 5 * time.Second

// quiet is how long it watches for what must not.
const quiet = 150 * time.Millisecond

// A lab is an edge with a scripted core, a relay that only answers, and whatever
// phones a test adds, all on real sockets.
type lab struct {
	testing.TB
	edge  *edge.Edge
	cfg   edge.Config
	addr  edge.Addresses
	core  *fakeCore
	relay *fakeRelay
	reg   *prometheus.Registry
	guard *recorder // the shield, if the test wants one

	mu      sync.Mutex
	outside bytes.Buffer // every byte phones received
	serial  int
	stop    func()
}

// setup starts a lab; change may alter the edge's configuration first.
func setup(t testing.TB, change func(*lab, *edge.Config)) *lab {
	t.Helper()
	l := &lab{TB: t}
	l.core = newCore(l, "127.0.0.2")
	l.relay = newRelay(l)
	cfg := edge.DefaultConfig()
	cfg.SIP = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Inside = netip.MustParseAddrPort("127.0.0.3:0")
	cfg.Core = []netip.AddrPort{l.core.addr}
	cfg.Relays = []edge.Relay{{ID: "r1", NG: edge.UDP(l.relay.addr)}}
	cfg.KeyFile = filepath.Join(t.TempDir(), "edge.key")
	if change != nil {
		change(l, &cfg)
	}
	l.cfg = cfg
	l.start()
	t.Cleanup(func() { l.stop() })
	return l
}

// start starts the edge, also after stop.
func (l *lab) start() {
	l.Helper()
	l.reg = prometheus.NewRegistry()
	var options []edge.Option
	if l.guard != nil {
		options = append(options, edge.WithShield(l.guard))
	}
	e, err := edge.New(l.cfg, slog.New(slog.DiscardHandler), l.reg, options...)
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	l.edge, l.addr = e, e.Addresses()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			l.Errorf("Run: %v", err)
		}
	})
}

// metric is the sum of the samples of a metric whose labels have the values.
func (l *lab) metric(name string, values ...string) float64 {
	l.Helper()
	families, err := l.reg.Gather()
	if err != nil {
		l.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found := 0
			for _, pair := range m.GetLabel() {
				for _, v := range values {
					if pair.GetValue() == v {
						found++
					}
				}
			}
			if found == len(values) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (l *lab) verdict(v string) float64 {
	l.Helper()
	return l.metric("lindero_edge_verdicts_total", v)
}

// eventually waits until ok.
func (l *lab) eventually(what string, ok func() bool) {
	l.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			l.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// next makes a number that no other call of this lab has.
func (l *lab) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return l.serial
}
