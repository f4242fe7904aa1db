package forward

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Send sends b, which nobody sent to us, from via, one of our open sockets, to to.
// It does not wait. It is for the odd packet: those of legs are moved by workers.
func (u *Userspace) Send(via, to netip.AddrPort, b []byte) error {
	s := u.sockets.get(via)
	if s == nil {
		return ErrNotOpen
	}
	var name unix.Sockaddr
	switch a := to.Addr().Unmap(); {
	case a.Is4() != via.Addr().Is4():
		return errors.New("forward: an address of another family")
	case a.Is4():
		name = &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	default:
		name = &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
	}
	s.mu.Lock() // so that the number stays this socket's
	defer s.mu.Unlock()
	fd := s.fd.Load()
	if fd < 0 {
		return ErrNotOpen
	}
	if err := unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, name); err != nil {
		return fmt.Errorf("forward: from %v to %v: %w", via, to, err)
	}
	return nil
}
