package forward

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A message is struct mmsghdr: one datagram of a batch.
type message struct {
	header unix.Msghdr
	size   uint32
	_      [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// receive reads what waits at fd, without waiting, and returns how many
// datagrams that were. An error of the socket is no reason to stop: it is
// reported once by the kernel and then gone.
func receive(fd int32, in *[batch]message) int {
	// Raw: it does not wait, so the scheduler need not be told.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// send sends out[at:n] from fd and returns how many the kernel took; 0 means
// that it refused the first.
func send(fd int32, out *[batch]message, at, n int) int {
	for {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&out[at])), uintptr(n-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(sent)
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// A sockaddr is an address as the kernel wants it.
type sockaddr struct {
	raw  unix.RawSockaddrInet6 // room for both families
	size uint32
}

// set makes a the address to, for a socket that is bound to local.
func (a *sockaddr) set(to netip.AddrPort, local netip.Addr) {
	if !to.IsValid() {
		return
	}
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], to.Port())
	if local.Is4() && to.Addr().Is4() {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		in4.Family = unix.AF_INET
		in4.Port = *(*uint16)(unsafe.Pointer(&port))
		in4.Addr = to.Addr().As4()
		a.size = unix.SizeofSockaddrInet4
		return
	}
	a.raw.Family = unix.AF_INET6
	a.raw.Port = *(*uint16)(unsafe.Pointer(&port))
	a.raw.Addr = to.Addr().As16()
	a.size = unix.SizeofSockaddrInet6
}

// address reads where a datagram came from.
func address(raw *unix.RawSockaddrAny) netip.AddrPort {
	switch raw.Addr.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), port(&in4.Port))
	case unix.AF_INET6:
		in6 := (*unix.RawSockaddrInet6)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom16(in6.Addr).Unmap(), port(&in6.Port))
	}
	return netip.AddrPort{}
}

func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// expedited is the traffic class of telephony (EF, RFC 3246) as the TOS byte.
const expedited = 0xb8

// bind opens a UDP socket at local. Nothing shares it, so that a port in use is
// an error and not a split stream.
func bind(local netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	var name unix.Sockaddr
	if family == unix.AF_INET {
		name = &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, expedited) // better, not necessary
	} else {
		name = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, expedited)
	}
	if err := unix.Bind(fd, name); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind: %w", err)
	}
	return fd, nil
}
