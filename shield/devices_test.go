package shield

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

func TestSeveralDevicesAreOneBorder(t *testing.T) {
	w, cfg := newWire(t)
	cfg.Devices = append(cfg.Devices, "lo") // whose driver has no XDP
	g := kernelGuard(t, w, cfg)
	if mode, reason := g.Mode(); mode != "generic" || !strings.HasPrefix(reason, "lo: ") {
		t.Errorf("the mode is %s: %s", mode, reason)
	}
	if err := g.Ban(protocol.Ban{Prefix: pfx("192.0.2.60/32"), Reason: "a test", Until: time.Now().Add(time.Hour), Proven: true}); err != nil {
		t.Fatal(err)
	}
	views, err := g.post.Load().look(judge.Packet{Source: addr("192.0.2.60"), Service: policy.SIP})
	if err != nil || len(views) != 2 {
		t.Fatalf("views are %v, %v", views, err)
	}
	for _, v := range views {
		if v.state.Source == nil || v.state.Source.Class != policy.Ban {
			t.Errorf("on %s the source is %+v", v.device, v.state.Source)
		}
	}
	if e := g.Explain(addr("192.0.2.60"), policy.SIP); !e.Drops || e.Verdict != "banned" {
		t.Errorf("explained as %+v", e)
	}
}

func TestTheKernelKnowsCountries(t *testing.T) {
	w, cfg := newWire(t)
	cfg.Countries = filepath.Join(t.TempDir(), "countries.mmdb")
	writeCountries(t, cfg.Countries, map[string]string{"192.0.2.128/25": "DE"})
	g := kernelGuard(t, w, cfg)
	stop := run(t, g)
	no := policy.Version{Number: 2, Document: policy.Document{Countries: policy.Countries{Deny: []geo.Country{g.Country(addr("192.0.2.200"))}}}}
	if err := g.obeyed(no); err != nil {
		t.Fatal(err)
	}
	want(t, "of a country that is denied", send(t, g, w, "192.0.2.200", 5), "country_denied", 5)
	want(t, "of none", send(t, g, w, "192.0.2.20", 5), "passed", 5)
	if list, err := g.countersNow(); err != nil || !slices.Contains(list, protocol.Counter{Country: "DE", Verdict: "country_denied", Packets: 5}) {
		t.Errorf("the counters are %v, %v", list, err)
	}
	writeCountries(t, cfg.Countries, map[string]string{"192.0.2.0/25": "DE"})
	eventually(t, "the new table is in force", func() bool { return verdict(g, "192.0.2.20") == "country_denied" })
	want(t, "by the new table", send(t, g, w, "192.0.2.20", 5), "country_denied", 5)
	want(t, "by the new table", send(t, g, w, "192.0.2.200", 5), "passed", 5)
	stop()

	cfg.Countries += ".gone"
	g = kernelGuard(t, w, cfg)
	want(t, "without a table", send(t, g, w, "192.0.2.20", 5), "passed", 5)
}

