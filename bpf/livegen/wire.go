package livegen

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Wire is two namespaces with a veth pair between them: load leaves the near one
// and meets what is tested in the far one. Nothing else is in either.
type Wire struct {
	Near, Far   string // paths of the namespaces
	near, far   string // their names
	NearMAC     net.HardwareAddr
	FarMAC      net.HardwareAddr
	Addr, Addr6 netip.Addr // of the far end
}

// The devices of a Wire.
const (
	NearDevice = "near0"
	FarDevice  = "far0"
)

// NewWire makes the namespaces; Close removes them. It needs root and iproute2.
// Their names tell the process that made them, so that the next laboratory removes
// what a killed one left.
func NewWire() (*Wire, error) {
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("livegen: %w", err)
	}
	name := fmt.Sprintf("lindero-%d-%s-", os.Getpid(), hex.EncodeToString(random))
	w := &Wire{
		near: name + "near", far: name + "far",
		NearMAC: net.HardwareAddr{2, 0x11, 0, 0, 0, 1}, FarMAC: net.HardwareAddr{2, 0x11, 0, 0, 0, 2},
		Addr: netip.MustParseAddr("192.0.2.2"), Addr6: netip.MustParseAddr("2001:db8:ffff::2"),
	}
	w.Near, w.Far = "/run/netns/"+w.near, "/run/netns/"+w.far
	for _, command := range []string{
		"netns add " + w.near,
		"netns add " + w.far,
		"-n " + w.near + " link add " + NearDevice + " address " + w.NearMAC.String() + " type veth peer name " + FarDevice + " address " + w.FarMAC.String() + " netns " + w.far,
		// Of no link-local addresses comes no packet that nobody counted on.
		"-n " + w.near + " link set " + NearDevice + " addrgenmode none",
		"-n " + w.far + " link set " + FarDevice + " addrgenmode none",
		"-n " + w.far + " link set lo up",
		"-n " + w.near + " link set " + NearDevice + " up",
		"-n " + w.far + " link set " + FarDevice + " up",
		"-n " + w.far + " addr add 192.0.2.2/24 dev " + FarDevice,
		"-n " + w.far + " -6 addr add 2001:db8:ffff::2/64 dev " + FarDevice + " nodad",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("livegen: ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// Close removes both namespaces and with them all that is attached in them.
func (w *Wire) Close() error {
	var faults []error
	for _, name := range []string{w.near, w.far} {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			faults = append(faults, fmt.Errorf("livegen: removing %s: %w: %s", name, err, strings.TrimSpace(string(out))))
		}
	}
	return errors.Join(faults...)
}

// Plan is one that sends from the near end to the far one.
func (w *Wire) Plan(from netip.Prefix, port uint16) Plan {
	p := Plan{Network: w.Near, Device: NearDevice, FromMAC: w.NearMAC, ToMAC: w.FarMAC, From: from, To: w.Addr, ToPort: port}
	if from.Addr().Is6() {
		p.To = w.Addr6
	}
	return p
}

// InFar calls f on a thread in the far namespace; goroutines that f starts do not
// run there.
func (w *Wire) InFar(f func() error) error { return in(w.Far, f) }

// Join moves the near end into the far namespace of another wire, so that what is
// tested there stands between two: it takes in from before and sends to this one's
// far end. The near end has no address then.
func (w *Wire) Join(before *Wire) error {
	for _, command := range []string{
		"-n " + w.near + " link set " + NearDevice + " netns " + before.far,
		"-n " + before.far + " link set " + NearDevice + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("livegen: ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Command prepares a program that will run in the far namespace.
func (w *Wire) Command(name string, args ...string) *exec.Cmd {
	// Not ip netns exec, which hides mounts of BPF file systems.
	return exec.Command("nsenter", append([]string{"--net=" + w.Far, name}, args...)...)
}

// Thread has the far device's packets taken in by a kernel thread of its own instead
// of by whoever sends them, so that what they cost there can be told apart. It wants
// an XDP program or GRO there first.
func (w *Wire) Thread() error {
	// ip netns exec shows the namespace's own /sys.
	c := exec.Command("ip", "netns", "exec", w.far, "sh", "-c", "echo 1 >/sys/class/net/"+FarDevice+"/threaded")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("livegen: a thread for %s: %w: %s", FarDevice, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Received is how many packets the far end's device has taken in, by its own count.
func (w *Wire) Received() (n uint64, err error) {
	err = in(w.Far, func() error {
		// A veth counts what an XDP program dropped as received, too.
		out, err := exec.Command("ip", "-s", "-o", "link", "show", FarDevice).Output()
		if err != nil {
			return err
		}
		n, err = received(string(out))
		return err
	})
	return n, err
}

// received reads the packets after "RX: bytes packets …\ BYTES PACKETS".
func received(text string) (uint64, error) {
	_, after, _ := strings.Cut(text, "RX:")
	_, after, _ = strings.Cut(after, `\`)
	fields := strings.Fields(after)
	if len(fields) < 2 {
		return 0, fmt.Errorf("livegen: no packets in %q", text)
	}
	return strconv.ParseUint(fields[1], 10, 64)
}

// in calls f on a thread in the namespace at path. The thread goes home before
// others use it: the first of a process cannot end.
func in(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result <- err
			return
		}
		defer home.Close()
		away, err := os.Open(path)
		if err != nil {
			result <- err
			return
		}
		defer away.Close()
		if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("livegen: entering %s: %w", path, err)
			return
		}
		err = f()
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		result <- errors.Join(err, back)
	}()
	return <-result
}
