package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/lindero/lindero/bpf/frame"
)

const (
	aborted  = 0 // XDP_ABORTED
	back     = 3 // XDP_TX
	redirect = 4 // XDP_REDIRECT
)

// Where the crossing's legs are.
var (
	ours4  = netip.MustParseAddr("192.0.2.1")
	ours6  = netip.MustParseAddr("2001:db8::1")
	phone4 = netip.MustParseAddrPort("192.0.2.9:4000")
	phone6 = netip.MustParseAddrPort("[2001:db8::9]:4000")
	far4   = netip.MustParseAddrPort("198.51.100.9:5000")
	far6   = netip.MustParseAddrPort("[2001:db8:1::9]:5000")
	tagged = netip.MustParseAddrPort("203.0.113.9:5000")
)

// Their link-layer addresses.
var (
	farMAC   = [6]byte{2, 0, 0, 0, 0, 9}
	phoneMAC = [6]byte{2, 0, 0, 0, 0, 8}
)

// A crossing is a namespace with v0, where phones are, w0, where carriers are, and
// w0.7, which is taken for a VLAN of w0, all of whose neighbours are known, and a forwarder for 192.0.2.1 and
// 2001:db8::1, ports 30000 to 30099.
type crossing struct {
	*namespace
	f   *Forwarder
	mac map[string][6]byte // of devices
}

func newCrossing(t testing.TB) *crossing {
	t.Helper()
	c := &crossing{namespace: newNamespace(t), mac: map[string][6]byte{}}
	c.roads(t)
	c.f = c.forwarder(t, c.options())
	c.f.SetClock(1e12)
	c.vlan(t)
	c.hardware(t)
	return c
}

