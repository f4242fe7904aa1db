package edge

import (
	"net/netip"

	"github.com/lindero/lindero/edge/token"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// fromInside takes a request of core's to a phone, or to a carrier.
func (e *Edge) fromInside(w *work, f transport.Flow) error {
	m := &w.msg
	switch {
	case m.Is("ACK"):
		return e.ackOutward(w, f)
	case m.Is("CANCEL"):
		return e.cancelled(w, inside, f)
	}
	key := e.key(m, m.Method, inside, f)
	if r := e.table.Find(key); r != nil {
		e.repeated(r)
		return nil
	}
	if err := e.admit(w, inside); err != nil {
		return err
	}
	if e.forUs(m, inside) && m.Index(sip.Route) < 0 {
		e.answerOptions(w, inside, f)
		return nil
	}
	to, err := e.routeOutward(m)
	if err != nil {
		if m.Is("BYE") {
			e.hungUp(m, to.relay)
		}
		return err
	}
	r, created, err := e.table.Create(key)
	if err != nil {
		return errFull
	}
	if !created {
		e.repeated(r)
		return nil
	}
	p := &r.Data
	e.begin(p, m, inside, f, to.relay)
	p.down = to.flow
	r.Server.Begin(&e.cfg.Timing, p.method == invite, true, e.cfg.Timing.T4)
	e.trying(w, r)
	if !p.media.offered(m, p) {
		e.goOutward(w, r, to, nil)
		return nil
	}
	e.offer(w, r, func(w *work, r *record, sdp []byte) { e.goOutward(w, r, to, sdp) })
	return nil
}

// An outwardTarget is where an outward request goes: flow; relay is the one that
// holds its call's media, if it has any yet; ours counts the Routes that are used
// up here.
type outwardTarget struct {
	flow  transport.Flow
	relay *relay
	ours  int
}

// routeOutward reads the Routes of a request from core. The first flow token
// decides; without one, the request is for a carrier, named by an IP literal.
func (e *Edge) routeOutward(m *sip.Message) (to outwardTarget, err error) {
	var next []byte // the first Route that is not ours
	found := false
	for i := m.Index(sip.Route); i >= 0 && next == nil; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			n, err := sip.ParseNameAddr(value)
			if err != nil {
				return to, errNoTarget // the scanner lets none through
			}
			u, ours := e.ourURI(n.URI)
			if !ours {
				next = n.URI
				break
			}
			to.ours++
			if found || u.User == nil {
				continue
			}
			if !token.Like(u.User) {
				return to, errForged
			}
			t, err := e.openFlow(u.User)
			if err != nil {
				return to, errForged
			}
			found, to.flow, to.relay = true, t.flow, e.relays.named(t.relay)
		}
	}
	if !found {
		if next == nil {
			next = m.URI
		}
		to.flow, err = e.carrier(next)
		return to, err
	}
	if !e.outside.Alive(to.flow) {
		return to, errFlowGone
	}
	return to, nil
}

// ourURI reads uri and tells whether it names one of our faces.
func (e *Edge) ourURI(uri []byte) (sip.URI, bool) {
	u, err := sip.ParseURI(uri)
	if err != nil {
		return u, false
	}
	a, ok := u.Addr()
	return u, ok && (a == e.faces.inside || e.faces.outsideOurs(a))
}

// carrier is the flow to the address that uri names. Names of hosts are not
// looked up here.
func (e *Edge) carrier(uri []byte) (transport.Flow, error) {
	u, err := sip.ParseURI(uri)
	if err != nil {
		return transport.Flow{}, errNoTarget
	}
	a, ok := u.Addr()
	p, known := transportOf(u)
	if !ok || !known || e.faces.of(p) == nil || e.isInside(a) {
		return transport.Flow{}, errNoTarget
	}
	f, err := e.outside.Connect(p, a)
	if err != nil {
		return f, errNoTarget
	}
	return f, nil
}

// isInside tells whether a is an address of the inside, where nothing that
// belongs outside is ever sent.
func (e *Edge) isInside(a netip.AddrPort) bool {
	if a == e.faces.inside {
		return true
	}
	for _, c := range e.cfg.Core {
		if a == c {
			return true
		}
	}
	return false
}

// goOutward sends the request in w, whose record is r, to a phone. It takes over
// the lock of r.
func (e *Edge) goOutward(w *work, r *record, to outwardTarget, sdp []byte) {
	defer r.Release()
	p := &r.Data
	if !r.Server.Open() {
		return // cancelled while the relay was asked
	}
	e.editOutward(w, p.down, to.ours)
	e.sealContacts(w, p.down, p.up, p.media.relayID(), p.secure)
	e.setBodyOutward(w, sdp)
	if p.dialog {
		w.buf = e.appendOutsideRoute(w.buf[:0], p.down, p.secure)
		w.edit.Prepend("Record-Route", w.buf)
	}
	w.buf = e.appendVia(w.buf[:0], p.down)
	w.buf = r.AppendBranch(append(w.buf, ";branch="...), fingerprint(&w.msg, w.msg.URI))
	w.buf = append(w.buf, ";rport"...)
	w.edit.Prepend("Via", w.buf)
	w.out = w.edit.AppendTo(w.out[:0])
	p.sent = append(p.sent[:0], w.out...)
	e.metrics.requests.add(false)
	e.goDown(r, p.down)
}

// editOutward makes the changes that every outward request needs: what is of the
// inside is taken out.
func (e *Edge) editOutward(w *work, f transport.Flow, ours int) {
	w.edit.Reset(&w.msg)
	e.hide(w)
	w.edit.RemoveAll(sip.RecordRoute)
	for range ours {
		w.edit.RemoveFirstValue(sip.Route)
	}
	setMaxForwards(w)
	w.edit.SetLength()
}

// appendVia appends our Via value towards a peer, up to its parameters.
func (e *Edge) appendVia(dst []byte, f transport.Flow) []byte {
	switch f.Protocol {
	case transport.TCP:
		dst = append(dst, "SIP/2.0/TCP "...)
	case transport.TLS:
		dst = append(dst, "SIP/2.0/TLS "...)
	default:
		dst = append(dst, "SIP/2.0/UDP "...)
	}
	return e.faces.of(f.Protocol).public.AppendTo(dst)
}
