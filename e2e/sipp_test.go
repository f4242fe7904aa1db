package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/rtp"
)

// Fifty calls at a time, as the issue wants it; two seconds each.
const (
	sippCalls  = 500
	sippAtOnce = 50
	sippRate   = 24 // calls a second: 50 at once when each takes a little over 2 s
)

func TestFiveHundredCallsFiftyAtOnceAllSucceed(t *testing.T) {
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Skip("sipp is not installed; make tools does that")
	}
	dir, data := t.TempDir(), lab.DataDir(t)
	file := filepath.Join(data, "up.yaml")
	// sipp takes an OPTIONS of the keep-alive for a call that fails.
	if err := os.WriteFile(file, []byte("role: up\nedge: {keepalive: {off: true}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A call lends eight ports, which rest for half a minute afterwards.
	i := startUp(t, data, "--media-ports", "30000-39999", "--config", file)
	callee := freePort(t, "127.0.0.1")
	echo := freePort(t, "127.0.0.1").Port() &^ 1

	// The callee's phone registers from the very socket at which it is called.
	register := sipp(t, i.sip, dir, "register.xml", callee, account(t, i, "102")+";"+callee.String(), "-m", "1")
	sippEnds(t, register, 10*time.Second)
	answering := sippProcess(t, dir, "callee.xml", callee, "-mp", strconv.Itoa(int(echo)), "-rtp_echo")

	sound(t, filepath.Join(dir, "tone.ul"))
	caller := freePort(t, "127.0.0.1")
	calling := sipp(t, i.sip, dir, "caller.xml", caller, account(t, i, "101")+";102",
		"-m", strconv.Itoa(sippCalls), "-l", strconv.Itoa(sippAtOnce), "-r", strconv.Itoa(sippRate),
		"-mp", "28000", "-trace_err", "-error_file", filepath.Join(dir, "errors"))

	// While they talk, one of our own phones judges what a caller hears.
	alice := newPhone(t, i, "101", "udp")
	alice.register()
	c, err := alice.try(i.demo.Echo)
	if err != nil {
		t.Fatalf("a call among the others: %v", err)
	}
	listen(t, "a caller among the others", c, tones["101"], tones["102"])
	if err := c.Hangup(t.Context()); err != nil {
		t.Error(err)
	}

	sippEnds(t, calling, 120*time.Second)
	if errors, err := os.ReadFile(filepath.Join(dir, "errors")); err == nil && len(errors) > 0 {
		t.Errorf("sipp complains:\n%s", errors)
	}
	// Each call's two seconds are some hundred packets. They pass both anchors of
	// the call to the callee, and come back the same way as his echo.
	answering.Signal(syscall.SIGUSR1) // sipp's "end when idle"
	sippEnds(t, answering, 30*time.Second)
	const wanted = sippCalls * 4 * 95
	if n := i.metric(t, "lindero_relay_packets_total", `verdict="forwarded"`); n < wanted {
		t.Errorf("the relay forwarded %v packets, want %d", n, wanted)
	}
}

// account is a user's first fields in a sipp CSV.
func account(t *testing.T, i *instance, extension string) string {
	u := i.demo.User(t, extension)
	return fmt.Sprintf("%s;[authentication username=%s password=%s]", extension, u.Username, u.Password)
}

// sipp starts a scenario towards server, with one line of CSV.
func sipp(t *testing.T, server netip.AddrPort, dir, scenario string, local netip.AddrPort, csv string, more ...string) *lab.Process {
	t.Helper()
	input := filepath.Join(dir, scenario+".csv")
	if err := os.WriteFile(input, []byte("SEQUENTIAL\n"+csv+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return sippProcess(t, dir, scenario, local, append([]string{"-inf", input, server.String()}, more...)...)
}

func sippProcess(t *testing.T, dir, scenario string, local netip.AddrPort, more ...string) *lab.Process {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", "sipp", scenario))
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-sf", file, "-i", local.Addr().String(), "-p", strconv.Itoa(int(local.Port())),
		"-mi", local.Addr().String(), "-t", "u1", "-nostdin", "-f", "1"}, more...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sipp", args...)
	cmd.Dir = dir
	return lab.Start(t, "sipp "+scenario, cmd)
}

// sippEnds waits for a sipp that must say that every call succeeded.
func sippEnds(t *testing.T, p *lab.Process, limit time.Duration) {
	t.Helper()
	if err := p.Wait(limit); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
}

// sound writes ten seconds of a tone as sipp wants it: bare PCMU.
func sound(t *testing.T, path string) {
	t.Helper()
	samples := make([]int16, 10*audio.Rate)
	audio.NewTone(audio.DefaultLevel, tones["101"]).Fill(samples)
	coded := make([]byte, len(samples))
	for n, s := range samples {
		coded[n] = rtp.EncodePCMU(s)
	}
	if err := os.WriteFile(path, coded, 0o600); err != nil {
		t.Fatal(err)
	}
}
