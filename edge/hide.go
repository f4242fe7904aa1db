package edge

import (
	"bytes"
	"net/netip"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// needles are the texts that would tell the outside of the inside. They are
// constant once made.
type needles struct {
	own   []byte   // our inside address
	pairs [][]byte // addresses with ports, of ours and of cores
	hosts [][]byte // addresses alone, where none of them is also public
}

func newNeedles(e *Edge) needles {
	n := needles{own: []byte(e.faces.inside.String())}
	public := map[netip.Addr]bool{}
	for i := range e.faces.outside {
		public[e.faces.outside[i].public.Addr()] = true
		public[e.faces.outside[i].bound.Addr()] = true
	}
	seen := map[netip.Addr]bool{}
	for _, a := range append([]netip.AddrPort{e.faces.inside}, e.cfg.Core...) {
		switch host := a.Addr().Unmap(); {
		case public[host]:
			n.pairs = append(n.pairs, []byte(a.String()))
		case !seen[host]:
			n.hosts = append(n.hosts, []byte(host.String()))
			seen[host] = true
		}
	}
	return n
}

// in tells whether b names an address of the inside.
func (n *needles) in(b []byte) bool {
	for _, needle := range n.pairs {
		if whole(b, needle) {
			return true
		}
	}
	for _, needle := range n.hosts {
		if whole(b, needle) {
			return true
		}
	}
	return false
}

// whole tells whether needle stands in b and is not a part of a longer address:
// 10.0.0.2 is not in 10.0.0.21.
func whole(b, needle []byte) bool {
	for {
		i := bytes.Index(b, needle)
		if i < 0 {
			return false
		}
		end := i + len(needle)
		if (i == 0 || !addressByte(b[i-1])) && (end == len(b) || !digit(b[end])) {
			return true
		}
		b = b[i+1:]
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func addressByte(c byte) bool { return digit(c) || c == '.' }

// hide takes out of a message for the outside what is only for the inside: Vias,
// our own headers, Path, and whatever else names an address of core's network.
// Contact, Route, Record-Route and the body are their handlers'.
func (e *Edge) hide(w *work) {
	m := &w.msg
	for _, id := range [...]sip.HeaderID{sip.Via, sip.Path, sip.LinderoSource, sip.LinderoOther} {
		w.edit.RemoveAll(id)
	}
	if !e.inner.in(m.Raw[:len(m.Raw)-len(m.Body)]) {
		return
	}
	for i := range m.Len() {
		switch m.Header(i).ID {
		case sip.Via, sip.Path, sip.LinderoSource, sip.LinderoOther, sip.Contact, sip.Route, sip.RecordRoute:
		case sip.From, sip.To, sip.CallID, sip.CSeq:
			// A dialog's names cannot be taken away; core makes them without addresses.
		default:
			if e.inner.in(m.Value(i)) {
				w.edit.Remove(i)
				e.metrics.count(verdictHidden)
			}
		}
	}
}

// sealContacts puts sip:TOKEN@outside in place of every URI in Contact, for the
// peer behind f; from is the flow that core's message came by.
func (e *Edge) sealContacts(w *work, f, from transport.Flow, relay string, secure bool) {
	m := &w.msg
	face := e.faces.of(f.Protocol)
	for i := m.Index(sip.Contact); i >= 0; i = m.Next(i) {
		if string(m.Value(i)) == "*" {
			continue
		}
		w.buf = w.buf[:0]
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			n, err := sip.ParseNameAddr(value)
			if err != nil {
				continue // the scanner lets none through
			}
			if len(w.buf) > 0 {
				w.buf = append(w.buf, ", "...)
			}
			if len(n.Display) > 0 && !e.inner.in(n.Display) {
				w.buf = append(append(w.buf, n.Display...), ' ')
			}
			sealed := e.appendContact(nil, contactToken{core: e.coreOf(n.URI, from), relay: relay, uri: n.URI})
			w.buf = face.appendURI(append(w.buf, '<'), sealed, secure)
			w.buf = append(append(w.buf, '>'), n.Params...)
		}
		w.edit.Replace(i, w.buf)
	}
}

// coreOf is where the core is reached whose contact is uri: the address in it,
// or, if it has a name, the configured core that the message came from.
func (e *Edge) coreOf(uri []byte, from transport.Flow) netip.AddrPort {
	if u, err := sip.ParseURI(uri); err == nil {
		if a, ok := u.Addr(); ok {
			return a
		}
	}
	for _, c := range e.cfg.Core {
		if c == from.Remote || c.Addr() == from.Remote.Addr() {
			return c
		}
	}
	return e.cfg.Core[0]
}

// setBodyOutward replaces an anchored body. An SDP that no relay has anchored
// names core's addresses and does not leave.
func (e *Edge) setBodyOutward(w *work, anchored []byte) {
	switch {
	case anchored != nil:
		setBody(w, anchored)
	case len(w.msg.Body) > 0 && hasSDP(&w.msg):
		setBody(w, []byte{})
		e.metrics.count(verdictNotAnchored)
	}
}
