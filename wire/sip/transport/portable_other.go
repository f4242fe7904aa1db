//go:build !linux

package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/lindero/lindero/wire/sip"
)

// Elsewhere than on Linux the same things are done the plain way, for whoever
// develops there: one datagram at a time, and a flow's Local stays unknown.

type batch struct {
	sock *net.UDPConn
	data [sip.MaxDatagram + 1]byte
	n    int
	from netip.AddrPort
}

func newBatch(sock *net.UDPConn, _ int, _ *atomic.Uint64) (*batch, error) {
	return &batch{sock: sock}, nil
}

func (b *batch) read() (n int, err error) {
	b.n, b.from, err = b.sock.ReadFromUDPAddrPort(b.data[:])
	return 1, err
}

func (b *batch) at(int) datagram {
	from := netip.AddrPortFrom(b.from.Addr().Unmap(), b.from.Port())
	return datagram{from: from, data: b.data[:b.n], cut: b.n > sip.MaxDatagram}
}

type sender struct{ sock *net.UDPConn }

func newSender(sock *net.UDPConn) (*sender, error) { return &sender{sock}, nil }

func (s *sender) send(data []byte, to netip.AddrPort) error {
	_, err := s.sock.WriteToUDPAddrPort(data, to)
	return err
}

func openUDP(addr netip.AddrPort, _ bool) (*net.UDPConn, error) {
	sock, err := net.ListenUDP(network("udp", addr.Addr()), net.UDPAddrFromAddrPort(addr))
	if err == nil {
		sock.SetReadBuffer(receiveBuffer) // without it there is less room, no more
	}
	return sock, err
}

func sharePort(*net.UDPConn) error { return errors.ErrUnsupported }

func bindTowards(syscall.RawConn, netip.AddrPort) netip.AddrPort { return netip.AddrPort{} }
