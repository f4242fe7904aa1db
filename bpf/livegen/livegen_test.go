package livegen_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf/livegen"
)

// newWire makes a wire whose far end takes packets in without an XDP program.
func newWire(t *testing.T) *livegen.Wire {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and BPF programs need root")
	}
	w, err := livegen.NewWire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if out, err := w.Command("ethtool", "-K", livegen.FarDevice, "gro", "on").CombinedOutput(); err != nil {
		t.Skipf("ethtool: %v: %s", err, out)
	}
	return w
}

// What is sent is read at the far end as any program there would read it.
func TestPacketsAreWhatThePlanSays(t *testing.T) {
	const packets = 4000
	odd := []byte("OPTIONS sip:x SIP/2.0") // odd, for the checksum
	lab, lab6 := netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/32")
	for name, c := range map[string]struct {
		change    func(*livegen.Plan)
		from      netip.Prefix
		distinct  int // sources, at least
		atMost    int
		fromPorts int // distinct, at least
		toPorts   int // distinct, exactly
	}{
		"one source":                  {func(p *livegen.Plan) { p.FromPort = 5060; p.Payload = odd }, netip.MustParsePrefix("203.0.113.9/32"), 1, 1, 1, 1},
		"a thousand sources":          {func(p *livegen.Plan) { p.Sources = 1000 }, lab, 1000, 1000, 1000, 1},
		"every source of a prefix":    {func(p *livegen.Plan) { p.Payload = odd; p.Ports = 100 }, lab, packets * 97 / 100, packets, 1000, 100},
		"a small prefix":              {func(*livegen.Plan) {}, netip.MustParsePrefix("198.51.100.128/25"), 128, 128, 1000, 1},
		"SYN":                         {func(p *livegen.Plan) { p.SYN = true }, lab, packets * 97 / 100, packets, 1000, 1},
		"IPv6, one":                   {func(p *livegen.Plan) { p.Payload = odd }, netip.MustParsePrefix("2001:db8:1:2::/64"), 1, 1, 1000, 1},
		"IPv6, all of a /32":          {func(p *livegen.Plan) { p.Payload = odd }, lab6, packets, packets, 1000, 1},
		"IPv6, fifty of a /32":        {func(p *livegen.Plan) { p.Sources = 50 }, lab6, 50, 50, 1000, 1},
		"IPv6, SYN, all of a /48":     {func(p *livegen.Plan) { p.SYN = true }, netip.MustParsePrefix("2001:db8:77::/48"), packets * 95 / 100, packets, 1000, 1},
		"IPv6, wider than 32 bits":    {func(*livegen.Plan) {}, netip.MustParsePrefix("2001:d00::/24"), packets, packets, 1000, 1},
		"a range of ports to the end": {func(p *livegen.Plan) { p.ToPort, p.Ports = 65535-9, 10 }, lab, packets * 97 / 100, packets, 1000, 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			p := w.Plan(c.from, 5060)
			p.Packets, p.Rate = packets, 100_000
			c.change(&p)
			got := newCapture(t, w, p)
			send(t, p)
			for got.packets < packets && got.next(t, 2*time.Second) {
			}
			if got.packets != packets {
				t.Errorf("%d packets arrived of %d", got.packets, packets)
			}
			if n := len(got.sources); n < c.distinct || n > c.atMost {
				t.Errorf("%d sources, want %d to %d", n, c.distinct, c.atMost)
			}
			if n := len(got.fromPorts); n < c.fromPorts {
				t.Errorf("%d source ports, want at least %d", n, c.fromPorts)
			}
			if n := len(got.toPorts); n != c.toPorts {
				t.Errorf("%d ports, want %d", n, c.toPorts)
			}
		})
	}
}

func send(t *testing.T, p livegen.Plan) livegen.Result {
	t.Helper()
	g, err := livegen.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	r, err := g.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != g.Sent() || p.Packets > 0 && r.Sent != p.Packets {
		t.Errorf("Run says %d, the program %d, the plan %d", r.Sent, g.Sent(), p.Packets)
	}
	return r
}

func TestTheRateIsKept(t *testing.T) {
	w := newWire(t)
	p := w.Plan(netip.MustParsePrefix("198.18.0.0/15"), 9)
	p.Rate, p.Packets = 20_000, 20_000
	r := send(t, p)
	if r.Wall < 950*time.Millisecond || r.Wall > 3*time.Second {
		t.Errorf("20000 packets at 20000/s took %v", r.Wall)
	}
}

func TestAnEndedContextEndsTheLoad(t *testing.T) {
	w := newWire(t)
	g, err := livegen.Open(w.Plan(netip.MustParsePrefix("198.18.0.0/15"), 9))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := g.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent < 1000 || r.Wall > 5*time.Second {
		t.Errorf("%d packets sent until %v", r.Sent, r.Wall)
	}
	if got, err := w.Received(); err != nil || got == 0 || got > r.Sent {
		t.Errorf("the device counted %d packets of %d (%v)", got, r.Sent, err)
	}
}

// The base of every comparison: what is sent flat out arrives, packet by packet,
// by the device's own count, and nothing of it comes up to the stack.
func TestNothingIsLostOnTheWire(t *testing.T) {
	w := newWire(t)
	drop, err := w.Drop()
	if err != nil {
		t.Fatal(err)
	}
	defer drop.Close()
	p := w.Plan(netip.MustParsePrefix("198.18.0.0/15"), 5060)
	p.Packets = 2_000_000
	got := newCapture(t, w, p)
	before, err := w.Received()
	if err != nil {
		t.Fatal(err)
	}
	r := send(t, p)
	after, err := w.Received()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets, %v of processor time each", r.Sent, r.CPU/time.Duration(r.Sent))
	if after-before != r.Sent {
		t.Errorf("%d packets arrived of %d", after-before, r.Sent)
	}
	for got.next(t, time.Millisecond) { // what the far end itself says, at most
	}
	if got.packets > 0 {
		t.Error("the sink lets packets through")
	}
}

