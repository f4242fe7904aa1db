package bpf

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// privilege skips a test where XDP cannot be had.
func privilege(t testing.TB) {
	t.Helper()
	if err := privileged(); err != nil {
		t.Skip("needs privileges: ", err)
	}
}

var namespaces atomic.Int32

// A namespace is a network namespace with one end of a veth, v0 (192.0.2.1/24), whose other
// end v1 is up as well, and a BPF file system outside it.
type namespace struct {
	name string
	pin  string
	work chan func()
}

// newNamespace makes a namespace that goes with the test.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	privilege(t)
	n := &namespace{name: fmt.Sprintf("lnbpf%d-%d", os.Getpid(), namespaces.Add(1)), work: make(chan func())}
	run(t, "ip", "netns", "add", n.name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", n.name) })
	n.pin = t.TempDir() + "/pins"
	t.Cleanup(func() { _ = unix.Unmount(n.pin, 0) })
	entered := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		entered <- enter(n.name)
		for f := range n.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.work); <-ended })
	n.veth(t)
	return n
}

func (n *namespace) veth(t testing.TB) {
	t.Helper()
	n.ip(t, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	n.ip(t, "addr", "add", "192.0.2.1/24", "dev", "v0")
	n.ip(t, "link", "set", "v0", "up")
	n.ip(t, "link", "set", "v1", "up")
	n.ip(t, "link", "set", "lo", "up")
}

func (n *namespace) ip(t testing.TB, args ...string) {
	t.Helper()
	run(t, "ip", append([]string{"-n", n.name}, args...)...)
}

// in runs f on the thread that is in the namespace.
func (n *namespace) in(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// open opens a shield there, on v0 unless o says otherwise.
func (n *namespace) open(t *testing.T, o Options) (*Shield, error) {
	t.Helper()
	o.Pin = n.pin
	if o.Device == "" {
		o.Device = "v0"
	}
	var s *Shield
	var err error
	n.in(func() { s, err = Open(o) })
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// must is open for when it has to work.
func (n *namespace) must(t *testing.T, o Options) *Shield {
	t.Helper()
	s, err := n.open(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// on is what is on the device.
func (n *namespace) on(t *testing.T, device string) (a attachment) {
	t.Helper()
	n.in(func() {
		d, err := net.InterfaceByName(device)
		if err == nil {
			a, err = onDevice(d.Index)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return a
}

func enter(name string) error {
	f, err := os.Open("/var/run/netns/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