// hardware says that v0 were no veth, so that it can send back what came to it.
func (c *crossing) hardware(t testing.TB) {
	t.Helper()
	c.in(func() {
		v0, err := net.InterfaceByName("v0")
		var d forwardDevice
		if err == nil {
			err = c.f.maps.Exits.Lookup(uint32(v0.Index), &d)
		}
		if d.Flags |= deviceBack; err == nil {
			err = c.f.maps.Exits.Put(uint32(v0.Index), d)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// vlan says that w0.7 were a VLAN of w0: kernels without VLANs are tested on, too.
func (c *crossing) vlan(t testing.TB) {
	t.Helper()
	c.in(func() {
		w0, err := net.InterfaceByName("w0")
		sub, err2 := net.InterfaceByName("w0.7")
		var d forwardDevice
		if err = errors.Join(err, err2); err == nil {
			err = c.f.maps.Exits.Lookup(uint32(w0.Index), &d)
		}
		if d.Tag = 7; err == nil {
			err = c.f.maps.Exits.Put(uint32(sub.Index), d)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func (c *crossing) options() ForwarderOptions {
	return ForwarderOptions{Faces: []netip.Addr{ours4, ours6}, First: 30000, Last: 30099, Clock: true}
}

// forwarder opens one in the namespace.
func (c *crossing) forwarder(t testing.TB, o ForwarderOptions) (f *Forwarder) {
	t.Helper()
	var err error
	c.in(func() { f, err = OpenForwarder(o) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// roads makes the devices and tells the kernel about everybody.
func (c *crossing) roads(t testing.TB) {
	t.Helper()
	c.ip(t, "link", "add", "w0", "type", "veth", "peer", "name", "w1")
	c.ip(t, "link", "set", "w0", "up")
	c.ip(t, "link", "set", "w1", "up")
	c.ip(t, "link", "add", "w0.7", "type", "veth", "peer", "name", "w7")
	c.ip(t, "link", "set", "w0.7", "up")
	for _, a := range [][2]string{{"2001:db8::1/64", "v0"}, {"198.51.100.1/24", "w0"}, {"2001:db8:1::1/64", "w0"}, {"203.0.113.1/24", "w0.7"}} {
		c.ip(t, "addr", "add", a[0], "dev", a[1], "nodad")
	}
	for _, a := range []struct {
		address netip.AddrPort
		mac     [6]byte
		device  string
	}{{phone4, phoneMAC, "v0"}, {phone6, phoneMAC, "v0"}, {far4, farMAC, "w0"}, {far6, farMAC, "w0"}, {tagged, farMAC, "w0.7"}} {
		c.ip(t, "neigh", "add", a.address.Addr().String(), "lladdr", net.HardwareAddr(a.mac[:]).String(), "dev", a.device, "nud", "permanent")
	}
	c.in(func() {
		c.passing(t, "v0") // frames can only be tried as of a device that has one
		c.passing(t, "v1")
		c.passing(t, "w1")
		for _, name := range []string{"v0", "w0", "w0.7"} {
			d, err := net.InterfaceByName(name)
			if err != nil {
				t.Error(err)
				return
			}
			c.mac[name] = [6]byte(d.HardwareAddr)
		}
		c.sysctl(t, "ipv4/ip_forward", "1")
		c.sysctl(t, "ipv6/conf/all/forwarding", "1")
	})
}

func (c *crossing) sysctl(t testing.TB, name, value string) {
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
		t.Error(err)
	}
}

// passing puts a program that does nothing on a device, so that the other end of the
// veth may give it packets from XDP.
func (c *crossing) passing(t testing.TB, device string) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { p.Close() })
	d, err := net.InterfaceByName(device)
	if err != nil {
		t.Error(err)
		return
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: d.Index, Flags: link.XDPDriverMode})
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { l.Close() })
}

// test runs the program in the namespace.
func (c *crossing) test(t testing.TB, in []byte, device string) (action uint32, out []byte) {
	t.Helper()
	var err error
	c.in(func() {
		index := 0
		if device != "" {
			var d *net.Interface
			if d, err = net.InterfaceByName(device); err != nil {
				return
			}
			index = d.Index
		}
		action, out, err = c.f.Test(in, index)
	})
	if err != nil {
		t.Fatal(err)
	}
	return action, out
}

// at is a port of ours.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// rtp is a packet of 20 ms.
func rtp(sequence uint16) []byte {
	b := make([]byte, 172)
	b[0], b[1], b[2], b[3] = 0x80, 8, byte(sequence>>8), byte(sequence)
	stamp := uint32(sequence) * 160
	b[4], b[5], b[6], b[7] = byte(stamp>>24), byte(stamp>>16), byte(stamp>>8), byte(stamp)
	b[11] = 7
	for i := range b[12:] {
		b[12+i] = byte(i * 3)
	}
	return b
}

// between is a datagram from one to the other as the phone's link has it.
func between(from, to netip.AddrPort, payload []byte) frame.Frame {
	return frame.Frame{To: [6]byte{1, 1, 1, 1, 1, 1}, From: [6]byte{2, 2, 2, 2, 2, 2},
		Source: from.Addr(), SourcePort: from.Port(), Destination: to.Addr(), Port: to.Port(), Payload: payload}
}

// leaving is the same datagram as it has to leave by a device.
func (c *crossing) leaving(device string, mac [6]byte, via, to netip.AddrPort, payload []byte) frame.Frame {
	f := between(via, to, payload)
	f.To, f.From, f.TTL = mac, c.mac[device], 63
	return f
}

// reasons is what moved since the last call.
func (c *crossing) reasons(t testing.TB) func() string {
	t.Helper()
	names, err := ReasonNames()
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.f.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	return func() (text string) {
		t.Helper()
		after, err := c.f.Reasons()
		if err != nil {
			t.Fatal(err)
		}
		for i := range after {
			if n := after[i] - before[i]; n > 0 {
				text += fmt.Sprintf("%s %d ", names[i], n)
			}
		}
		before = after
		return text
	}
}

func (c *crossing) put(t testing.TB, w Way) *Track {
	t.Helper()
	if err := c.f.Put(w); err != nil {
		t.Fatal(err)
	}
	return c.f.Track(w.Local)
}
