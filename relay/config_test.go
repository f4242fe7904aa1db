package relay_test

import (
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := relay.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// The forms in which a configuration file writes what is no plain number or text.
func TestTextForms(t *testing.T) {
	for in, bad := range map[string]bool{
		"10.1.0.1": false, "10.1.0.1!198.51.100.1": false, "2001:db8::1": false,
		"": true, "localhost": true, "10.1.0.1!": true, "10.1.0.1:80": true,
	} {
		var v relay.Interface
		if err := v.UnmarshalText([]byte(in)); (err != nil) != bad {
			t.Errorf("interface %q: %v", in, err)
		} else if out, _ := v.MarshalText(); !bad && string(out) != in {
			t.Errorf("interface %q is written %q", in, out)
		}
	}
	for in, bad := range map[string]bool{"20000-29999": false, "1-65535": false, "2-1": true, "1": true, "1-65536": true, "a-b": true} {
		var v relay.PortRange
		if err := v.UnmarshalText([]byte(in)); (err != nil) != bad {
			t.Errorf("ports %q: %v", in, err)
		} else if out, _ := v.MarshalText(); !bad && string(out) != in {
			t.Errorf("ports %q are written %q", in, out)
		}
	}
	for in, bad := range map[string]bool{"1m30s": false, "30": true, "": true} {
		var v relay.Duration
		if err := v.UnmarshalText([]byte(in)); (err != nil) != bad {
			t.Errorf("duration %q: %v", in, err)
		} else if out, _ := v.MarshalText(); !bad && string(out) != in {
			t.Errorf("duration %q is written %q", in, out)
		}
	}
	face := relay.Interface{Bind: netip.MustParseAddr("10.1.0.1")}
	if face.Advertised() != face.Bind {
		t.Errorf("without another, %v is advertised", face.Advertised())
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	c := relay.Config{
		NG:       netip.MustParseAddrPort("0.0.0.0:2223"),
		External: relay.Interface{Bind: netip.MustParseAddr("0.0.0.0")}, Internal: relay.Interface{},
		MediaPorts: relay.PortRange{Low: 80, High: 81}, PortRest: -1,
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, key := range []string{"id:", "ng:", "external:", "internal:", "media_ports:", "max_calls:", "idle:", "port_rest:"} {
		found := false
		for _, l := range lines {
			found = found || strings.HasPrefix(l, key)
		}
		if !found {
			t.Errorf("nothing about %s in\n%v", key, err)
		}
	}
}

// A name that core would not take leaves the relay without a policy for ever.
func TestIDIsANodesName(t *testing.T) {
	for id, ok := range map[string]bool{
		"relay-1": true, "r": true, "1.a_b": true, strings.Repeat("x", 32): true,
		"": false, "-r": false, ".": false, "relay 1": false, "a/b": false, "é": false, strings.Repeat("x", 33): false,
	} {
		c := relay.DefaultConfig()
		c.ID = id
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	cfg := relay.DefaultConfig()
	cfg.NG = addr(listen(t, "127.0.0.1"))
	_, err := relay.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), cfg.NG.String()) || !strings.Contains(err.Error(), "key ng") {
		t.Errorf("%v", err)
	}
}

// A constructor that fails closes what it opened.
func TestNewTwiceInOneRegistry(t *testing.T) {
	cfg := relay.DefaultConfig()
	cfg.NG = netip.MustParseAddrPort("127.0.0.1:0")
	reg := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	first, err := relay.New(cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	if first.Ready() == nil {
		t.Error("ready before it runs")
	}
	cfg.NG = first.Addresses().NG
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second would find the port in use, had the first kept it
		if _, err := relay.New(cfg, log, reg); err == nil || !strings.Contains(err.Error(), "metrics") {
			t.Errorf("%v", err)
		}
	}
}

// watched is what TestMetrics must find.
var watched = map[string]float64{
	"lindero_relay_calls": 1, "lindero_relay_legs": 4,
	"lindero_relay_packets_total forwarded":      10,
	"lindero_relay_packets_total wrong_source":   0,
	"lindero_relay_port_pairs 127.0.0.2 lent":    1,
	"lindero_relay_port_pairs 127.0.0.3 resting": 0,
	"lindero_relay_commands_total offer ok":      1,
	"lindero_relay_commands_total unknown error": 1,
	"lindero_relay_calls_ended_total idle":       0,
}

func TestMetrics(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 5)
	g.do(ng.Command{Name: "dance"}, ng.ResultError)
	// A packet arrives a moment before it is counted as sent.
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		got := g.metrics()
		if maps.Equal(got, watched) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got  %v\nwant %v", got, watched)
		}
	}
}

// metrics are those this test looks at, by name and labels.
func (g *rig) metrics() map[string]float64 {
	g.t.Helper()
	families, err := g.reg.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if _, looked := watched[name]; looked {
				got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return got
}
