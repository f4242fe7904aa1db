package edge

import (
	"bytes"
	"net/netip"

	"github.com/lindero/lindero/edge/token"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// fromOutside takes a request of a phone, or a stranger, to core. Read it from
// the top: this is the order in which a request meets the system. Wherever the
// request says it wants to go, it goes to a core or nowhere: no open relay.
func (e *Edge) fromOutside(w *work, f transport.Flow) error {
	m := &w.msg
	switch {
	case m.Is("ACK"):
		return e.ackInward(w, f)
	case m.Is("CANCEL"):
		return e.cancelled(w, outside, f)
	}
	key := e.key(m, m.Method, outside, f)
	if r := e.table.Find(key); r != nil {
		e.repeated(r)
		return nil
	}
	if err := e.admit(w, outside); err != nil {
		return err
	}
	if e.forUs(m, outside) {
		e.answerOptions(w, outside, f)
		return nil
	}
	to, err := e.routeInward(w)
	if err != nil {
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
	e.begin(p, m, outside, f, to.relay)
	p.fresh = p.fresh && !to.core.IsValid()
	r.Server.Begin(&e.cfg.Timing, p.method == invite, f.Protocol != transport.UDP, 0)
	e.trying(w, r)
	if !p.media.offered(m, p) {
		e.goInward(w, r, to, nil)
		return nil
	}
	e.offer(w, r, func(w *work, r *record, sdp []byte) { e.goInward(w, r, to, sdp) })
	return nil
}

// An inwardTarget is where an inward request goes: core, when the request bears a
// sealed contact, else any that is up; uri replaces the Request-URI when set.
type inwardTarget struct {
	core  netip.AddrPort
	relay *relay
	uri   []byte
}

// routeInward reads the tokens in a request from outside. A sealed contact stands
// in the Request-URI, in a Route that a phone made of it, or, sent by a strict
// router (RFC 3261 §16.4), in the last Route while the Request-URI is our own.
func (e *Edge) routeInward(w *work) (to inwardTarget, err error) {
	m := &w.msg
	user := userOf(m.URI)
	if user == nil && e.isOurRoute(m.URI) {
		if last := lastRoute(m); last != nil {
			to.uri = bytes.Clone(last) // it may be needed after the relay has answered
			user = userOf(last)
		}
	}
	if !token.Like(user) {
		if top := m.Topmost(sip.Route); top != nil {
			if n, err := sip.ParseNameAddr(top); err == nil && token.Like(userOf(n.URI)) {
				user = userOf(n.URI)
			}
		}
	}
	if !token.Like(user) {
		return to, nil
	}
	t, err := e.openContact(user)
	if err != nil {
		return to, errForged
	}
	to.core, to.uri, to.relay = t.core, t.uri, e.relays.named(t.relay)
	return to, nil
}

// isOurRoute tells whether uri is what we put into Record-Route.
func (e *Edge) isOurRoute(uri []byte) bool {
	u, err := sip.ParseURI(uri)
	if err != nil {
		return false
	}
	_, lr := sip.Param(u.Params, "lr")
	a, ok := u.Addr()
	return ok && lr && e.faces.outsideOurs(a)
}

// lastRoute is the URI of the last Route value, nil when there is none.
func lastRoute(m *sip.Message) []byte {
	var last []byte
	for i := m.Index(sip.Route); i >= 0; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			last = value
		}
	}
	n, err := sip.ParseNameAddr(last)
	if err != nil {
		return nil
	}
	return n.URI
}

func userOf(uri []byte) []byte {
	u, err := sip.ParseURI(uri)
	if err != nil || u.Host == nil {
		return nil
	}
	return u.User
}

