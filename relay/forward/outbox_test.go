package forward

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/wire/rtp"
)

// Packets that wait together leave together, whatever their lengths; and one by one
// where the way out does not take them together (a socket without checksums does
// not, nor do some devices).
func TestPacketsThatLeaveTogether(t *testing.T) {
	for name, whole := range map[string]bool{"together": false, "one by one": true} {
		t.Run(name, func(t *testing.T) {
			u, err := NewUserspace(2, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, b := loopback(t), loopback(t)
			locals := [2]netip.AddrPort{}
			for i := range locals {
				conn := loopback(t)
				locals[i] = at(conn)
				conn.Close()
				if err := u.Open(locals[i]); err != nil {
					t.Fatal(err)
				}
			}
			via := u.sockets.get(locals[1])
			if whole {
				if err := unix.SetsockoptInt(int(via.fd.Load()), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
					t.Fatal(err)
				}
			}
			if err := u.Put(Leg{Local: locals[0], From: at(a), Via: locals[1], To: at(b)}); err != nil {
				t.Fatal(err)
			}
			var sent [][]byte
			for i, size := range []int{160, 160, 160, 160, 40, 160, 160, 0, 0, 1300, 1300, 200, 160, 160, 170, 160} {
				h := rtp.Header{Sequence: uint16(i), Timestamp: uint32(i) * 160}
				sent = append(sent, append(h.Append(nil), bytes.Repeat([]byte{byte(i)}, size)...))
				if _, err := a.WriteToUDPAddrPort(sent[i], locals[0]); err != nil {
					t.Fatal(err)
				}
			}
			ctx, stop := context.WithCancel(context.Background()) // all wait already
			ended := make(chan error, 1)
			go func() { ended <- u.Run(ctx) }()
			got := make([]byte, 2048)
			for i := range sent {
				if err := b.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, from, err := b.ReadFromUDPAddrPort(got)
				if err != nil || from != locals[1] || !bytes.Equal(got[:n], sent[i]) {
					t.Fatalf("packet %d: %d bytes from %v: %v, want %d bytes", i, n, from, err, len(sent[i]))
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if via.whole.Load() != whole {
				t.Errorf("packets must leave one by one: %v", !whole)
			}
			if v := u.Packets(); v[Forwarded] != uint64(len(sent)) || v[Failed] != 0 {
				t.Errorf("forwarded %d, failed %d", v[Forwarded], v[Failed])
			}
		})
	}
}

func loopback(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func at(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }
