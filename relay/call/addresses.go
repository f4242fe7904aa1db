package call

import (
	"fmt"
	"net/netip"
)

// A destination that can never be sent to is an error of this kind, for Refuse.
type unusableError struct {
	addr netip.AddrPort
	why  string
}

func (e *unusableError) Error() string {
	return fmt.Sprintf("nothing may be sent to %v: %s", e.addr, e.why)
}

// usable is addr if media may be sent there at all, from an address of face. Our
// own advertised address stands for the one behind it: packets between two of our
// calls never leave the machine.
func (r *Registry) usable(c *Call, addr netip.AddrPort, face *Interface) (netip.AddrPort, error) {
	a := addr.Addr().Unmap()
	no := func(why string) (netip.AddrPort, error) { return netip.AddrPort{}, &unusableError{addr, why} }
	switch {
	case !a.IsValid() || addr.Port() == 0:
		return no("no address and port")
	case a.IsMulticast():
		return no("a multicast address")
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return no("no host's address")
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return no("the broadcast address")
	case a.Zone() != "":
		return no("an address with a zone")
	case a.IsLoopback() && !face.Bind.IsLoopback():
		return no("this machine's own loopback")
	case FamilyOf(a) != FamilyOf(face.Bind):
		return no("of another family than the interface " + face.Name)
	}
	addr = netip.AddrPortFrom(a, addr.Port())
	for i := range r.cfg.Interfaces {
		f := &r.cfg.Interfaces[i]
		if a != f.Advertise && a != f.Bind {
			continue
		}
		own := netip.AddrPortFrom(f.Bind, addr.Port())
		switch {
		case c.owns(own):
			return no("a port of this very call")
		case r.joined(own):
			return own, nil
		case r.cfg.ours(addr.Port()) && !f.Bind.IsLoopback(): // on a loopback, where phones live too, it may be one of theirs
			return no("a media port of ours that no call has")
		}
	}
	return addr, nil
}

// joined says whether another call has this port of ours: the two are joined here.
func (r *Registry) joined(own netip.AddrPort) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.owners[own]
	return ok
}

// ours says whether port is one that is lent for media.
func (c *Config) ours(port uint16) bool { return c.First <= port && port <= c.Last }

// owns says whether addr is one of the call's own ports: a call that hears
// itself would do so for ever.
func (c *Call) owns(addr netip.AddrPort) bool {
	for e := range c.ends() {
		if e.local == addr {
			return true
		}
	}
	return false
}
