package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/session"
)

// another is the same offer for another call.
func another(c ng.Command) ng.Command {
	c.CallID = "another"
	return c
}

// overloaded checks that a new call is refused for a reason, that the old one goes on,
// and that the relay says so wherever it is asked.
func overloaded(t *testing.T, g *rig, a, b *phone, limit, reason string) {
	t.Helper()
	if r := g.do(another(offer(a, outside)), ng.ResultLoadLimit); !strings.Contains(r.ErrorReason, reason) {
		t.Errorf("%q does not say %q", r.ErrorReason, reason)
	}
	g.connect(a, b, outside) // again
	talk(a, b, 3)
	if r := g.do(ng.Command{Name: ng.Ping}, ng.ResultPong); !strings.Contains(r.Warning, reason) {
		t.Errorf("ping: %q", r.Warning)
	}
	said := g.do(ng.Command{Name: ng.Statistics}, ng.ResultOK).More.Dict(ng.KeyStatistics).Dict("load").Text("refuses")
	if !strings.Contains(said, reason) {
		t.Errorf("statistics: %q", said)
	}
	if s := g.relay.Status(); !strings.Contains(s.Refuses, reason) {
		t.Errorf("status: %q", s.Refuses)
	}
	for _, name := range []string{"lindero_relay_refusing", "lindero_relay_refused_total"} {
		if n := g.metric(name, "limit", limit); n != 1 {
			t.Errorf("%s of %s is %v", name, limit, n)
		}
	}
}

// metric is the value of the metric with a label.
func (g *rig) metric(name, label, value string) float64 {
	g.t.Helper()
	all, err := g.reg.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
			if label == "" {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	g.t.Fatalf("there is no %s of %s %q", name, label, value)
	return 0
}

func TestBandwidthLimit(t *testing.T) {
	g := newRig(t, func(c *relay.Config) { c.Limits.Bandwidth = 0.1 })
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	eventually(t, "so much is refused", func() bool {
		talk(a, b, 1)
		return g.relay.Status().Refuses != ""
	})
	overloaded(t, g, a, b, "bandwidth", "and the limit is 0.1")
	eventually(t, "silence is taken", func() bool { return g.relay.Status().Refuses == "" })
	g.do(another(offer(a, outside)), ng.ResultOK)
}

func TestCPULimit(t *testing.T) {
	g := newRig(t, func(c *relay.Config) { c.Limits.CPU = 0.0001 }) // this test is more
	a, b := newPhone(t, outside), newPhone(t, inside)
	if r := g.try(offer(a, outside)); r.Result != ng.ResultOK {
		t.Skip("the machine is looked at before the first call: ", r.ErrorReason)
	}
	eventually(t, "a busy machine refuses", func() bool {
		g.do(ng.Command{Name: ng.Statistics}, ng.ResultOK)
		return g.relay.Status().Refuses != ""
	})
	overloaded(t, g, a, b, "cpu", "% of the processors are busy")
}

func TestDrain(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	eventually(t, "it runs", func() bool { return g.relay.Ready() == nil })
	g.relay.Drain(time.Time{})
	if err := g.relay.Ready(); err == nil || !strings.Contains(err.Error(), "draining, 1 calls are left") {
		t.Errorf("ready: %v", err)
	}
	overloaded(t, g, a, b, "draining", "no new calls are taken")
	if n := g.metric("lindero_relay_draining", "", ""); n != 1 {
		t.Errorf("the metric says %v", n)
	}
	if g.relay.Status().Drained {
		t.Error("drained with a call")
	}
	g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
	if !g.relay.Status().Drained {
		t.Error("not drained without calls")
	}
	g.relay.Undrain()
	if g.relay.Ready() != nil {
		t.Error("not ready")
	}
	g.do(another(offer(a, outside)), ng.ResultOK)
}

// A relay that ends when it is drained does so with its last call, and at the deadline.
func TestDrainEnds(t *testing.T) {
	for name, deadline := range map[string]time.Duration{"last call": 0, "deadline": time.Second} {
		t.Run(name, func(t *testing.T) {
			cfg := relay.DefaultConfig()
			cfg.NG = netip.MustParseAddrPort("127.0.0.1:0")
			cfg.External.Bind, cfg.Internal.Bind = netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
			r, err := relay.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), relay.EndWhenDrained())
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- r.Run(context.Background()) }()
			g := newClientOf(t, r.Addresses().NG)
			a := newPhone(t, outside)
			g.do(offer(a, outside), ng.ResultOK)
			at := time.Time{}
			if deadline > 0 {
				at = time.Now().Add(deadline)
			}
			r.Drain(at)
			begun := time.Now()
			if deadline == 0 {
				select {
				case err := <-ended:
					t.Fatalf("it ended with a call: %v", err)
				case <-time.After(1500 * time.Millisecond):
				}
				g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, relay.ErrDrained) {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
			if time.Since(begun) < deadline {
				t.Error("it ended before its deadline")
			}
		})
	}
}

