package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// Of the kernel's generic netlink family "netdev" (linux/netdev.h, since 6.3), which
// x/sys does not have.
const (
	netdevFamily      = "netdev"
	netdevGet         = 1
	netdevIndex       = 1
	netdevXDPFeatures = 3
	basicXDP          = 1 // drop, pass and so on in the driver
	attributeType     = 0x3fff
)

// xdpFeatures asks what the driver of a device can, without touching it.
func xdpFeatures(index int) (uint64, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return 0, fmt.Errorf("netlink: %w", err)
	}
	defer unix.Close(fd)
	name := append([]byte(netdevFamily), 0)
	answer, err := ask(fd, unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, unix.CTRL_ATTR_FAMILY_NAME, name)
	if err != nil {
		return 0, fmt.Errorf("this kernel does not say what drivers can (since 6.3 they do): %w", err)
	}
	var family uint16
	for kind, value := range attributes(answer) {
		if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2 {
			family = binary.NativeEndian.Uint16(value)
		}
	}
	answer, err = ask(fd, family, netdevGet, netdevIndex, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	if err != nil {
		return 0, fmt.Errorf("what the driver can: %w", err)
	}
	for kind, value := range attributes(answer) {
		if kind == netdevXDPFeatures && len(value) >= 8 {
			return binary.NativeEndian.Uint64(value), nil
		}
	}
	return 0, errors.New("the kernel does not say what the driver can")
}

// ask sends one generic netlink request with one attribute and returns the
// attributes of the first answer.
func ask(fd int, family uint16, command uint8, kind uint16, value []byte) ([]byte, error) {
	const headers = unix.NLMSG_HDRLEN + unix.GENL_HDRLEN
	m := make([]byte, headers, 256)
	binary.NativeEndian.PutUint16(m[4:], family)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	m[unix.NLMSG_HDRLEN], m[unix.NLMSG_HDRLEN+1] = command, 1
	m = binary.NativeEndian.AppendUint16(m, uint16(unix.NLA_HDRLEN+len(value)))
	m = append(binary.NativeEndian.AppendUint16(m, kind), value...)
	for len(m)%unix.NLA_ALIGNTO != 0 {
		m = append(m, 0)
	}
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 16<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return nil, err
	}
	if answer = answer[:n]; n < headers {
		return nil, errors.New("short answer")
	}
	if binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		return nil, unix.Errno(-int32(number(answer[unix.NLMSG_HDRLEN:])))
	}
	return answer[headers:], nil
}

// attributes yields netlink attributes as far as they are whole.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.NLA_HDRLEN {
			size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
			if size < unix.NLA_HDRLEN || size > len(b) || !yield(kind&attributeType, b[unix.NLA_HDRLEN:size]) {
				return
			}
			b = b[min((size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(b)):]
		}
	}
}

func number(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