func TestEdgeAndRelayMayShareADevice(t *testing.T) {
	w, cfg := newWire(t)
	edge := kernelGuard(t, w, cfg)
	run(t, edge)
	edge.Registered(addr("192.0.2.9"), time.Now().Add(time.Hour))
	eventually(t, "it is registered", func() bool { return edge.Explain(addr("192.0.2.9"), policy.SIP).Class == "registered" })
	var relay *Guard
	cfg.State += ".relay"
	if err := w.InFar(func() (err error) {
		if relay, err = New(cfg, "relay-1", "relay", quiet(), nil); err != nil {
			return err
		}
		return relay.Serve("relay", []Port{{First: 30000, Last: 30099, Service: policy.RTP}})
	}); err != nil {
		t.Fatal(err)
	}
	run(t, relay)
	relay.Leg(30000, true)
	if got := rtp(t, relay, w, 30000); got["leg"] != 10 {
		t.Errorf("RTP: %v", got)
	}
	want(t, "SIP", send(t, edge, w, "192.0.2.9", 300), "passed", 300)
	relay.Known(addr("192.0.2.9"))
	relay.Known(addr("192.0.2.10"))
	eventually(t, "the relay's source is known", func() bool { return edge.Explain(addr("192.0.2.10"), policy.SIP).Class == "known" })
	if c := edge.Explain(addr("192.0.2.9"), policy.SIP).Class; c != "registered" {
		t.Errorf("what the edge saw registering is %s", c)
	}
	// The relay knows of the registration until the hour. It is extended, and the
	// relay takes nothing of that away, neither when it looks through all nor when
	// what it knew is over.
	later := time.Now().Add(3 * time.Hour)
	edge.Registered(addr("192.0.2.9"), later)
	relay.ledger.reconcile(time.Now())
	relay.ledger.lapse(time.Minute, time.Now().Add(2*time.Hour))
	eventually(t, "it is registered for longer", func() bool {
		views, err := relay.post.Load().look(judge.Packet{Source: addr("192.0.2.9"), Service: policy.SIP})
		if err != nil || views[0].state.Source == nil {
			return false
		}
		left := time.Duration(views[0].state.Source.Until-views[0].now.Seconds()) * time.Second
		return left > 2*time.Hour
	})
	for _, g := range []*Guard{edge, relay} {
		g.ledger.reconcile(time.Now())
	}
	for a, class := range map[string]string{"192.0.2.9": "registered", "192.0.2.10": "known"} {
		if c := relay.Explain(addr(a), policy.SIP).Class; c != class {
			t.Errorf("%s is %s, want %s", a, c, class)
		}
	}
}

func TestAnotherProgramOnTheDeviceIsNamed(t *testing.T) {
	w, cfg := newWire(t)
	sink, err := w.Drop()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	var g *Guard
	err = w.InFar(func() (err error) { g, err = New(cfg, "edge-1", "edge", quiet(), nil); return err })
	if err != nil {
		t.Fatal(err)
	}
	mode, reason := g.Mode()
	g.Close()
	if mode != "user" || !strings.Contains(reason, livegen.FarDevice) || !strings.Contains(reason, bpf.ErrBusy.Error()) {
		t.Errorf("the mode is %s: %s", mode, reason)
	}
	t.Log(reason)
	cfg.Mode = "native"
	if err := w.InFar(func() (err error) { g, err = New(cfg, "edge-1", "edge", quiet(), nil); return err }); !errors.Is(err, bpf.ErrBusy) {
		t.Errorf("with a mode demanded: %v", err)
	}
}

func TestMediaPortsAreReservedInTheKernel(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	read := func() (text []byte) {
		if err := w.InFar(func() (err error) { text, err = os.ReadFile(reservedPath); return err }); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := w.InFar(func() error {
		if err := os.WriteFile(reservedPath, []byte("50000"), 0o644); err != nil {
			return err
		}
		return g.Serve("relay", []Port{{First: 30000, Last: 39999, Service: policy.RTP}})
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(read())); got != "30000-39999,50000" {
		t.Errorf("reserved are %q", got)
	}
	g.Leg(31000, true)
	if got := rtp(t, g, w, 31000); got["leg"] != 10 {
		t.Errorf("to a port with a leg: %v", got)
	}
	if got := rtp(t, g, w, 31002); got["no_leg"] != 10 {
		t.Errorf("to a port without: %v", got)
	}
	g.Leg(31000, false)
	if got := rtp(t, g, w, 31000); got["no_leg"] != 10 {
		t.Errorf("after the call: %v", got)
	}
	want(t, "SIP beside it", send(t, g, w, "192.0.2.9", 1), "passed", 1)
}

func rtp(t *testing.T, g *Guard, w *livegen.Wire, port uint16) map[string]uint64 {
	t.Helper()
	before := verdicts(t, g)
	p := w.Plan(pfx("192.0.2.9/32"), port)
	p.Packets, p.Payload = 10, make([]byte, 172)
	gen, err := livegen.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer gen.Close()
	if _, err := gen.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := verdicts(t, g)
	for v, n := range before {
		after[v] -= n
	}
	return after
}
