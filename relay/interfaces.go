package relay

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxFaces is how many addresses the kernel's program serves.
const maxFaces = 16

// A Named is an address for media and the name NG calls its network by, written
// "name/bind" or "name/bind!advertised". Several of one name share its calls: those
// of the family a command asks for, in turns.
type Named struct {
	Name string
	Interface
}

// UnmarshalText reads "name/bind" or "name/bind!advertised".
func (n *Named) UnmarshalText(b []byte) error {
	name, address, ok := strings.Cut(string(b), "/")
	if !ok || name == "" || strings.ContainsAny(name, " !,") {
		return fmt.Errorf("interface %q: wants name/address or name/address!advertised", b)
	}
	n.Name = name
	return n.Interface.UnmarshalText([]byte(address))
}

// MarshalText writes what UnmarshalText reads.
func (n Named) MarshalText() ([]byte, error) {
	address, err := n.Interface.MarshalText()
	return append([]byte(n.Name+"/"), address...), err
}

// faces are all addresses for media, that of the default network first: those of
// interfaces as they stand there, then external and internal unless interfaces has
// some of that name.
func (c Config) faces() []Named {
	all := append([]Named(nil), c.Interfaces...)
	for _, n := range []Named{{"external", c.External}, {"internal", c.Internal}} {
		named := false
		for _, i := range c.Interfaces {
			named = named || i.Name == n.Name
		}
		if !named {
			all = append(all, n)
		}
	}
	return all
}

// Binds are the addresses of this machine that media comes to, each once.
func (c Config) Binds() []netip.Addr { return binds(c) }