func TestAPlanThatCannotBeSentIsRefused(t *testing.T) {
	good := livegen.Plan{Device: "x", From: netip.MustParsePrefix("198.18.0.0/15"), To: netip.MustParseAddr("192.0.2.1"), ToPort: 65535}
	for want, change := range map[string]func(*livegen.Plan){
		"no device":       func(p *livegen.Plan) { p.Device = "" },
		"one family":      func(p *livegen.Plan) { p.To = netip.MustParseAddr("2001:db8::1") },
		"not so many":     func(p *livegen.Plan) { p.Ports = 2 },
		"no payload":      func(p *livegen.Plan) { p.SYN, p.Payload = true, []byte("x") },
		"does not fit":    func(p *livegen.Plan) { p.Payload = make([]byte, 1500) },
		"packet a nanose": func(p *livegen.Plan) { p.Rate = 2e9 },
	} {
		p := good
		change(&p)
		if _, err := livegen.Open(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a fault with %q, got %v", want, err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	g, err := livegen.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	good.Network = "/run/netns/nobody-made-this"
	if _, err := g.Run(t.Context()); err == nil {
		t.Error("a device that does not exist sends")
	}
}

func TestAWireLeavesNothingBehind(t *testing.T) {
	w := newWire(t)
	near := w.Near
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(near); err == nil {
		t.Errorf("%s is still there", near)
	}
	if err := w.Close(); err == nil {
		t.Error("closing it twice is no fault")
	}
	if out, err := exec.Command("ip", "netns", "list").CombinedOutput(); err != nil || strings.Contains(string(out), strings.TrimPrefix(near, "/run/netns/")) {
		t.Errorf("namespaces: %s %v", out, err)
	}
	again, err := livegen.NewWire() // for the clean-up
	if err != nil {
		t.Fatal(err)
	}
	*w = *again
}

// A capture is a raw socket at the far end and what it has seen.
type capture struct {
	fd, packets        int
	plan               livegen.Plan
	sources            map[netip.Addr]bool
	fromPorts, toPorts map[uint16]bool
}

func newCapture(t *testing.T, w *livegen.Wire, p livegen.Plan) *capture {
	t.Helper()
	c := &capture{plan: p, sources: map[netip.Addr]bool{}, fromPorts: map[uint16]bool{}, toPorts: map[uint16]bool{}}
	all := uint16(unix.ETH_P_ALL)
	err := w.InFar(func() (err error) {
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all<<8|all>>8)); err != nil {
			return err
		}
		return unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(c.fd) })
	return c
}

// next reads one frame, if one comes in time, and judges it.
func (c *capture) next(t *testing.T, limit time.Duration) bool {
	t.Helper()
	tv := unix.NsecToTimeval(limit.Nanoseconds())
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, from, err := unix.Recvfrom(c.fd, b, 0)
	if err == unix.EINTR {
		return true
	}
	if err != nil {
		return false
	}
	if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
		return true // what the far end answers
	}
	c.read(t, b[:n])
	return true
}

func (c *capture) read(t *testing.T, frame []byte) {
	t.Helper()
	if string(frame[:6]) != string(c.plan.ToMAC) || string(frame[6:12]) != string(c.plan.FromMAC) {
		t.Fatalf("Ethernet addresses: % x", frame[:12])
	}
	ip := frame[14:]
	var source, to netip.Addr
	var l4, pseudo []byte
	var protocol byte
	if c.plan.To.Is4() {
		if checksum(ip[:20]) != 0 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
			t.Fatalf("IPv4 header: % x", ip[:20])
		}
		source, to, protocol, l4 = addr(ip[12:16]), addr(ip[16:20]), ip[9], ip[20:]
		pseudo = append(pseudo, ip[12:20]...)
	} else {
		if int(binary.BigEndian.Uint16(ip[4:]))+40 != len(ip) {
			t.Fatalf("IPv6 header: % x", ip[:40])
		}
		source, to, protocol, l4 = addr(ip[8:24]), addr(ip[24:40]), ip[6], ip[40:]
		pseudo = append(pseudo, ip[8:40]...)
	}
	pseudo = append(pseudo, 0, protocol, byte(len(l4)>>8), byte(len(l4)))
	if sum := checksum(append(pseudo, l4...)); sum != 0 {
		t.Fatalf("checksum off by %#x: % x", sum, frame)
	}
	if c.plan.SYN != (protocol == 6) || c.plan.SYN && l4[13] != 2 || !c.plan.SYN && string(l4[8:]) != string(c.plan.Payload) {
		t.Fatalf("not what was planned: % x", l4)
	}
	port := binary.BigEndian.Uint16(l4[2:])
	if !c.plan.From.Contains(source) || to != c.plan.To || port < c.plan.ToPort || int(port) > int(c.plan.ToPort)+max(1, int(c.plan.Ports))-1 {
		t.Fatalf("from %v to %v port %d", source, to, port)
	}
	c.packets++
	c.sources[source] = true
	c.fromPorts[binary.BigEndian.Uint16(l4)] = true
	c.toPorts[port] = true
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b) // the callers cut 4 or 16 bytes
	return a
}

// checksum is 0 over data that has a right one (RFC 1071).
func checksum(b []byte) uint16 {
	var t uint32
	for i := 0; i < len(b); i += 2 {
		t += uint32(b[i]) << 8
		if i+1 < len(b) {
			t += uint32(b[i+1])
		}
	}
	for t>>16 != 0 {
		t = t&0xffff + t>>16
	}
	return ^uint16(t)
}
