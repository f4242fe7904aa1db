// Package lab builds small internets out of network namespaces: a router in the
// middle, server hosts with public addresses, and homes whose phones sit behind a
// NAT of a chosen kind, all with real sockets, real routes and real conntrack.
// It starts programs inside, among them baresip, a phone nobody here wrote. It
// judges nothing and knows no SIP; the tests do that.
//
// It needs root. Everything it makes is removed when the test ends, however it
// ends; what a killed test process left behind is removed by the next one.
package lab

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A Lab is one internet. Its hosts find each other by the addresses of the
// documentation blocks; nothing leads out of it.
type Lab struct {
	t      testing.TB
	prefix string // of our namespaces' names
	inet   *Host  // the router in the middle
	links  int
}

// New builds an internet without hosts. It skips the test, saying why, where
// namespaces cannot be made.
func New(t testing.TB) *Lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft", "setpriv"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; make tools does that", tool)
		}
	}
	sweep(t)
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	l := &Lab{t: t, prefix: fmt.Sprintf("lindero-%d-%s-", os.Getpid(), hex.EncodeToString(random))}
	if out, err := exec.Command("ip", "netns", "add", l.prefix+"probe").CombinedOutput(); err != nil {
		t.Skipf("namespaces cannot be made here, though we are root: %s", strings.TrimSpace(string(out)))
	}
	l.run("ip", "netns", "del", l.prefix+"probe")
	l.inet = l.host("inet")
	l.inet.sysctl("net.ipv4.ip_forward", "1")
	return l
}

// sweep removes namespaces of test processes that no longer live: a test that was
// killed cannot clean up.
func sweep(t testing.TB) {
	names, _ := filepath.Glob("/run/netns/lindero-*") // the pattern is good, and none is none
	for _, path := range names {
		name := filepath.Base(path)
		owner, err := strconv.Atoi(strings.Split(name, "-")[1])
		if err != nil || syscall.Kill(owner, 0) == nil {
			continue
		}
		t.Logf("removing %s, left by a dead test", name)
		removeNamespace(name)
	}
}

// removeNamespace ends what still runs in a namespace of ours and deletes it.
func removeNamespace(name string) {
	pids, _ := exec.Command("ip", "netns", "pids", name).Output() // no answer, nothing to end
	for _, p := range strings.Fields(string(pids)) {
		if pid, err := strconv.Atoi(p); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
	}
	_ = exec.Command("ip", "netns", "del", name).Run() // the next sweep tries again
}

// host makes a namespace with its loopback up.
func (l *Lab) host(name string) *Host {
	l.t.Helper()
	h := &Host{lab: l, Name: name, ns: l.prefix + name}
	l.t.Cleanup(func() { removeNamespace(h.ns) })
	l.run("ip", "netns", "add", h.ns)
	l.run("ip", "-n", h.ns, "link", "set", "lo", "up")
	// Other than in most systems, addresses 127.0.0.2 and so on answer at once.
	return h
}

// Server adds a host with a public address, reached without NAT.
func (l *Lab) Server(name string, addr netip.Addr) *Host {
	l.t.Helper()
	h := l.host(name)
	h.Addr = addr
	l.connect(h, "eth0", addr)
	return h
}

// connect gives h a device with a public address and a default route, by a veth
// pair of its own to the router, which gets a route to just that address.
func (l *Lab) connect(h *Host, device string, addr netip.Addr) {
	l.t.Helper()
	l.links++
	far := fmt.Sprintf("to%d", l.links)
	const gateway = "192.0.2.1" // the same on every link: links are point to point
	l.run("ip", "-n", h.ns, "link", "add", device, "type", "veth", "peer", "name", far, "netns", l.inet.ns)
	l.run("ip", "-n", h.ns, "addr", "add", addr.String()+"/32", "dev", device)
	l.run("ip", "-n", h.ns, "link", "set", device, "up")
	l.run("ip", "-n", l.inet.ns, "addr", "add", gateway+"/32", "dev", far)
	l.run("ip", "-n", l.inet.ns, "link", "set", far, "up")
	l.run("ip", "-n", l.inet.ns, "route", "add", addr.String()+"/32", "dev", far)
	l.run("ip", "-n", h.ns, "route", "add", gateway+"/32", "dev", device)
	l.run("ip", "-n", h.ns, "route", "add", "default", "via", gateway, "dev", device)
}

// run runs a command that must work.
func (l *Lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
