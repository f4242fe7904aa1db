package transport

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacked is how long the kernel repeats what a peer does not confirm: without
// it, a peer that vanished is noticed after a quarter of an hour.
const unacked = 30_000 // milliseconds

// bindTowards binds a socket that is about to connect to the address from which
// remote is reached, and returns what it got: nothing when that fails, for then
// connecting will say why.
func bindTowards(raw syscall.RawConn, remote netip.AddrPort) netip.AddrPort {
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote)) // sends nothing
	if err != nil {
		return netip.AddrPort{}
	}
	from := addrPort(probe.LocalAddr()).Addr()
	probe.Close()
	var local netip.AddrPort
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacked)
		var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: from.As16(), ZoneId: zone(from)}
		if from.Is4() {
			sa = &unix.SockaddrInet4{Addr: from.As4()}
		}
		if unix.Bind(int(fd), sa) != nil {
			return
		}
		got, err := unix.Getsockname(int(fd))
		if err != nil {
			return
		}
		switch got := got.(type) {
		case *unix.SockaddrInet4:
			local = netip.AddrPortFrom(from, uint16(got.Port))
		case *unix.SockaddrInet6:
			local = netip.AddrPortFrom(from, uint16(got.Port))
		}
	})
	return local
}

// zone is the interface of a link-local address.
func zone(addr netip.Addr) uint32 {
	if addr.Zone() == "" {
		return 0
	}
	if n, err := strconv.ParseUint(addr.Zone(), 10, 32); err == nil {
		return uint32(n)
	}
	i, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}
