package shield

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/shield/policy"
)

// While the guard runs, neither the pins nor their directory can be taken from it.
func TestTheGuardPutsPinsBack(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	run(t, g)
	g.Registered(addr("192.0.2.9"), time.Now().Add(time.Hour))
	eventually(t, "it is registered", func() bool { return g.Explain(addr("192.0.2.9"), policy.SIP).Class == "registered" })
	dir := filepath.Join(cfg.Pin, livegen.FarDevice)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	shoot(t, w, "192.0.2.9", 300)
	eventually(t, "the pins are back", func() bool {
		pins, err := os.ReadDir(dir)
		return err == nil && len(pins) == 13
	})
	want(t, "the filter that was there all the time", verdicts(t, g), "passed", 300)
	if mode, reason := g.Mode(); mode != "native" || reason != "" {
		t.Errorf("the mode is %s: %s", mode, reason)
	}
}

// A device that is not there is said to be away, and filtered again when it is back.
func TestTheGuardFollowsItsDevice(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	tend := func() { _ = w.InFar(func() error { g.tend(time.Now()); return nil }) }
	ip := func(args ...string) {
		t.Helper()
		if out, err := w.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	ip("link", "del", livegen.FarDevice)
	tend()
	if mode, reason := g.Mode(); mode != "native" || !strings.Contains(reason, "comes back") {
		t.Errorf("without the device the mode is %s: %s", mode, reason)
	}
	ip("link", "add", livegen.FarDevice, "type", "veth", "peer", "name", "near1")
	if mode, why := probe(t, w); mode != bpf.Native || why != "" {
		t.Errorf("the new device begins as %s: %s", mode, why)
	}
	tend()
	if mode, reason := g.Mode(); mode != "native" || reason != "" {
		t.Errorf("with another device of the name the mode is %s: %s", mode, reason)
	}
	if _, why := probe(t, w); !strings.Contains(why, "has the program shield") {
		t.Errorf("the new device: %s", why)
	}
}

// probe says what the far device has.
func probe(t *testing.T, w *livegen.Wire) (mode bpf.Mode, why string) {
	t.Helper()
	if err := w.InFar(func() error { mode, why = bpf.Probe(livegen.FarDevice); return nil }); err != nil {
		t.Fatal(err)
	}
	return mode, why
}

// A filter that cannot be had for what is on the device, or pinned, is no reason not
// to start, unless the kernel was demanded.
func TestABusyDeviceLeavesItToTheListeners(t *testing.T) {
	w, cfg := newWire(t)
	kernelGuard(t, w, cfg)
	other := cfg
	other.State, other.Pin = cfg.State+".other", cfg.Pin+"/other"
	elsewhere, _ := newWire(t)
	for name, c := range map[string]struct {
		wire   interface{ InFar(func() error) error }
		cfg    Config
		reason string
	}{
		"another program":        {w, other, "has the program shield"},
		"a pin of other devices": {elsewhere, cfg, "another network namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.State += "." + filepath.Base(t.Name())
			c.cfg.Control = ""
			for mode, starts := range map[string]bool{modeAuto: true, modeNative: false, modeGeneric: false} {
				c.cfg.Mode = mode
				var g *Guard
				err := c.wire.InFar(func() (err error) { g, err = New(c.cfg, "edge-2", "edge", quiet(), nil); return err })
				if !starts {
					if err == nil || !errors.Is(err, bpf.ErrBusy) || !strings.Contains(err.Error(), c.reason) {
						t.Errorf("mode %s: %v", mode, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if m, reason := g.Mode(); m != modeUser || !strings.Contains(reason, c.reason) {
					t.Errorf("the mode is %s: %s", m, reason)
				}
				g.Close()
			}
		})
	}
}

// When one device of two is detached the listeners judge, and the other's filter is
// kept up to date: its media ports open for new calls, and close.
func TestHalfABorderIsKeptUpToDate(t *testing.T) {
	w, cfg := newWire(t)
	cfg.Devices = append(cfg.Devices, "lo")
	g := kernelGuard(t, w, cfg)
	if err := w.InFar(func() error {
		return g.Serve("relay", []Port{{First: 31000, Last: 31009, Service: policy.RTP}})
	}); err != nil {
		t.Fatal(err)
	}
	run(t, g)
	if err := w.InFar(func() error { return bpf.Detach("lo", cfg.Pin) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the listeners step in", func() bool { mode, _ := g.Mode(); return mode == modeUser })
	if err := g.obeyed(denying(3, "203.0.113.0/24")); err != nil {
		t.Fatal(err)
	}
	half := g.post.Load().filter.(mixed).rest.devices[0].shield
	moved := func(source string, port uint16) map[policy.Verdict]uint64 {
		t.Helper()
		before, err := half.Counters()
		if err != nil {
			t.Fatal(err)
		}
		shootAt(t, w, source, port, 10)
		after, err := half.Counters()
		if err != nil {
			t.Fatal(err)
		}
		out := map[policy.Verdict]uint64{}
		for v := range after[0] {
			if n := after[0][v] - before[0][v]; n > 0 {
				out[policy.Verdict(v)] = n
			}
		}
		return out
	}
	g.Leg(31000, true)
	if got := moved("192.0.2.9", 31000); got[policy.Leg] != 10 {
		t.Errorf("to a new call: %v", got)
	}
	g.Leg(31000, false)
	if got := moved("192.0.2.9", 31000); got[policy.NoLeg] != 10 {
		t.Errorf("after it: %v", got)
	}
	if got := moved("203.0.113.9", 5060); got[policy.Denied] != 10 {
		t.Errorf("by a new policy: %v", got)
	}
	if g.Admit(addr("203.0.113.9"), policy.SIP, false) {
		t.Error("the listeners do not deny")
	}
}
