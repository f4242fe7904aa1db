package livegen_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// Streams arrive at sockets, which check the sums: each packet has the next number.
func TestStreamsAreRTP(t *testing.T) {
	w := newWire(t)
	const first, streams, rounds = 30000, 300, 40
	p := w.Plan(netip.MustParsePrefix("192.0.2.1/32"), 0)
	p.Payload = append([]byte{0x80, 0x08}, make([]byte, 170)...)
	p.Rate, p.Packets = 50_000, streams*rounds
	for i := range uint16(streams) {
		p.Streams = append(p.Streams, livegen.Stream{FromPort: 40000 + 2*i, ToPort: first + 2*i})
	}
	ends := map[int]*net.UDPConn{0: nil, 1: nil, streams - 1: nil}
	for i := range ends {
		err := w.InFar(func() (err error) {
			ends[i], err = net.ListenUDP("udp", &net.UDPAddr{IP: w.Addr.AsSlice(), Port: first + 2*i})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	send(t, p)
	sources := map[uint32]bool{}
	for i, end := range ends {
		b := make([]byte, 2048)
		for n := range rounds {
			if err := end.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			size, from, err := end.ReadFromUDPAddrPort(b)
			if err != nil {
				t.Fatalf("stream %d, packet %d: %v", i, n, err)
			}
			if from.Port() != uint16(40000+2*i) || size != 172 || b[0] != 0x80 || b[1] != 8 ||
				binary.BigEndian.Uint16(b[2:]) != uint16(n) || binary.BigEndian.Uint32(b[4:]) != uint32(n*160) {
				t.Fatalf("stream %d, packet %d from %v: % x", i, n, from, b[:12])
			}
			sources[binary.BigEndian.Uint32(b[8:])] = true
		}
	}
	if len(sources) != len(ends) {
		t.Errorf("%d SSRCs of %d streams", len(sources), len(ends))
	}
}
