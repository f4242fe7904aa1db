package shield

import (
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/shield/judge"
)

// clean is the address as the shield counts it: without a zone, IPv4 as IPv4.
func clean(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// prefixOf is who a key stands for: one IPv4 address or one IPv6 /64. Nobody's
// address has the key 0 but ::1, this machine's own.
func prefixOf(k judge.Key) netip.Prefix {
	if k == 0 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 64)
	}
	a := k.Addr()
	return netip.PrefixFrom(a, min(a.BitLen(), 64))
}

// somebody tells whether a packet can have come from a: other addresses would
// share the key of somebody's.
func somebody(a netip.Addr) bool {
	k := judge.KeyOf(a)
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && (a.Is4() || k>>32 != 0 || a.IsLoopback())
}

// one reads a prefix that must be one source: an IPv4 address or (part of) an
// IPv6 /64, of which it makes the /64.
func one(p netip.Prefix) (judge.Key, netip.Prefix, error) {
	a := clean(p.Addr())
	bits := p.Bits()
	if p.Addr().Is4In6() {
		bits -= 96
	}
	switch {
	case !p.IsValid():
		return 0, netip.Prefix{}, fmt.Errorf("shield: no address and no prefix")
	case a.Is4() && bits != 32:
		return 0, netip.Prefix{}, fmt.Errorf("shield: %v is more than one IPv4 address; the deny list of the policy takes networks", p)
	case a.Is6() && bits < 64:
		return 0, netip.Prefix{}, fmt.Errorf("shield: %v is more than one IPv6 /64; the deny list of the policy takes networks", p)
	}
	k := judge.KeyOf(a)
	if a.Is6() && k>>32 == 0 && k != 0 {
		return 0, netip.Prefix{}, fmt.Errorf("shield: %v is nobody's address", p)
	}
	return k, prefixOf(k), nil
}
