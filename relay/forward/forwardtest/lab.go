package forwardtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/relay/forward"
)

// A Lab is a Network of three namespaces: the relay's, and one on each of its
// sides, joined by veths. On the relay's devices is the Lab's
// forwarder. It needs root, and goes with the test.
type Lab struct {
	Forwarder *bpf.Forwarder

	relay   string
	sides   [2]string
	shields []*bpf.Shield
	port    atomic.Uint32
}

// The media ports of a Lab.
const (
	firstPort = 30000
	lastPort  = 31999
)

// address is that of a host (0 or 1) on a side; host -1 is the relay's.
func address(side, host int, six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", side+1, host+2))
	}
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(side*128 + host + 2)})
}

// NewLab builds a Lab whose devices repeat packets in a mode: by XDP, native or
// generic, behind the shield; or by TCX, without one.
func NewLab(t *testing.T, mode bpf.Mode) *Lab {
	t.Helper()
	l := NewRoads(t, string(mode))
	l.load(t, mode)
	return l
}

// Devices are the relay's, in its namespace.
func (l *Lab) Devices() []string { return []string{"r0", "r1"} }

// Relay is the relay's namespace, a file.
func (l *Lab) Relay() string { return "/var/run/netns/" + l.relay }

// Address is the relay's on a side.
func (l *Lab) Address(side int) netip.Addr { return address(side, -1, false) }

// In runs f in the relay's namespace.
func (l *Lab) In(t *testing.T, f func() error) { t.Helper(); in(t, l.relay, f) }

// Pins is a directory for a file system of pins, which goes with the test.
func Pins(t *testing.T) string { return pins(t) }

// NewRoads builds a Lab that has nothing of ours on the relay's devices: another
// process is to be the relay. tag is in the names of its namespaces.
func NewRoads(t *testing.T, tag string) *Lab {
	t.Helper()
	for _, tool := range []string{"ip", "ethtool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if m, why := bpf.Probe(""); m == bpf.None {
		t.Skip("needs XDP: ", why)
	}
	l := &Lab{}
	name := func(what string) string { return fmt.Sprintf("lnfwd%d-%s-%s", os.Getpid(), what, tag) }
	l.relay = l.namespace(t, name("relay"))
	for side := range l.sides {
		l.sides[side] = l.namespace(t, name("ab"[side:side+1]))
	}
	for side := range l.sides {
		l.join(t, side)
	}
	l.peers(t)
	return l
}

func (l *Lab) namespace(t *testing.T, name string) string {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
	return name
}

// join joins the relay and a side by a veth. What a local socket sends has its
// checksum only when its device would not make it.
func (l *Lab) join(t *testing.T, side int) {
	t.Helper()
	near, far := fmt.Sprint("r", side), fmt.Sprint("p", side)
	run(t, "ip", "-n", l.relay, "link", "add", near, "type", "veth", "peer", "name", far, "netns", l.sides[side])
	for _, d := range []struct{ namespace, device string }{{l.relay, near}, {l.sides[side], far}} {
		in(t, d.namespace, func() error {
			for _, feature := range []string{"tx off", "gso off", "tso off"} {
				if out, err := exec.Command("ethtool", append([]string{"-K", d.device}, strings.Fields(feature)...)...).CombinedOutput(); err != nil {
					return fmt.Errorf("ethtool: %w: %s", err, out)
				}
			}
			return nil
		})
	}
	for _, six := range []bool{false, true} {
		bits := "/25"
		if six {
			bits = "/64"
		}
		add := func(namespace, device string, host int) {
			arguments := []string{"-n", namespace, "addr", "add", address(side, host, six).String() + bits, "dev", device}
			if six {
				arguments = append(arguments, "nodad")
			}
			run(t, "ip", arguments...)
		}
		add(l.relay, near, -1)
		add(l.sides[side], far, 0)
		add(l.sides[side], far, 1)
	}
	run(t, "ip", "-n", l.relay, "link", "set", near, "up")
	run(t, "ip", "-n", l.sides[side], "link", "set", far, "up")
	for _, six := range []bool{false, true} { // to the relay's address on the other side
		run(t, "ip", "-n", l.sides[side], "route", "add", "default", "via", address(side, -1, six).String(), "dev", far)
	}
	l.know(t, side, near, far)
}

