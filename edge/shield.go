package edge

import (
	"net/netip"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// A Shield decides who may speak to the edge, and learns from it who deserves
// trust and who does not. Its methods are called by the readers of the sockets, so
// none may wait. Addresses are IPv4 or IPv6, never one within the other.
type Shield interface {
	// Admit judges a datagram, or with tcp a new connection, before it is read.
	Admit(source netip.Addr, tcp bool) bool
	// Holds judges what comes down a connection that was admitted.
	Holds(source netip.Addr) bool
	// Country is the code of the source's country, "" when it is not known.
	Country(source netip.Addr) string
	// Known tells of a source whose credentials core has accepted.
	Known(source netip.Addr)
	// Registered tells of a source with a registration that lasts until then.
	// Every refresh is told anew; an end before that is not.
	Registered(source netip.Addr, until time.Time)
	// Offended tells of one offence. proven says that it came over a connection,
	// whose source cannot be forged. detail is a short phrase for a person.
	Offended(source netip.Addr, o Offence, proven bool, detail string)
}

// An Offence is something that nobody does who means well, or not often.
type Offence uint8

// The offences.
const (
	BadCredentials Offence = iota // core refused the credentials of a request
	Malformed                     // a message that cannot be read
	Scanner                       // a request with the mark of a tool that looks for ways in
)

// An Option changes what New makes.
type Option func(*Edge)

// WithShield puts a shield before the edge. Without one, or with nil, everybody
// may speak and nobody is told anything.
func WithShield(s Shield) Option { return func(e *Edge) { e.shield = s } }

// gate is the outside listeners' question to the shield; nil without one.
func (e *Edge) gate() func(netip.AddrPort, transport.Protocol) bool {
	if e.shield == nil {
		return nil
	}
	return func(source netip.AddrPort, p transport.Protocol) bool {
		return e.shield.Admit(source.Addr().WithZone(""), p != transport.UDP)
	}
}

// hold is the same for connections that are in.
func (e *Edge) hold() func(netip.AddrPort, transport.Protocol) bool {
	if e.shield == nil {
		return nil
	}
	return func(source netip.AddrPort, _ transport.Protocol) bool {
		return e.shield.Holds(source.Addr().WithZone(""))
	}
}

// sourceOf is the address by which the shield knows who sends down f.
func sourceOf(f transport.Flow) netip.Addr { return f.Remote.Addr().WithZone("") }

// offended tells the shield, if there is one, of an offence of who sends down f.
func (e *Edge) offended(f transport.Flow, o Offence, detail string) {
	if e.shield != nil {
		e.shield.Offended(sourceOf(f), o, f.Protocol != transport.UDP, detail)
	}
}