func TestHandler(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 60)
	h := g.relay.Handler()
	ask := func(method, path, body string, status int, into any) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code != status {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, w.Body)
		}
	}
	var s relay.Status
	ask("GET", "/relay/status", "", http.StatusOK, &s)
	if s.Calls != 1 || s.User != 1 || s.Packets != 120 || s.UserPackets != 120 || len(s.Addresses) != 2 || s.Addresses[0].Lent != 1 || s.State != nil {
		t.Errorf("%+v", s)
	}
	var all []session.Session
	for _, query := range []string{"", "?limit=5", "?call=call"} {
		if ask("GET", "/relay/sessions"+query, "", http.StatusOK, &all); len(all) != 1 || all[0].CallID != "call" || all[0].Streams[0].Legs[1].Packets != 60 {
			t.Errorf("%s: %+v", query, all)
		}
	}
	var worst []relay.Worst
	if ask("GET", "/relay/worst", "", http.StatusOK, &worst); len(worst) != 2 || worst[0].MOS < 3 || worst[0].CallID != "call" || worst[0].Packets != 60 {
		t.Errorf("%+v", worst)
	}
	var fault map[string]string
	ask("GET", "/relay/sessions?call=nobody", "", http.StatusNotFound, &fault)
	ask("GET", "/relay/sessions?limit=0", "", http.StatusBadRequest, &fault)
	ask("POST", "/relay/drain", `{"deadline":"2001-01-01T00:00:00Z"}`, http.StatusBadRequest, &fault)
	ask("POST", "/relay/drain", `{"when":1}`, http.StatusBadRequest, &fault)
	if ask("POST", "/relay/drain", `{"deadline":"2101-01-01T00:00:00Z"}`, http.StatusOK, &s); s.Drain == nil || s.Drain.Deadline.Year() != 2101 {
		t.Errorf("%+v", s.Drain)
	}
	s = relay.Status{}
	if ask("POST", "/relay/drain", `{"undrain":true}`, http.StatusOK, &s); s.Drain != nil {
		t.Errorf("%+v", s.Drain)
	}
}

// What a call was like goes into histograms when it ends.
func TestHistograms(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 60)
	g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
	for _, name := range []string{"call_loss_ratio", "call_jitter_seconds", "call_mos"} {
		if n := g.metric("lindero_relay_"+name, "", ""); n != 2 {
			t.Errorf("%s has %v directions", name, n)
		}
	}
}

// A full address gives the next one of its name, and a full relay says so.
func TestFullAddressesGiveTheNext(t *testing.T) {
	named := func(name, bind string) relay.Named {
		return relay.Named{Name: name, Interface: relay.Interface{Bind: netip.MustParseAddr(bind)}}
	}
	g := newRig(t, func(c *relay.Config) {
		c.MediaPorts = relay.PortRange{Low: 30000, High: 30007} // four pairs at each
		c.Interfaces = []relay.Named{named("external", "127.0.0.2"), named("external", "127.0.0.4"), named("external", "127.0.0.5"), named("internal", "127.0.0.3"),
			named("internal", "127.0.0.6"), named("internal", "127.0.0.7")}
	})
	a := newPhone(t, outside)
	for i := range 12 {
		c := offer(a, outside)
		c.CallID = fmt.Sprint(i)
		g.do(c, ng.ResultOK)
	}
	lent := map[string]int{}
	for _, at := range g.relay.Status().Addresses {
		lent[at.Address.String()] = at.Lent
		if n := g.metric("lindero_relay_port_pairs", "address", at.Address.String()); at.Lent != 4 || at.Free != 0 || n != 0 {
			t.Errorf("%+v, and the first metric says %v", at, n)
		}
	}
	if len(lent) != 6 {
		t.Errorf("%v", lent)
	}
	if r := g.do(another(offer(a, outside)), ng.ResultLoadLimit); !strings.Contains(r.ErrorReason, "none free") {
		t.Errorf("%q", r.ErrorReason)
	}
	if n := g.metric("lindero_relay_refused_total", "limit", "ports"); n != 1 {
		t.Errorf("%v refused", n)
	}
}
