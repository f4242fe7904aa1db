package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
)

// A deployment is edge, relay and core as three processes with files of their
// own, and the demo in core's database.
type deployment struct {
	instance // what phones need of it
	t        *testing.T
	ng       netip.AddrPort // the relay's
	roles    map[string]*lab.Process
}

const (
	edgeYAML = `
role: edge
name: edge-1
sip: %[2]s
sips: %[3]s
inside: %[4]s
core: [%[5]s]
relays: [{id: relay-1, ng: %[6]s}]
key_file: %[1]s/edge.key
tls: {cert: %[1]s/tls.crt, key: %[1]s/tls.key}
metrics: %[7]s
shield: {state: %[1]s/edge-shield.json, core: "http://%[9]s", token_file: %[1]s/node.token, control: %[1]s/edge.sock}
`
	coreYAML = `
role: core
sip: %[5]s
database: sqlite:%[1]s/lindero.db
media: 127.0.0.4
media_ports: 29500-29599
key_file: %[1]s/core.key
http: %[9]s
tokens:
- {name: anna, scope: operator, file: %[1]s/operator.token}
- {name: nodes, scope: node, file: %[1]s/node.token}
metrics: %[8]s
`
	relayYAML = `
role: relay
id: relay-1
ng: %[6]s
external: 127.0.0.1
internal: 127.0.0.4
media_ports: 29100-29499
metrics: off
shield: {state: %[1]s/relay-shield.json, core: "http://%[9]s", token_file: %[1]s/node.token}
`
)

// deploy writes the files and starts the three roles, core first or not: they
// find each other in any order.
func deploy(t *testing.T) *deployment {
	t.Helper()
	d := prepare(t)
	for _, role := range []string{"relay", "core", "edge"} {
		d.start(role)
	}
	return d
}

// prepare is deploy that starts nobody.
func prepare(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{t: t, roles: map[string]*lab.Process{}}
	d.dir = lab.DataDir(t)
	d.seed()
	d.sip, d.sips = freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	d.metrics = freePort(t, "127.0.0.1") // core's: it knows about calls
	http := freePort(t, "127.0.0.3")
	d.demo.API, d.nodes = "http://"+http.String(), 2
	d.ng = freePort(t, "127.0.0.4")
	addresses := []any{
		d.dir, d.sip, d.sips, freePort(t, "127.0.0.2"), freePort(t, "127.0.0.3"), d.ng, freePort(t, "127.0.0.1"), d.metrics, http,
	}
	for role, text := range map[string]string{"edge": edgeYAML, "core": coreYAML, "relay": relayYAML} {
		file := filepath.Join(d.dir, role+".yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, text+"%[10]s", append(addresses, "")...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// seed makes the demo and a certificate, as `lindero up` does, and stops.
func (d *deployment) seed() {
	d.t.Helper()
	i := startUp(d.t, d.dir)
	d.demo = i.demo
	i.Signal(syscall.SIGTERM)
	if err := i.Wait(15 * time.Second); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) start(role string) {
	d.t.Helper()
	d.begin(role).Await("msg=serving", 1, 20*time.Second)
}

// begin starts a role and does not wait until it is ready.
func (d *deployment) begin(role string) *lab.Process {
	d.t.Helper()
	d.roles[role] = lab.Start(d.t, role, lindero(d.t, role, "--config", filepath.Join(d.dir, role+".yaml")))
	return d.roles[role]
}

// crash kills a role as a power cut would.
func (d *deployment) crash(role string) {
	d.t.Helper()
	d.roles[role].Kill()
}

func TestThreeProcessesServeWhateverDiesBetweenCalls(t *testing.T) {
	d := deploy(t)
	alice, bob := newPhone(t, &d.instance, "101", "udp"), newPhone(t, &d.instance, "102", "udp")
	alice.register()
	bob.register()
	talked := func() {
		t.Helper()
		call := alice.talk(bob)
		call.hear()
		call.hangup()
		d.recorded(t)
	}
	talked()
	for _, role := range []string{"relay", "core", "edge"} {
		t.Run(role+" dies and comes back", func(t *testing.T) {
			d.crash(role)
			d.start(role)
			talked() // nobody has registered again
		})
	}
	d.crash("core")
	records := cdrs(t, d.dir)
	if len(records) != 4 {
		t.Errorf("%d call records of 4 calls: %+v", len(records), records)
	}
	for _, r := range records {
		if r.Verdict != tenancy.OK || r.From != "101" || r.To != "102" || r.Code != 200 || r.End.Before(r.Answer) {
			t.Errorf("a call's record is %+v", r)
		}
	}
}

// An edge and a relay that are started while core is down do not end: they filter by
// what was last in force, the edge answers 503, and both go on when core is back.
func TestAnEdgeStartedWithoutCoreWaitsForIt(t *testing.T) {
	d := deploy(t)
	alice := newPhone(t, &d.instance, "101", "udp")
	alice.register()
	for _, role := range []string{"core", "edge", "relay"} {
		d.crash(role)
	}
	d.start("relay")
	edge := d.begin("edge")
	edge.Await("no core can be reached", 1, 20*time.Second)
	if _, err := alice.try("600"); phone.Code(err) != 503 {
		t.Errorf("a call without core: %v, want 503", err)
	}
	d.start("core")
	edge.Await("msg=serving", 1, 20*time.Second)
	call, err := alice.try("600")
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUpThatIsKilledKeepsRegistrationsAndRecords(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	alice, bob := newPhone(t, i, "101", "udp"), newPhone(t, i, "102", "udp")
	alice.register()
	bob.register()
	alice.talk(bob).hangup()
	i.recorded(t)
	i.Kill()
	again := i.restart(t)
	alice.talk(bob).hangup()
	again.recorded(t)
	again.Kill()
	if n := len(cdrs(t, i.dir)); n != 2 {
		t.Errorf("%d call records of 2 calls", n)
	}
}

// A relay that does not answer costs its own calls at most two seconds and
// delays nothing else.
func TestADeadRelayDelaysOnlyItsOwnCalls(t *testing.T) {
	d := deploy(t)
	alice := newPhone(t, &d.instance, "101", "udp")
	alice.register()
	d.roles["relay"].Signal(syscall.SIGSTOP) // deaf and dumb, but its port is there
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := alice.try("600")
		failed <- err
	}()
	bob := newPhone(t, &d.instance, "102", "udp")
	bob.register()
	if took := time.Since(began); took > time.Second {
		t.Errorf("a registration took %v while the relay was dead", took)
	}
	err := <-failed
	if took := time.Since(began); phone.Code(err) != 503 || took > 2*time.Second {
		t.Errorf("the call got %v after %v, want 503 within 2 s", err, took)
	}
	d.roles["relay"].Signal(syscall.SIGCONT)
	if !eventually(patience, func() bool {
		c, err := alice.try("600")
		if err != nil {
			return false
		}
		return c.Hangup(t.Context()) == nil
	}) {
		t.Error("no call succeeds though the relay is back")
	}
}

// cdrs reads the call records from a database that no process has open.
func cdrs(t *testing.T, dir string) []tenancy.CDR {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "lindero.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	company, err := s.Domain(ctx, "demo.lindero.test")
	if err != nil {
		t.Fatal(err)
	}
	records, err := company.CDRs(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	return records
}
