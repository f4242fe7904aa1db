package livegen_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// What the repeater sends on reaches a socket, which checks the sums.
func TestTheRepeaterRewrites(t *testing.T) {
	there, back := newWire(t), newWire(t)
	// The second wire's near end joins the first one's far namespace: a repeater between two.
	if err := back.Join(there); err != nil {
		t.Fatal(err)
	}
	r, err := livegen.Repeat(livegen.Repeater{
		Network: there.Far, Device: livegen.FarDevice, Out: livegen.NearDevice,
		FromMAC: back.NearMAC, ToMAC: back.FarMAC,
		From: netip.MustParseAddr("192.0.2.77"), To: back.Addr,
		Ways: []livegen.Way{{Local: 30000, From: 31000, To: 32000}, {Local: 30002, From: 31002, To: 32002}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ends []*net.UDPConn
	err = back.InFar(func() error {
		for _, port := range []int{32000, 32002} {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: back.Addr.AsSlice(), Port: port})
			if err != nil {
				return err
			}
			ends = append(ends, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p := there.Plan(netip.MustParsePrefix("203.0.113.5/32"), 0)
	p.Payload, p.Packets, p.Rate = append([]byte{0x80, 0}, make([]byte, 170)...), 80, 10_000
	p.Streams = []livegen.Stream{{FromPort: 4000, ToPort: 30000}, {FromPort: 4002, ToPort: 30002}}
	send(t, p)
	for i, c := range ends {
		defer c.Close()
		b := make([]byte, 2048)
		for n := range 40 {
			if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			size, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				t.Fatalf("port %d, packet %d: %v", i, n, err)
			}
			if want := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.77"), uint16(31000+2*i)); size != 172 || b[3] != byte(n) || from != want {
				t.Fatalf("port %d, packet %d: %d bytes from %v, % x", i, n, size, from, b[:12])
			}
		}
	}
}
