package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sender sends datagrams by one socket, without allocating and without ever
// waiting: when the kernel's queue is full the datagram is lost, as datagrams
// are, and the caller is told.
type sender struct {
	raw  syscall.RawConn
	six  bool
	free sync.Pool // of *sending
}

// A sending is the state of one call, kept for the next.
type sending struct {
	data  []byte
	name  unix.RawSockaddrInet6 // large enough for IPv4 too
	size  uintptr               // of name
	errno syscall.Errno
	try   func(fd uintptr) bool // sendto, bound once
}

func newSender(sock *net.UDPConn) (*sender, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &sender{raw: raw, six: addrPort(sock.LocalAddr()).Addr().Is6()}
	s.free.New = func() any {
		d := &sending{}
		d.try = d.sendto
		return d
	}
	return s, nil
}

func (s *sender) send(data []byte, to netip.AddrPort) error {
	if to.Addr().Is6() != s.six || !to.IsValid() || len(data) == 0 {
		return syscall.EINVAL
	}
	d := s.free.Get().(*sending)
	d.address(to)
	d.data = data
	err := s.raw.Write(d.try)
	if err == nil && d.errno != 0 {
		err = d.errno
	}
	d.data = nil
	s.free.Put(d)
	return err
}

func (d *sending) address(to netip.AddrPort) {
	d.name = unix.RawSockaddrInet6{}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&d.name.Port))[:], to.Port())
	if to.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.name))
		four.Family, four.Addr = unix.AF_INET, to.Addr().As4()
		d.size = unix.SizeofSockaddrInet4
		return
	}
	d.name.Family, d.name.Addr = unix.AF_INET6, to.Addr().As16()
	d.name.Scope_id = zone(to.Addr())
	d.size = unix.SizeofSockaddrInet6
}

// sendto always returns true: it never asks the poller to wait.
func (d *sending) sendto(fd uintptr) bool {
	for {
		_, _, d.errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&d.data[0])), uintptr(len(d.data)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.name)), d.size)
		if d.errno != unix.EINTR {
			return true
		}
	}
}
