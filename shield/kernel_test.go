package shield

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// newWire makes two namespaces with a veth between, and says where pins may lie.
func newWire(t *testing.T) (w *livegen.Wire, cfg Config) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: the kernel's filter is tested in network namespaces")
	}
	if mode, why := bpf.Probe(""); mode == bpf.None {
		t.Skip("needs XDP: ", why)
	}
	w, err := livegen.NewWire()
	if err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg = testConfig(t)
	cfg.Devices = []string{livegen.FarDevice}
	cfg.Pin = filepath.Join(t.TempDir(), "pins")
	t.Cleanup(func() {
		if err := unix.Unmount(cfg.Pin, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	return w, cfg
}

// kernelGuard makes a guard whose device is at the far end, with SIP on UDP 5060.
func kernelGuard(t *testing.T, w *livegen.Wire, cfg Config) (g *Guard) {
	t.Helper()
	if err := w.InFar(func() (err error) {
		if g, err = New(cfg, "edge-1", "edge", quiet(), nil); err != nil {
			return err
		}
		return g.Serve("edge", []Port{{First: 5060, Last: 5060, Service: policy.SIP}})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// send sends datagrams of one source to SIP and says how each verdict's counter moved.
func send(t *testing.T, g *Guard, w *livegen.Wire, source string, n uint64) map[string]uint64 {
	t.Helper()
	before := verdicts(t, g)
	shoot(t, w, source, n)
	after := verdicts(t, g)
	for v, n := range before {
		if after[v] -= n; after[v] == 0 {
			delete(after, v)
		}
	}
	return after
}

func shoot(t *testing.T, w *livegen.Wire, source string, n uint64) {
	t.Helper()
	shootAt(t, w, source, 5060, n)
}

func shootAt(t *testing.T, w *livegen.Wire, source string, port uint16, n uint64) {
	t.Helper()
	a := addr(source)
	p := w.Plan(netip.PrefixFrom(a, a.BitLen()), port)
	p.Packets, p.Payload = n, []byte("hello")
	gen, err := livegen.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer gen.Close()
	if _, err := gen.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func verdicts(t *testing.T, g *Guard) map[string]uint64 {
	t.Helper()
	list, err := g.countersNow()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint64{}
	for _, c := range list {
		out[c.Verdict] += c.Packets
	}
	return out
}

func want(t *testing.T, what string, got map[string]uint64, verdict string, n uint64) {
	t.Helper()
	if got[verdict] != n {
		t.Errorf("%s: %v, want %d %s", what, got, n, verdict)
	}
}

func TestTheKernelFilters(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	run(t, g)
	if mode, reason := g.Mode(); mode != "native" || reason != "" {
		t.Errorf("the mode is %s: %s", mode, reason)
	}
	var listener net.PacketConn
	if err := w.InFar(func() (err error) { listener, err = net.ListenPacket("udp4", "192.0.2.2:5060"); return err }); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	want(t, "a stranger", send(t, g, w, "192.0.2.50", 1), "passed", 1)
	listener.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, from, err := listener.ReadFrom(make([]byte, 100)); err != nil || !strings.HasPrefix(from.String(), "192.0.2.50:") {
		t.Errorf("a listener has %v, %v", from, err)
	}
	if !g.Admit(addr("192.0.2.50"), policy.SIP, false) {
		t.Error("a listener judges what the kernel has")
	}

	// Banned by the edge, for datagrams; and by an operator, for two seconds.
	for range 3 {
		g.Offended(addr("192.0.2.51"), Scanner, false, "a test")
	}
	eventually(t, "the scanner is banned", func() bool { return verdict(g, "192.0.2.51") == "banned" })
	want(t, "the scanner", send(t, g, w, "192.0.2.51", 10), "banned", 10)
	b := protocol.Ban{Prefix: pfx("192.0.2.52/32"), Reason: "a test", Until: time.Now().Add(2 * time.Second), Proven: true}
	if err := g.Ban(b); err != nil {
		t.Fatal(err)
	}
	want(t, "the banned", send(t, g, w, "192.0.2.52", 10), "banned", 10)
	eventually(t, "the ban ends", func() bool { return verdict(g, "192.0.2.52") == "passed" })
	if late := time.Since(b.Until); late < 0 || late > 4*time.Second {
		t.Errorf("the ban ended %v late", late)
	}
	want(t, "after the ban", send(t, g, w, "192.0.2.52", 1), "passed", 1)

	// A registered source has the budget of its class; it had an unknown one's before.
	if got := send(t, g, w, "192.0.2.53", 200); got["passed"] < 20 || got["passed"] > 30 { // 20 at once, 5 a second
		t.Errorf("an unknown source: %v", got)
	}
	g.Registered(addr("192.0.2.53"), time.Now().Add(time.Hour))
	eventually(t, "it is registered", func() bool {
		return g.Explain(addr("192.0.2.53"), policy.SIP).Class == "registered"
	})
	want(t, "a registered source", send(t, g, w, "192.0.2.53", 500), "passed", 500)
	e := g.Explain(addr("192.0.2.53"), policy.SIP)
	if e.BudgetLeft == nil || *e.BudgetLeft < 400 || *e.BudgetLeft > 1000 || e.BudgetRate != 200 || e.Mode != "native" {
		t.Errorf("explained as %+v", e)
	}
	eventually(t, "the source that sent most is the first of the top", func() bool {
		top, err := g.Top(10)
		return err == nil && len(top.Sources) > 0 && top.Sources[0].Address == addr("192.0.2.53") && top.Sources[0].Packets > 300
	})
}

func TestPoliciesAreSwappedUnderTraffic(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	run(t, g)
	now := time.Now()
	if err := g.enforce(denying(1, "198.18.0.0/15"), now); err != nil {
		t.Fatal(err)
	}
	p := w.Plan(pfx("198.18.0.0/15"), 5060)
	p.Rate = 200_000
	gen, err := livegen.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer gen.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := gen.Run(ctx); done <- err }()
	swaps := uint64(1)
	for ctx.Err() == nil {
		swaps++
		if err := g.enforce(denying(swaps, []string{"198.18.0.0/15", "198.0.0.0/8"}[swaps%2]), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := verdicts(t, g)
	t.Logf("%d policies, %v", swaps, got)
	if got["denied"] < 100_000 || got["denied"] < gen.Sent()/100*99 || got["unclassified"] != 0 || got["passed"] != 0 {
		t.Errorf("of %d packets: %v", gen.Sent(), got)
	}
}

func TestTheFilterIsInForceWhileTheDaemonIsNot(t *testing.T) {
	w, cfg := newWire(t)
	daemon := w.Command(os.Args[0], "-test.run=^TestADaemonForOthers$")
	daemon.Env = append(os.Environ(), "LINDERO_SHIELD_STATE="+cfg.State, "LINDERO_SHIELD_PIN="+cfg.Pin)
	daemon.Stderr = os.Stderr
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 5)
	_, err = out.Read(ready)
	daemon.Process.Kill() // no word of farewell
	if end := daemon.Wait(); err != nil || string(ready) != "ready" || errors.As(end, new(*exec.ExitError)) == false {
		t.Fatalf("the daemon said %q, %v, %v", ready, err, end)
	}
	shoot(t, w, "203.0.113.9", 100) // denied
	shoot(t, w, "192.0.2.60", 100)  // banned by the daemon
	shoot(t, w, "192.0.2.61", 500)  // registered by it

	g := kernelGuard(t, w, cfg)
	got := verdicts(t, g)
	if got["denied"] != 100 || got["banned"] != 100 || got["passed"] != 500 || got["unclassified"] != 0 {
		t.Errorf("while there was no daemon: %v", got)
	}
	if g.force.Load().version.Number != 9 {
		t.Errorf("policy %d is in force", g.force.Load().version.Number)
	}
	if b := g.Bans(); len(b) != 1 || b[0].Reason != "a test" {
		t.Errorf("bans are %+v", b)
	}
	if s := g.Status(); s.Sources["registered"] != 1 {
		t.Errorf("sources are %v", s.Sources)
	}
	want(t, "the registered source", send(t, g, w, "192.0.2.61", 100), "passed", 100)
	want(t, "the banned one", send(t, g, w, "192.0.2.60", 100), "banned", 100)
	if was, err := g.Lift(pfx("192.0.2.60/32")); !was || err != nil {
		t.Errorf("lifted: %v, %v", was, err)
	}
	want(t, "the lifted one", send(t, g, w, "192.0.2.60", 1), "passed", 1)
}

// TestADaemonForOthers is the daemon that TestTheFilterIsInForceWhileTheDaemonIsNot kills.
func TestADaemonForOthers(t *testing.T) {
	cfg := DefaultConfig()
	if cfg.State, cfg.Pin = os.Getenv("LINDERO_SHIELD_STATE"), os.Getenv("LINDERO_SHIELD_PIN"); cfg.State == "" {
		t.Skip("another test starts this one in a process of its own")
	}
	cfg.Devices = []string{livegen.FarDevice}
	g := guard(t, cfg)
	run(t, g)
	if err := g.Serve("edge", []Port{{First: 5060, Last: 5060, Service: policy.SIP}}); err != nil {
		t.Fatal(err)
	}
	if err := g.obeyed(denying(9, "203.0.113.0/24")); err != nil {
		t.Fatal(err)
	}
	if err := g.Ban(protocol.Ban{Prefix: pfx("192.0.2.60/32"), Reason: "a test", Until: time.Now().Add(time.Hour), Proven: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "policy and ban are on disk", func() bool {
		s, err := readState(cfg.State)
		return err == nil && s.Policy != nil && s.Policy.Number == 9 && len(s.Bans) == 1
	})
	g.Registered(addr("192.0.2.61"), time.Now().Add(time.Hour)) // only the kernel knows in the end
	eventually(t, "it is registered", func() bool { return g.Status().Sources["registered"] == 1 })
	os.Stdout.WriteString("ready")
	select {} // until it is killed
}

// obeyed puts a policy into force as if core had said so.
func (g *Guard) obeyed(v policy.Version) error {
	if !g.obeyPolicy(v, time.Now()) {
		return errors.New("refused")
	}
	return nil
}

func TestDetachIsTheOnlyWayOutAndTheListenersStepIn(t *testing.T) {
	w, cfg := newWire(t)
	g := kernelGuard(t, w, cfg)
	stop := run(t, g)
	if err := g.obeyed(denying(3, "203.0.113.0/24")); err != nil {
		t.Fatal(err)
	}
	if err := g.Ban(protocol.Ban{Prefix: pfx("192.0.2.60/32"), Reason: "a test", Until: time.Now().Add(time.Hour), Proven: true}); err != nil {
		t.Fatal(err)
	}
	stop()
	shoot(t, w, "203.0.113.9", 50)

	g = kernelGuard(t, w, cfg)
	run(t, g)
	want(t, "with no process", verdicts(t, g), "denied", 50)
	if err := w.InFar(func() error { return bpf.Detach(livegen.FarDevice, cfg.Pin) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the listeners step in", func() bool { mode, _ := g.Mode(); return mode == "user" })
	if g.Admit(addr("203.0.113.9"), policy.SIP, false) || g.Admit(addr("192.0.2.60"), policy.SIP, true) {
		t.Error("policy and bans did not move to the listeners")
	}
	if !g.Admit(addr("192.0.2.9"), policy.SIP, false) {
		t.Error("a stranger is dropped")
	}
	if _, err := os.Stat(filepath.Join(cfg.Pin, livegen.FarDevice)); err == nil {
		t.Error("pins are left")
	}
}
