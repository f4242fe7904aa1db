package call

import (
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/relay/ports"
)

// An Interface is an address of a network the relay stands in, by the name NG
// calls that network. Several may have one name: then they share its calls.
type Interface struct {
	Name      string
	Bind      netip.Addr // media sockets are here
	Advertise netip.Addr // and SDP says they are here; differs behind a 1:1 NAT
	Pool      *ports.Pool
}

// A Family is a family of addresses.
type Family uint8

// The families. AnyFamily is what a message means that names none: that of the
// SDP it brings, where the interface has it.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

// FamilyOf is the family of a.
func FamilyOf(a netip.Addr) Family {
	switch {
	case !a.IsValid():
		return AnyFamily
	case a.Unmap().Is4():
		return IPv4
	default:
		return IPv6
	}
}

// faces picks an address on either side: that of who made the SDP, which has
// addresses of family own, and the other, who is to get some of family wish.
func (r *Registry) faces(m Message, own Family) (faces [2]*Interface, err error) {
	wish := m.Family
	if wish == AnyFamily {
		wish = own
	}
	for i, family := range []Family{own, wish} {
		if faces[i], err = r.face(m.Direction[i], family); err != nil {
			return faces, err
		}
	}
	if f := FamilyOf(faces[1].Advertise); m.Family != AnyFamily && f != m.Family {
		return faces, fmt.Errorf("interface %q has no address of family %v", faces[1].Name, m.Family)
	}
	return faces, nil
}

// face picks an address of the interface called name ("": the first), of the
// family if it has one, in turns, and one with free ports before one without.
func (r *Registry) face(name string, family Family) (*Interface, error) {
	if name == "" {
		name = r.cfg.Interfaces[0].Name
	}
	var fit, named []*Interface
	for i := range r.cfg.Interfaces {
		if f := &r.cfg.Interfaces[i]; f.Name == name {
			named = append(named, f)
			if FamilyOf(f.Advertise) == family {
				fit = append(fit, f)
			}
		}
	}
	if len(fit) == 0 {
		fit = named
	}
	switch len(fit) {
	case 0:
		return nil, fmt.Errorf("unknown interface %q", name)
	case 1:
		return fit[0], nil
	}
	turn := int(r.turn.Add(1) % uint32(len(fit)))
	for i := range fit {
		f := fit[(turn+i)%len(fit)]
		if free, _, _ := f.Pool.Counts(); free > 0 {
			return f, nil
		}
	}
	return fit[turn], nil
}

// String names f as SDP does.
func (f Family) String() string { return [...]string{"any", "IP4", "IP6"}[f%3] }
