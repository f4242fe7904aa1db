package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
)

// An instance is a `lindero up` that runs as a process of its own.
type instance struct {
	*lab.Process
	dir     string
	flags   []string
	sip     netip.AddrPort
	sips    netip.AddrPort
	metrics netip.AddrPort
	demo    lab.Demo
	nodes   int // that have a shield; 0: one, by itself
}

// unprivileged makes a command run as nobody when the test is root.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: lab.Nobody, Gid: lab.Nobody}}
	}
	return cmd
}

// lindero prepares a lindero without privileges. It outlives t's context, so that
// cleaning up in order is possible; lab.Start ends it.
func lindero(t *testing.T, args ...string) *exec.Cmd {
	return unprivileged(exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...))
}

// mediaBase gives every instance of this test process media ports of its own.
var mediaBase atomic.Int32

// startUp starts `lindero up` on free ports with a data directory, and waits for
// its table. More flags may follow.
func startUp(t *testing.T, dir string, more ...string) *instance {
	t.Helper()
	media := 20000 + (os.Getpid()+int(mediaBase.Add(1)))%18*500 // whatever else runs on this machine
	flags := []string{
		"--sip", freePort(t, "127.0.0.1").String(), "--sips", freePort(t, "127.0.0.1").String(),
		"--inside", freePort(t, "127.0.0.1").String(), "--core", freePort(t, "127.0.0.1").String(),
		"--ng", freePort(t, "127.0.0.1").String(), "--metrics", freePort(t, "127.0.0.1").String(),
		"--http", freePort(t, "127.0.0.1").String(),
		"--media-ports", fmt.Sprintf("%d-%d", media, media+399), "--voice-ports", fmt.Sprintf("%d-%d", media+400, media+499),
	}
	return startUpWith(t, dir, append(flags, more...))
}

// startUpWith is startUp with exactly these flags.
func startUpWith(t *testing.T, dir string, flags []string) *instance {
	t.Helper()
	i := &instance{dir: dir, flags: flags}
	i.Process = lab.Start(t, "lindero up", lindero(t, append([]string{"up", "--data", dir}, flags...)...))
	i.Await(lab.Served, 1, 20*time.Second)
	for n := 0; n+1 < len(flags); n += 2 {
		at, _ := netip.ParseAddrPort(flags[n+1]) // other flags are no addresses
		switch flags[n] {
		case "--sip":
			i.sip = at
		case "--sips":
			i.sips = at
		case "--metrics":
			i.metrics = at
		}
	}
	i.demo = lab.ReadDemo(t, dir)
	return i
}

// restart starts the same instance again.
func (i *instance) restart(t *testing.T) *instance {
	t.Helper()
	return startUpWith(t, i.dir, i.flags)
}

// freePort finds a port of host that is free for UDP and TCP now.
func freePort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(l.Addr().String())
		u, err := net.ListenPacket("udp", at.String())
		if err == nil {
			_ = u.Close()
		}
		_ = l.Close()
		if err == nil {
			return at
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return netip.AddrPort{}
}

// get asks the health server and returns status and body.
func (i *instance) get(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + i.metrics.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// metric sums the series of a metric whose line holds all of labels.
func (i *instance) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	_, text := i.get(t, "/metrics")
	return sumSeries(t, text, name, labels...)
}

// sumSeries sums the series in text of a metric whose line holds all of labels.
func sumSeries(t *testing.T, text, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
lines:
	for line := range strings.Lines(text) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); !ok || base != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// recorded waits until core has written down every call that ended. Records are
// written behind the calls, a moment after the phones have parted.
func (i *instance) recorded(t *testing.T) {
	t.Helper()
	if !eventually(patience, func() bool {
		return i.metric(t, "lindero_b2bua_calls_total") > 0 && i.metric(t, "lindero_b2bua_calls") == 0 && i.metric(t, "lindero_b2bua_cdrs_pending") == 0
	}) {
		t.Error("core still has records to write")
	}
}
