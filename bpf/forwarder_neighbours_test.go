package bpf

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A neighbour that nobody knows is user space's to find: its own sending makes the kernel ask.
// From then on the program sends; and it is asked again when it was not heard of.
func TestNeighboursAreFoundAndKept(t *testing.T) {
	c, there := newCrossing(t), newNamespace(t)
	c.ip(t, "link", "add", "y0", "type", "veth", "peer", "name", "y1", "netns", there.name)
	c.ip(t, "addr", "add", "198.18.5.1/24", "dev", "y0")
	c.ip(t, "link", "set", "y0", "up")
	there.ip(t, "addr", "add", "198.18.5.9/24", "dev", "y1")
	there.ip(t, "link", "set", "y1", "up")
	there.in(func() { c.passing(t, "y1") })
	c.in(func() {
		if err := c.f.Refresh(); err != nil {
			t.Error(err)
		}
	})
	far := netip.MustParseAddrPort("198.18.5.9:5000")
	c.put(t, Way{Local: at(ours4, 30000), From: phone4, Via: at(ours4, 30002), To: far})
	in := between(phone4, at(ours4, 30000), rtp(1)).Bytes()
	moved := c.reasons(t)
	if action, _ := c.test(t, in, ""); action != pass || moved() != "no_neighbour 1 " {
		t.Fatalf("action %d to whom nobody knows", action)
	}
	c.in(func() {
		s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(far))
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if _, err := s.Write([]byte("what user space repeats")); err != nil {
			t.Error(err)
		}
	})
	wait(t, "the program knows the neighbour", func() bool {
		action, _ := c.test(t, in, "")
		return action == redirect
	})
	state := func(want ...string) bool {
		out, err := exec.Command("ip", "-n", c.name, "neigh", "show", "198.18.5.9", "dev", "y0").CombinedOutput()
		words := strings.Fields(string(out))
		return err == nil && slices.ContainsFunc(want, func(w string) bool { return slices.Contains(words, w) })
	}
	stale := func() {
		c.ip(t, "neigh", "change", "198.18.5.9", "dev", "y0", "nud", "stale")
		if !state("STALE") {
			t.Fatal("the neighbour is not stale")
		}
	}
	keep := func() {
		c.in(func() {
			if err := c.f.KeepNeighbours(); err != nil {
				t.Error(err)
			}
		})
	}
	stale()
	keep()
	if !state("DELAY", "PROBE", "REACHABLE") {
		t.Error("a neighbour that is sent to stays stale")
	}
	stale()
	c.f.SetClock(c.f.now() + uint64(30*time.Second))
	keep()
	if !state("STALE") {
		t.Error("a neighbour that nobody sends to is asked for")
	}
}

// wait polls until a thing is so, for some seconds.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}

// Run does both by itself, and says when it cannot.
func TestRunEndsWithItsContext(t *testing.T) {
	c := newCrossing(t)
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.f.Run(ctx) }()
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	go func() { result <- c.f.Run(context.Background()) }()
	if err := c.f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; err != nil { // after its next round
		t.Error(err)
	}
}

// What the kernel says of a VLAN, as it lies in its answer: number 42 of device 3.
func TestVLANsAreRead(t *testing.T) {
	vlan := func(protocol []byte) []byte {
		data := append(attribute(unix.IFLA_VLAN_ID, 42, 0), attribute(unix.IFLA_VLAN_PROTOCOL, protocol...)...)
		info := append(attribute(unix.IFLA_INFO_KIND, 'v', 'l', 'a', 'n', 0), attribute(unix.IFLA_INFO_DATA, data...)...)
		b := make([]byte, unix.SizeofIfInfomsg)
		b[4] = 9
		b = append(b, attribute(unix.IFLA_IFNAME, 'e', '.', '4', '2', 0)...)
		b = append(b, attribute(unix.IFLA_LINK, 3, 0, 0, 0)...)
		return append(b, attribute(unix.IFLA_LINKINFO, info...)...)
	}
	tag := []byte{0x81, 0}
	if d, ok := netDeviceOf(vlan(tag)); !ok || d != (netDevice{index: 9, name: "e.42", kind: "vlan", parent: 3, vlan: 42}) {
		t.Errorf("%+v, %v", d, ok)
	}
	if d, ok := netDeviceOf(vlan([]byte{0x88, 0xa8})); ok {
		t.Errorf("a provider's tag is taken for a VLAN's: %+v", d)
	}
	if d, ok := netDeviceOf(append(vlan(tag), attribute(unix.IFLA_LINK_NETNSID, 0, 0, 0, 0)...)); ok {
		t.Errorf("a VLAN of a device elsewhere: %+v", d)
	}
	plain := append(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_LINK, 3, 0, 0, 0)...)
	if d, ok := netDeviceOf(plain); !ok || d.parent != 0 {
		t.Errorf("a veth's other end is taken for its parent: %+v", d)
	}
}

func attribute(kind uint16, value ...byte) []byte {
	b := []byte{byte(4 + len(value)), 0, byte(kind), byte(kind >> 8)}
	return pad4(append(b, value...))
}

func pad4(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }
