package bpf

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/lindero/lindero/bpf/frame"
)

// What TCX programs answer.
const (
	next   = 0xffffffff // TCX_NEXT
	shot   = 2          // TCX_DROP
	sentOn = 7          // TCX_REDIRECT
)

// tcx runs the program of TCX hooks in the namespace.
func (c *crossing) tcx(t *testing.T, in []byte) (action uint32, out []byte) {
	t.Helper()
	o := ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+64)}
	var err error
	c.in(func() {
		c.f.mu.Lock()
		defer c.f.mu.Unlock()
		if err = c.f.loadTCX(); err == nil {
			action, err = c.f.tcx.Run(&o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return action, o.DataOut
}

// At the TCX hook as in XDP: every byte, every reason.
func TestTCXBytes(t *testing.T) {
	c := newCrossing(t)
	four, six, over, tag := at(ours4, 30000), at(ours6, 30000), at(ours4, 30004), at(ours4, 30006)
	k4 := c.put(t, Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4})
	k6 := c.put(t, Way{Local: six, From: phone6, Via: at(ours6, 30002), To: far6})
	c.put(t, Way{Local: over, From: phone4, Via: at(ours6, 30002), To: far6})
	c.put(t, Way{Local: tag, From: phone4, Via: at(ours4, 30002), To: tagged})
	bare := func(b []byte, at int) []byte { b[at], b[at+1] = 0, 0; return b }
	for name, x := range map[string]struct {
		in, want []byte
		action   uint32
		why      string
	}{
		"IPv4": {between(phone4, four, rtp(1)).Bytes(), c.leaving("w0", farMAC, at(ours4, 30002), far4, rtp(1)).Bytes(), sentOn, ""},
		"IPv6": {between(phone6, six, rtp(1)).Bytes(), c.leaving("w0", farMAC, at(ours6, 30002), far6, rtp(1)).Bytes(), sentOn, ""},
		"without a checksum": {bare(between(phone4, four, rtp(1)).Bytes(), 40),
			bare(c.leaving("w0", farMAC, at(ours4, 30002), far4, rtp(1)).Bytes(), 40), sentOn, ""},
		"to a VLAN, whose device tags": {between(phone4, tag, rtp(1)).Bytes(), c.leaving("w0.7", farMAC, at(ours4, 30002), tagged, rtp(1)).Bytes(), sentOn, ""},
		"to another family":            {between(phone4, over, rtp(1)).Bytes(), nil, next, "family 1 "},
		"IPv6 without a checksum":      {bare(between(phone6, six, rtp(1)).Bytes(), 60), nil, next, "no_checksum 1 "},
		"a stranger":                   {between(far4, four, rtp(1)).Bytes(), nil, shot, "wrong_source 1 "},
		"RTCP":                         {between(phone4, four, append([]byte{0x80, 200}, make([]byte, 26)...)).Bytes(), nil, next, "not_rtp 1 "},
		"no leg":                       {between(phone4, at(ours4, 30050), rtp(1)).Bytes(), nil, next, "not_kernel 1 "},
		"something else":               {frame.Frame{Protocol: frame.TCP, Source: phone4.Addr(), Destination: ours4, Port: 30000}.Bytes(), nil, next, "not_media 1 "},
	} {
		moved := c.reasons(t)
		action, out := c.tcx(t, x.in)
		if x.want == nil {
			x.want = x.in
		}
		if got := moved(); action != x.action || got != x.why || !bytes.Equal(out, x.want) {
			t.Errorf("%s: action %d, want %d; counted as %q, want %q; sent\n%x, want\n%x", name, action, x.action, got, x.why, out, x.want)
		}
	}
	if k4.Packets != 2 || k6.Packets != 1 || k4.WrongSource != 1 || k4.Receiver.Received != 2 {
		t.Errorf("counted %+v %+v", *k4, *k6)
	}
	// What one way in remembers is not taken for the other's.
	if action, out := c.test(t, between(phone4, four, rtp(2)).Bytes(), ""); action != redirect ||
		!bytes.Equal(out, c.leaving("w0", farMAC, at(ours4, 30002), far4, rtp(2)).Bytes()) {
		t.Errorf("then by XDP: action %d\n%x", action, out)
	}
	if action, _ := c.tcx(t, between(phone4, four, rtp(3)).Bytes()); action != sentOn {
		t.Errorf("then by TCX again: action %d", action)
	}
}

// sockets makes a namespace on either side of this one, and says how to open a
// forwarder between them.
func (c *crossing) sockets(t *testing.T) (phone, far *namespace, o ForwarderOptions) {
	t.Helper()
	phone, far = newNamespace(t), newNamespace(t)
	for _, x := range []struct {
		n            *namespace
		ours, theirs string
		net4, net6   string
	}{{phone, "p0", "p1", "198.18.1.", "2001:db8:a::"}, {far, "q0", "q1", "198.18.2.", "2001:db8:b::"}} {
		c.ip(t, "link", "add", x.ours, "type", "veth", "peer", "name", x.theirs, "netns", x.n.name)
		c.ip(t, "link", "set", x.ours, "up")
		x.n.ip(t, "link", "set", x.theirs, "up")
		for _, a := range []struct{ net, length string }{{x.net4, "/24"}, {x.net6, "/64"}} {
			c.ip(t, "addr", "add", a.net+"1"+a.length, "dev", x.ours, "nodad")
			x.n.ip(t, "addr", "add", a.net+"9"+a.length, "dev", x.theirs, "nodad")
		}
	}
	o = ForwarderOptions{Pin: c.pin, First: 30000, Last: 30099}
	for _, a := range []string{"198.18.1.1", "198.18.2.1", "2001:db8:a::1", "2001:db8:b::1"} {
		o.Faces = append(o.Faces, netip.MustParseAddr(a))
	}
	return phone, far, o
}

// A shield that comes to a device takes the place of what was at its TCX hook.
func TestShieldTakesTCXsPlace(t *testing.T) {
	c := newCrossing(t)
	o := c.options()
	o.Pin = c.pin
	c.ip(t, "link", "add", "p0", "type", "veth", "peer", "name", "p1")
	c.ip(t, "link", "set", "p0", "up")
	f := c.forwarder(t, o)
	c.in(func() {
		if err := f.Attach("p0", errors.New("for a try")); err != nil {
			t.Error(err)
		}
	})
	pinned := func() bool {
		_, err := os.Stat(f.pins.path(tcxPinOf("p0")))
		return err == nil
	}
	if !pinned() {
		t.Error("the hook has no pin")
	}
	s := c.must(t, Options{Device: "p0", Owner: "relay"})
	if err := s.Chain(f); err != nil {
		t.Fatal(err)
	}
	if e := f.Forwarding(); pinned() || len(e) != 1 || e[0] != (Exit{"p0", Native, ""}) {
		t.Errorf("forwarding %+v, pinned %v", e, pinned())
	}
}

// What would be, and why not better, is said before anything is attached.
func TestProbeForward(t *testing.T) {
	c := newCrossing(t) // whose v0 has another program
	c.ip(t, "link", "add", "p0", "type", "veth", "peer", "name", "p1")
	for _, x := range []struct {
		device string
		mode   Mode
		why    string
	}{{"v0", TCX, "a program"}, {"p0", Native, ""}, {"lo", Generic, "the driver of lo has no XDP"}, {"nothing", None, "nothing"}} {
		c.in(func() {
			if m, why := ProbeForward(x.device); m != x.mode || !strings.Contains(why, x.why) || (x.why == "") != (why == "") {
				t.Errorf("%s: %s, %q", x.device, m, why)
			}
		})
	}
	c.in(func() {
		c.sysctl(t, "ipv4/conf/p0/forwarding", "0")
		if m, why := ProbeForward("p0"); m != Native || why != "user space sends, as sysctl net/ipv4/conf/p0/forwarding is 0" {
			t.Errorf("with forwarding off: %s, %q", m, why)
		}
	})
}

// Real sockets, whose checksums nobody finished: what passes the TCX hook arrives at a
// socket that checks, in both families; a new process keeps it so, Unforward ends it.
func TestTCXCarriesWhatSocketsSend(t *testing.T) {
	c := newCrossing(t)
	phone, far, o := c.sockets(t)
	addr, f := netip.MustParseAddr, c.forwarder(t, o)
	c.in(func() {
		if err := f.Attach("p0", errors.New("somebody else's XDP program is there")); err != nil {
			t.Fatal(err)
		}
		if err := f.Attach("p9", nil); err == nil {
			t.Error("attached to no device")
		}
	})
	if e := f.Forwarding(); len(e) != 2 || e[0] != (Exit{"p0", TCX, "somebody else's XDP program is there"}) || e[1].Mode != None || !strings.Contains(e[1].Reason, "p9") {
		t.Errorf("forwarding %+v", e)
	}
	var talkers []*net.UDPConn
	for _, net6 := range []bool{false, true} {
		p, q := "198.18.1.", "198.18.2."
		if net6 {
			p, q = "2001:db8:a::", "2001:db8:b::"
		}
		listener := socket(t, far, q+"9", 5000)
		talker := socket(t, phone, p+"9", 4000)
		talkers = append(talkers, talker)
		w := Way{Local: at(addr(p+"1"), 30000), From: at(addr(p+"9"), 4000), Via: at(addr(q+"1"), 30002), To: at(addr(q+"9"), 5000)}
		if err := f.Put(w); err != nil {
			t.Fatal(err)
		}
		c.in(func() { // user space finds the neighbour
			s, err := net.Dial("udp", w.To.String())
			if err == nil {
				_, err = s.Write(rtp(0))
				s.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
		heard(t, listener, rtp(0), addr(q+"1"))
		f.Close()
		f = c.forwarder(t, o)
		if net6 {
			if e := f.Forwarding(); len(e) != 1 || e[0].Mode != TCX || e[0].Device != "p0" {
				t.Errorf("the next process finds %+v", e)
			}
		}
		for i := range uint16(20) {
			if _, err := talker.WriteToUDPAddrPort(rtp(i), w.Local); err != nil {
				t.Fatal(err)
			}
			heard(t, listener, rtp(i), addr(q+"1"))
		}
		if k := f.Track(w.Local); k.Packets != 20 || k.Receiver.Received != 20 {
			t.Errorf("counted %+v", *k)
		}
	}
	if err := Unforward(c.pin); err != nil {
		t.Fatal(err)
	}
	before := f.Track(at(addr("198.18.1.1"), 30000)).Packets
	if _, err := talkers[0].WriteToUDPAddrPort(rtp(1), at(addr("198.18.1.1"), 30000)); err != nil {
		t.Fatal(err)
	}
	if after := f.Track(at(addr("198.18.1.1"), 30000)).Packets; after != before {
		t.Error("it goes on after Unforward")
	}
}

// socket opens a socket in a namespace.
func socket(t *testing.T, n *namespace, address string, port uint16) (c *net.UDPConn) {
	t.Helper()
	var err error
	n.in(func() { c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at(netip.MustParseAddr(address), port))) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func heard(t *testing.T, c *net.UDPConn, want []byte, from netip.Addr) {
	t.Helper()
	b := make([]byte, 2048)
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, source, err := c.ReadFromUDPAddrPort(b)
	if err != nil || !bytes.Equal(b[:n], want) || source.Addr().Unmap() != from {
		t.Fatalf("heard %x from %v, %v; want %x from %v", b[:n], source, err, want, from)
	}
}