// know makes the ends of a veth permanent neighbours, so that no test is about
// when they learn each other.
func (l *Lab) know(t *testing.T, side int, near, far string) {
	t.Helper()
	hardware := map[string]string{}
	for namespace, device := range map[string]string{l.relay: near, l.sides[side]: far} {
		in(t, namespace, func() error {
			d, err := net.InterfaceByName(device)
			if err == nil {
				hardware[namespace] = d.HardwareAddr.String()
			}
			return err
		})
	}
	for _, six := range []bool{false, true} {
		for _, n := range []struct {
			in, device, of string
			host           int
		}{{l.relay, near, l.sides[side], 0}, {l.relay, near, l.sides[side], 1}, {l.sides[side], far, l.relay, -1}} {
			run(t, "ip", "-n", n.in, "neigh", "replace", address(side, n.host, six).String(), "lladdr", hardware[n.of], "dev", n.device, "nud", "permanent")
		}
	}
}

// peers lets the far ends of the veths take what leaves by XDP, and the relay's
// namespace forward.
func (l *Lab) peers(t *testing.T) {
	t.Helper()
	pins := pins(t)
	for side, namespace := range l.sides {
		// What leaves a veth by XDP arrives only where there is XDP as well. A shield
		// without services lets everything pass.
		in(t, namespace, func() error {
			s, err := bpf.Open(bpf.Options{Device: fmt.Sprint("p", side), Pin: pins + fmt.Sprint(side), Mode: bpf.Native, Owner: "edge"})
			if err == nil {
				t.Cleanup(func() { s.Close() })
			}
			return err
		})
	}
	in(t, l.relay, func() error {
		for _, path := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+path, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// load puts shield and forwarder on the relay's devices.
func (l *Lab) load(t *testing.T, mode bpf.Mode) {
	t.Helper()
	pins := pins(t)
	in(t, l.relay, func() error {
		faces := []netip.Addr{address(0, -1, false), address(1, -1, false), address(0, -1, true), address(1, -1, true)}
		f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Faces: faces, First: firstPort, Last: lastPort})
		if err != nil {
			return err
		}
		t.Cleanup(func() { f.Close() })
		l.Forwarder = f
		for side := range l.sides {
			device := fmt.Sprint("r", side)
			if mode == bpf.TCX {
				if err := f.Attach(device, errors.New("the test wants it so")); err != nil {
					return err
				}
				continue
			}
			s, err := bpf.Open(bpf.Options{Device: device, Pin: pins, Mode: mode, Owner: "relay"})
			if err != nil {
				return err
			}
			t.Cleanup(func() { s.Close() })
			l.shields = append(l.shields, s)
			if err := errors.Join(s.SetServices([]bpf.Port{{First: firstPort, Last: lastPort, Service: 4}}), s.Chain(f)); err != nil {
				return err
			}
		}
		return nil
	})
}

// pins is a directory for a file system of pins, which goes with the test, as do
// those beside it that have a digit more.
func pins(t *testing.T) string {
	dir := t.TempDir() + "/pins"
	t.Cleanup(func() {
		for _, more := range []string{"", "0", "1"} {
			_ = unix.Unmount(dir+more, 0) // if it came to be
		}
	})
	return dir
}

// Peer implements Network.
func (l *Lab) Peer(t *testing.T, p Place) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	in(t, l.sides[p.Side], func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address(p.Side, p.Host, p.Six), 0)))
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Local implements Network.
func (l *Lab) Local(t *testing.T, side int, six bool) netip.AddrPort {
	t.Helper()
	port := firstPort + l.port.Add(1) - 1
	if port > lastPort {
		t.Fatal("the lab has no more ports")
	}
	return netip.AddrPortFrom(address(side, -1, six), uint16(port))
}

// Table has the sockets of u open in the relay's namespace, and their legs end with
// the test.
func (l *Lab) Table(t *testing.T, u *forward.Userspace) Table {
	return &labTable{u, l, t}
}

type labTable struct {
	*forward.Userspace
	lab *Lab
	t   *testing.T
}

// Open implements Table.
func (l *labTable) Open(local netip.AddrPort) error {
	var err error
	in(l.t, l.lab.relay, func() error { err = l.Userspace.Open(local); return nil })
	if err == nil {
		l.live(local, true)
		l.t.Cleanup(func() { l.lab.Forwarder.Drop(local); l.live(local, false) })
	}
	return err
}

func (l *labTable) live(local netip.AddrPort, on bool) {
	for _, s := range l.lab.shields {
		s.SetLeg(local.Port(), on)
	}
}

// in runs f in a namespace.
func in(t *testing.T, namespace string, f func() error) {
	t.Helper()
	if err := livegen.In("/var/run/netns/"+namespace, f); err != nil {
		t.Fatalf("in %s: %v", namespace, err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
