package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/wire/sip"
)

// A batch reads many datagrams with one recvmmsg and without allocating. The
// arrays are what the kernel fills in; each has one element per datagram.
type batch struct {
	raw      syscall.RawConn
	drops    *atomic.Uint64
	dropped  uint32 // the socket's own count of drops, as last told (SO_RXQ_OVFL)
	headers  []mmsghdr
	vectors  []unix.Iovec
	names    []unix.RawSockaddrInet6 // large enough for IPv4 too
	controls [][controlSize]byte
	data     []byte // sip.MaxDatagram for each

	ready func(fd uintptr) bool // recv, bound once
	n     int
	errno syscall.Errno
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	length uint32
}

// controlSize has room for the one control message that is asked for.
const controlSize = 64

func newBatch(sock *net.UDPConn, size int, drops *atomic.Uint64) (*batch, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{
		raw: raw, drops: drops,
		headers:  make([]mmsghdr, size),
		vectors:  make([]unix.Iovec, size),
		names:    make([]unix.RawSockaddrInet6, size),
		controls: make([][controlSize]byte, size),
		data:     make([]byte, size*sip.MaxDatagram),
	}
	for i := range b.headers {
		b.vectors[i].Base = &b.data[i*sip.MaxDatagram]
		b.vectors[i].SetLen(sip.MaxDatagram)
		h := &b.headers[i]
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.controls[i][0]
	}
	b.ready = b.recv
	return b, nil
}

// read waits for datagrams and returns how many came.
func (b *batch) read() (int, error) {
	for i := range b.headers {
		b.headers[i].Namelen = unix.SizeofSockaddrInet6
		b.headers[i].SetControllen(controlSize)
	}
	if err := b.raw.Read(b.ready); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, b.errno
	}
	return b.n, nil
}

// recv is one attempt; false asks the poller to wait until the socket is
// readable. The call cannot block, so the scheduler need not be told of it: that
// halves what a lone datagram costs.
func (b *batch) recv(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])),
			uintptr(len(b.headers)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		b.n, b.errno = int(n), errno
		return true
	}
}

// at is datagram i of the last read.
func (b *batch) at(i int) datagram {
	h := &b.headers[i]
	if h.Controllen > 0 {
		b.overflow(b.controls[i][:h.Controllen])
	}
	start := i * sip.MaxDatagram
	return datagram{
		from: sockaddr(&b.names[i]),
		data: b.data[start : start+min(int(h.length), sip.MaxDatagram)],
		cut:  h.Flags&unix.MSG_TRUNC != 0,
	}
}

// overflow reads SO_RXQ_OVFL's control message, which comes once the socket has
// dropped something. Its number wraps.
func (b *batch) overflow(control []byte) {
	const header = unix.SizeofCmsghdr
	if len(control) < header+4 {
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_RXQ_OVFL {
		return
	}
	total := binary.NativeEndian.Uint32(control[header:])
	b.drops.Add(uint64(total - b.dropped))
	b.dropped = total
}

func sockaddr(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&name.Port)) // network order
	if name.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), binary.BigEndian.Uint16(port[:]))
	}
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10)) // link-local only
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}

// openUDP opens a socket for addr. What it cannot have of buffer or counters it
// goes without.
func openUDP(addr netip.AddrPort, share bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		set := c.Control(func(fd uintptr) {
			s := int(fd)
			if share {
				err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			if unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
				unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
			}
			unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
			// Large messages leave in fragments, and no ICMP message can change that (trap 19).
			if addr.Addr().Is4() {
				unix.SetsockoptInt(s, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
			} else {
				unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
			}
		})
		if set != nil {
			return set
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), network("udp", addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	sock, ok := pc.(*net.UDPConn)
	if !ok {
		pc.Close()
		return nil, fmt.Errorf("%T is not a UDP socket", pc)
	}
	return sock, nil
}

// sharePort lets further sockets of ours bind the address of one that is bound.
func sharePort(sock *net.UDPConn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); err != nil {
		return err
	}
	return set
}
