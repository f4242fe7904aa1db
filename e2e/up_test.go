package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
)

func TestUpSeedsADemoAndServesBeforeItSaysSo(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	if i.demo.Domain != "demo.lindero.test" || i.demo.Edge != i.sip.String() || i.demo.Echo != "600" || i.demo.Greeting != "601" {
		t.Errorf("demo.json says %+v", i.demo)
	}
	for _, extension := range []string{"101", "102"} {
		u := i.demo.User(t, extension)
		if u.Username == "" || len(u.Password) < 8 {
			t.Errorf("user %s is %+v", extension, u)
		}
		if !strings.Contains(i.Output(), u.Password) {
			t.Errorf("the table does not tell the password of %s", extension)
		}
	}
	if i.demo.User(t, "101").Password == i.demo.User(t, "102").Password {
		t.Error("both users have the same password")
	}
	for name, mode := range map[string]os.FileMode{"demo.json": 0o600, "lindero.db": 0o600, "edge.key": 0o600, "core.key": 0o600, "tls.key": 0o600} {
		info, err := os.Stat(filepath.Join(i.dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s has mode %v; others must not read it", name, info.Mode().Perm())
		}
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/metrics": http.StatusOK, "/debug/pprof/": http.StatusOK} {
		if code, body := i.get(t, path); code != want {
			t.Errorf("%s answers %d: %s", path, code, body)
		}
	}
	i.Signal(syscall.SIGTERM)
	if err := i.Wait(15 * time.Second); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestUpNeedsNoPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("every other test shows it when the tests are not run by root")
	}
	i := startUp(t, lab.DataDir(t))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
}

func TestASecondStartKeepsEverything(t *testing.T) {
	first := startUp(t, lab.DataDir(t))
	first.Signal(syscall.SIGTERM)
	if err := first.Wait(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	second := first.restart(t)
	if fmt.Sprint(second.demo) != fmt.Sprint(first.demo) {
		t.Errorf("the accounts were %v and are %v", first.demo, second.demo)
	}
	if !strings.Contains(second.Output(), first.demo.Users[0].Password) {
		t.Error("the second start does not print the table")
	}
	alice := newPhone(t, second, "101", "udp")
	alice.register()
}

func TestTwoInstancesRunSideBySide(t *testing.T) {
	one, two := startUp(t, lab.DataDir(t)), startUp(t, lab.DataDir(t))
	for _, i := range []*instance{one, two} {
		alice, bob := newPhone(t, i, "101", "udp"), newPhone(t, i, "102", "udp")
		alice.register()
		bob.register()
		call := alice.talk(bob)
		call.hangup()
	}
}

func TestTheDataDirectoryBelongsToOneProcess(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	out, err := lindero(t, "up", "--data", i.dir, "--sip", freePort(t, "127.0.0.1").String(), "--metrics", "off").CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("in use by process %d", i.PID())) || !strings.Contains(string(out), "--data") {
		t.Errorf("a second lindero on %s: %v\n%s", i.dir, err, out)
	}
}

func TestAnUnwritableDataDirectoryIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a directory of somebody else")
	}
	out, err := lindero(t, "up", "--data", "/var/lib/lindero-of-root").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "/var/lib/lindero-of-root") || !strings.Contains(string(out), "--data") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every address of a running instance is offered to a second one, in turn.
func TestAPortInUseSaysWhichAndHowToChangeIt(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	for _, flag := range []string{"--sip", "--sips", "--inside", "--core", "--ng", "--metrics", "--http"} {
		t.Run(flag, func(t *testing.T) {
			flags := slices.Clone(i.flags)
			taken := ""
			for n := 0; n+1 < len(flags); n += 2 {
				if flags[n] == flag {
					taken = flags[n+1]
				} else if _, _, err := net.SplitHostPort(flags[n+1]); err == nil {
					flags[n+1] = freePort(t, "127.0.0.1").String()
				}
			}
			out, err := lindero(t, append([]string{"up", "--data", lab.DataDir(t)}, flags...)...).CombinedOutput()
			for _, want := range []string{taken, "with " + flag, fmt.Sprintf("process %d (lindero)", i.PID())} {
				if err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%v, no %q in\n%s", err, want, out)
				}
			}
		})
	}
}

func TestAFailedStartLeavesNothingBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir, sip := lab.DataDir(t), freePort(t, "127.0.0.1").String()
	out, err := lindero(t, "up", "--data", dir, "--sip", sip, "--inside", taken.Addr().String(), "--metrics", "off", "--http", "off").CombinedOutput()
	if err == nil {
		t.Fatalf("started on a taken port:\n%s", out)
	}
	i := startUp(t, dir, "--sip", sip) // the same directory and address work at once
	i.Signal(syscall.SIGTERM)
}
