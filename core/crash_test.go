package core

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
)

const crashEnv = "LINDERO_TEST_CRASH_DIR"

// TestCrashHelper is the process that TestKillMinus9 kills.
func TestCrashHelper(t *testing.T) {
	dir := os.Getenv(crashEnv)
	if dir == "" {
		t.Skip("skipped: only TestKillMinus9 runs this, in a process of its own")
	}
	cfg := crashConfig(dir)
	c, err := New(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := SeedDemo(t.Context(), c.store)
	if err != nil {
		t.Fatal(err)
	}
	say := json.NewEncoder(os.Stderr)
	if err := say.Encode(crashNote{c.Addresses().SIP, demo}); err != nil {
		t.Fatal(err)
	}
	t.Fatal(c.Run(context.Background()))
}

type crashNote struct {
	SIP  netip.AddrPort
	Demo Demo
}

func crashConfig(dir string) Config {
	c := DefaultConfig()
	c.SIP = netip.MustParseAddrPort("127.0.0.1:0")
	c.MediaPorts = "41100-41199"
	c.Database, c.KeyFile = "sqlite:"+filepath.Join(dir, "core.db"), filepath.Join(dir, "core.key")
	return c
}

// startCrashHelper runs a core with the demo in dir, in a process of its own.
func startCrashHelper(t *testing.T, dir string) (*exec.Cmd, crashNote) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashHelper$", "-test.v")
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it is dead already, unless the test failed
		_ = cmd.Wait()         // killed, as it says
	})
	var note crashNote
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &note)
	}
	if err != nil {
		t.Fatalf("the helper said %q: %v", line, err)
	}
	return cmd, note
}

// A core is killed in the middle of its life; registrations that were answered
// and calls that were recorded are there when it starts again.
func TestKillMinus9(t *testing.T) {
	dir := t.TempDir()
	cmd, note := startCrashHelper(t, dir)
	e := dialEdge(t, &Core{addr: note.SIP})
	register := func(i int, contact string) {
		t.Helper()
		u := note.Demo.Users[i]
		aor := "<sip:" + u.Username + "@" + note.Demo.Domain + ">"
		wantCode(t, e.askAs(note.Demo.login(i), request{from: aor, to: aor, headers: phone(contact), callID: fmt.Sprint("reg", e.n)}), 200)
	}
	for i := range 20 {
		register(i%2, fmt.Sprintf("<sip:%d@192.0.2.7>", i))
	}
	e.echoCall(note.Demo)
	s, err := store.Open(t.Context(), crashConfig(dir).Database)
	if err != nil {
		t.Fatal(err)
	}
	company, err := s.Domain(t.Context(), note.Demo.Domain)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a record", func() bool { return len(records(t, company)) == 1 })
	register(0, "<sip:0@192.0.2.7>;expires=77")
	if err := cmd.Process.Kill(); err != nil { // SIGKILL, with the last answer just out
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c, err := New(crashConfig(dir), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	company, err = c.store.Domain(t.Context(), note.Demo.Domain)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(records(t, company)); n != 1 {
		t.Errorf("%d records are left of 1", n)
	}
	checkBindings(t, company)
}

// checkBindings looks for what TestKillMinus9 registered.
func checkBindings(t *testing.T, company *store.Tenant) {
	t.Helper()
	for _, name := range []string{"101", "102"} {
		d, err := company.Terminal(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		left, err := company.BindingsOf(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 10 {
			t.Errorf("%d of 10 bindings of %s are left", len(left), name)
		}
		if last := time.Until(left[0].Expires); name == "101" && last > 77*time.Second {
			t.Errorf("the last registration before the end is lost: the newest is for %v", last)
		}
	}
}
