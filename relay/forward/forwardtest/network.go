package forwardtest

import (
	"net"
	"net/netip"
	"testing"
)

// A Network is where the suite's parties live, and the table's local addresses.
type Network interface {
	// Peer opens a socket of a party.
	Peer(t *testing.T, p Place) *net.UDPConn
	// Local is a local address for the table, which nobody uses, towards the parties
	// of a side.
	Local(t *testing.T, side int, six bool) netip.AddrPort
}

// A Place is where a party lives: one of two hosts on one of two sides of the
// table.
type Place struct {
	Side, Host int // 0 or 1
	Six        bool
}

// Loopback is the Network of one machine without privileges: all is one side.
type Loopback struct{}

func (Loopback) address(p Place) netip.Addr {
	switch {
	case p.Six:
		return netip.IPv6Loopback()
	case p.Host == 1:
		return netip.MustParseAddr("127.0.0.2")
	}
	return netip.MustParseAddr("127.0.0.1")
}

// Peer implements Network; without IPv6 it skips the test that wants it.
func (l Loopback) Peer(t *testing.T, p Place) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.address(p), 0)))
	if err != nil {
		t.Skipf("no socket at %v: %v", l.address(p), err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Local implements Network.
func (l Loopback) Local(t *testing.T, _ int, six bool) netip.AddrPort {
	t.Helper()
	conn := l.Peer(t, Place{Six: six})
	local := addr(conn)
	conn.Close()
	return local
}

func addr(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
