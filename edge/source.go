package edge

import (
	"net/netip"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// natted tells whether a NAT stands between us and the sender of m: its top Via
// or its Contact names another address than the message came from, or, over UDP,
// another port.
func natted(m *sip.Message, f transport.Flow) bool {
	via, err := sip.ParseVia(m.Topmost(sip.Via))
	if err != nil {
		return true
	}
	a, ok := sip.URI{Host: via.Host, Port: via.Port}.Addr()
	if !ok || elsewhere(a, f) {
		return true
	}
	contact, ok := contactAddr(m.Topmost(sip.Contact))
	return ok && elsewhere(contact, f)
}

func elsewhere(a netip.AddrPort, f transport.Flow) bool {
	if a.Addr().Unmap() != f.Remote.Addr() {
		return true
	}
	return f.Protocol == transport.UDP && a.Port() != f.Remote.Port()
}

// contactAddr is the address a Contact value names; ok is false when there is none to compare.
func contactAddr(value []byte) (netip.AddrPort, bool) {
	n, err := sip.ParseNameAddr(value)
	if err != nil {
		return netip.AddrPort{}, false
	}
	u, err := sip.ParseURI(n.URI)
	if err != nil || u.Host == nil {
		return netip.AddrPort{}, false
	}
	a, ok := u.Addr()
	return a, ok
}

// appendSource appends the value of Lindero-Source: what core may know of where a
// request came from.
func (e *Edge) appendSource(dst []byte, m *sip.Message, f transport.Flow) []byte {
	dst = f.Remote.AppendTo(dst)
	dst = append(append(dst, ";transport="...), f.Protocol.String()...)
	dst = append(append(dst, ";edge="...), e.cfg.Name...)
	nat := ";nat=0"
	if natted(m, f) {
		nat = ";nat=1"
	}
	dst = append(dst, nat...)
	if e.shield == nil {
		return dst
	}
	if country := e.shield.Country(sourceOf(f)); country != "" {
		dst = append(append(dst, ";country="...), country...)
	}
	return dst
}