// goInward sends the request in w, whose record is r, to core. It takes over the
// lock of r.
func (e *Edge) goInward(w *work, r *record, to inwardTarget, sdp []byte) {
	defer r.Release()
	p := &r.Data
	if !r.Server.Open() {
		return // cancelled while the relay was asked
	}
	var down transport.Flow
	var err error
	if to.core.IsValid() {
		down, err = e.cores.connect(to.core)
	} else {
		down, p.core, err = e.cores.pick(0)
	}
	if err != nil {
		e.answer(r, errCoreDown)
		return
	}
	e.editInward(w, p.up)
	m := &w.msg
	uri := m.URI
	if to.uri != nil {
		uri = to.uri
		w.edit.SetURI(uri)
	}
	setBody(w, sdp)
	e.recordInward(w, p)
	w.buf = append(append(append(w.buf[:0], "SIP/2.0/TCP "...), e.inner.own...), ";branch="...)
	w.buf = r.AppendBranch(w.buf, fingerprint(m, uri))
	w.edit.Prepend("Via", w.buf)
	w.out = w.edit.AppendTo(w.out[:0])
	p.sent = append(p.sent[:0], w.out...)
	e.metrics.requests.add(true)
	e.goDown(r, down)
}

// editInward makes the changes that every inward request needs: what only we may
// say is taken out and said anew.
func (e *Edge) editInward(w *work, f transport.Flow) {
	m := &w.msg
	w.edit.Reset(m)
	for _, id := range [...]sip.HeaderID{sip.Via, sip.Path, sip.LinderoSource, sip.LinderoOther, sip.PAssertedIdentity} {
		w.edit.RemoveAll(id)
	}
	e.removeRoutes(w)
	e.openReferTo(w)
	setMaxForwards(w)
	w.edit.SetLength()
	w.buf = e.appendSource(w.buf[:0], m, f)
	w.edit.Prepend("Lindero-Source", w.buf)
}

// removeRoutes takes every Route away. Ours have been read; a stranger's would
// send the request elsewhere than to core.
func (e *Edge) removeRoutes(w *work) {
	m := &w.msg
	for i := m.Index(sip.Route); i >= 0; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			if n, err := sip.ParseNameAddr(value); err != nil || !e.isOurRoute(n.URI) {
				e.metrics.count(verdictRoute)
			}
		}
	}
	w.edit.RemoveAll(sip.Route)
}

// recordInward puts us on the way of later requests: by Path for REGISTER, by two
// Record-Routes for what forms a dialog, since the transport changes here
// (RFC 3327; RFC 5658 §5).
func (e *Edge) recordInward(w *work, p *passage) {
	switch {
	case p.method == register_:
		w.buf = e.appendInsideRoute(w.buf[:0], p.up, "")
		w.buf = append(w.buf[:len(w.buf)-1], ";ob>"...)
		w.edit.Prepend("Path", w.buf)
	case p.dialog:
		w.buf = e.appendOutsideRoute(w.buf[:0], p.up, p.secure)
		w.edit.Prepend("Record-Route", w.buf)
		w.buf = e.appendInsideRoute(w.buf[:0], p.up, p.media.relayID())
		w.edit.Prepend("Record-Route", w.buf)
	}
}

// appendInsideRoute appends <sip:TOKEN@inside;transport=tcp;lr> for a phone's flow.
func (e *Edge) appendInsideRoute(dst []byte, f transport.Flow, relay string) []byte {
	dst = e.appendFlow(append(dst, "<sip:"...), f, relay)
	dst = append(append(dst, '@'), e.inner.own...)
	return append(dst, ";transport=tcp;lr>"...)
}

// appendOutsideRoute appends <sip:outside;transport=…;lr> for a peer's protocol.
func (e *Edge) appendOutsideRoute(dst []byte, f transport.Flow, secure bool) []byte {
	dst = e.faces.of(f.Protocol).appendURI(append(dst, '<'), nil, secure)
	return append(dst, ";lr>"...)
}

// openReferTo gives core its own contact back where a phone refers to it: that is
// how one call is told to replace another (RFC 3515, RFC 3891).
func (e *Edge) openReferTo(w *work) {
	i := w.msg.Index(sip.ReferTo)
	if i < 0 {
		return
	}
	value := w.msg.Value(i)
	n, err := sip.ParseNameAddr(value)
	if err != nil {
		return
	}
	t, err := e.openContact(userOf(n.URI))
	if err != nil {
		return // somebody else's address, as it should be
	}
	w.buf = append(append(append(w.buf[:0], n.Display...), '<'), t.uri...)
	if q := bytes.IndexByte(n.URI, '?'); q >= 0 {
		w.buf = append(w.buf, n.URI[q:]...)
	}
	w.buf = append(append(w.buf, '>'), n.Params...)
	w.edit.Replace(i, w.buf)
}
