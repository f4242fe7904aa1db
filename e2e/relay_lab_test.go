package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/e2e/lab"
)

// A relayLab is an internet with a relay on a server of it, that has one address
// towards callers and one towards callees.
type relayLab struct {
	*lab.Lab
	t      *testing.T
	server *lab.Host
	dir    string
	kernel bool
	relay  *lab.Process
}

var (
	relayOutside = netip.MustParseAddr("198.51.100.10")
	relayInside  = netip.MustParseAddr("198.51.100.11")
	callerHost   = netip.MustParseAddr("203.0.113.11")
	calleeHost   = netip.MustParseAddr("203.0.113.22")
	relayNG      = netip.MustParseAddrPort("127.0.0.1:2223")
)

const (
	firstMedia = 30000
	lastMedia  = 33999
	relayFile  = `
role: relay
id: lab
ng: 127.0.0.1:2223
ng_listen: ["http://127.0.0.1:2225"]
external: 198.51.100.10
internal: 198.51.100.11
media_ports: %d-%d
metrics: 127.0.0.1:9464
`
)

// newRelayLab starts a relay that repeats packets in the kernel or in user space.
func newRelayLab(t *testing.T, kernel bool) *relayLab {
	t.Helper()
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip("ethtool is not installed; make tools does that")
	}
	l := &relayLab{Lab: lab.New(t), t: t, dir: lab.DataDir(t), kernel: kernel}
	l.server = l.Server("server", relayOutside)
	l.server.Also(relayInside)
	// So that what leaves as one message is packets on the wire already, to be counted.
	l.server.Run("ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
	text := fmt.Sprintf(relayFile, firstMedia, lastMedia)
	if kernel {
		l.mountBPF()
		l.server.Forwards()
		l.server.Rings()
		text += fmt.Sprintf("shield: {mode: native, devices: [eth0], pin: %[1]s/bpf, state: %[1]s/shield.json, control: %[1]s/shield.sock}\n", l.dir)
	} else {
		text += "shield: {mode: off}\n"
	}
	if err := os.WriteFile(l.file("relay.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	return l
}

func (l *relayLab) file(name string) string { return filepath.Join(l.dir, name) }

// start starts the relay, again after it was killed.
func (l *relayLab) start() {
	l.t.Helper()
	l.relay = lab.Start(l.t, "relay", l.server.Command(context.WithoutCancel(l.t.Context()), binary, "relay", "--config", l.file("relay.yaml")))
	l.relay.Await("msg=serving", 1, 20*time.Second)
	if l.kernel && !strings.Contains(l.relay.Output(), "kernel, eth0 native") {
		l.t.Fatal("packets do not go by the kernel")
	}
}

// mountBPF gives the relay's pins a place of their own.
func (l *relayLab) mountBPF() {
	l.t.Helper()
	dir := l.file("bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		l.t.Skipf("a BPF file system cannot be mounted: %v", err)
	}
	l.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			l.t.Error(err)
		}
	})
}

// metric sums the series of one of the relay's metrics whose line holds all labels.
func (l *relayLab) metric(name string, labels ...string) float64 {
	l.t.Helper()
	return sumSeries(l.t, l.server.Get(l.t, "http://127.0.0.1:9464/metrics"), name, labels...)
}

// sipp starts a scenario on a host of the lab. Media are at its address, too.
func (l *relayLab) sipp(at *lab.Host, scenario string, more ...string) *lab.Process {
	l.t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", "sipp", scenario))
	if err != nil {
		l.t.Fatal(err)
	}
	args := append([]string{"-sf", file, "-i", at.Addr.String(), "-mi", at.Addr.String(), "-t", "u1", "-nostdin", "-f", "1",
		"-rtp_buffsize", strconv.Itoa(1 << 20)}, more...)
	cmd := at.Command(context.WithoutCancel(l.t.Context()), "sipp", args...)
	cmd.Dir = l.dir
	return lab.Start(l.t, "sipp "+scenario, cmd)
}
