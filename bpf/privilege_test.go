package bpf

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody is how this binary, run again by TestPrivileges, is told what to open.
const asNobody = "LINDERO_TEST_OPEN_AS_NOBODY"

// TestOpenAsNobody is the child: it opens a shield and says what came of it.
func TestOpenAsNobody(t *testing.T) {
	pin, asked := os.LookupEnv(asNobody)
	if !asked {
		t.Skip("runs in a process that TestPrivileges begins")
	}
	s, err := Open(Options{Device: "v0", Pin: pin})
	if err != nil {
		t.Fatalf("not here: %v, %v", errors.Is(err, ErrNotHere), err)
	}
	defer s.Close()
	f, err := OpenForwarder(ForwarderOptions{Pin: pin, Faces: []netip.Addr{ours4}, First: 30000, Last: 30009})
	if err == nil {
		err = errors.Join(s.Chain(f), f.Put(Way{Local: at(ours4, 30000), From: phone4, Via: at(ours4, 30002), To: far4}), f.KeepNeighbours())
	}
	if err != nil {
		t.Fatalf("the forwarder: %v", err)
	}
	defer f.Close()
	m, why := s.Mode()
	t.Logf("opened: %s %s", m, why)
	if m, why := Probe("v0"); pin == "" && m == None {
		t.Errorf("Probe says %s, %s", m, why)
	}
}

// What lacks is said by name; what suffices, suffices without being root.
func TestPrivileges(t *testing.T) {
	n := newNamespace(t)
	self := filepath.Join(t.TempDir(), "self")
	copyFile(t, os.Args[0], self)
	if err := mount(n.pin); err != nil {
		t.Fatal(err)
	}
	err := os.Chown(n.pin, 65534, 65534)
	for _, d := range []string{self, n.pin} { // nobody may get there
		err = errors.Join(err, os.Chmod(filepath.Dir(d), 0o755), os.Chmod(filepath.Dir(filepath.Dir(d)), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	const net, bpf, perf = unix.CAP_NET_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON
	for name, c := range map[string]struct {
		caps []uintptr
		pin  string
		want string
	}{
		"nothing":             {nil, "", "not here: true, bpf: XDP is not possible here: it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and this process lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON\n"},
		"no CAP_PERFMON":      {[]uintptr{net, bpf}, "", "this process lacks CAP_PERFMON\n"},
		"no CAP_NET_ADMIN":    {[]uintptr{perf, bpf}, "", "this process lacks CAP_NET_ADMIN\n"},
		"all, not attached":   {[]uintptr{net, bpf, perf}, "", "opened: none"},
		"all":                 {[]uintptr{net, bpf, perf}, n.pin, "opened: native"},
		"no file system":      {[]uintptr{net, bpf, perf}, filepath.Join(filepath.Dir(n.pin), "other"), "not here: true, bpf: XDP is not possible here: making a place"},
		"all, and once again": {[]uintptr{net, bpf, perf}, n.pin, "opened: native"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(self, "-test.v", "-test.run=^TestOpenAsNobody$")
			cmd.Env = append(os.Environ(), asNobody+"="+c.pin)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: c.caps}
			var out []byte
			n.in(func() {
				var err error
				if out, err = cmd.CombinedOutput(); err != nil {
					out = append(out, err.Error()...)
				}
			})
			if !strings.Contains(string(out), c.want) {
				t.Errorf("says\n%s\nwant %q in it", out, c.want)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
