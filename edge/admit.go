package edge

import (
	"strconv"
	"strings"

	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// admit checks a request as a proxy must before it looks where it goes (RFC 3261
// §16.3). Syntax and size were the scanner's; merged requests (§8.2.2.2) are
// core's, which knows dialogs.
func (e *Edge) admit(w *work, from side) error {
	m := &w.msg
	if !knownScheme(m.URI) {
		return errScheme
	}
	if n, ok := sip.ParseInt(m.Get(sip.MaxForwards)); ok && n == 0 && !e.forUs(m, from) {
		return errHops
	}
	if e.looped(m) {
		return errLoop
	}
	if tags := required(m); tags != "" {
		return &refusal{code: 420, headers: "Unsupported: " + tags + "\r\n", verdict: verdictExtension}
	}
	return nil
}

// knownScheme tells whether core could make sense of the Request-URI at all.
func knownScheme(uri []byte) bool {
	scheme, _, _ := strings.Cut(string(uri), ":")
	return strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips") || strings.EqualFold(scheme, "tel")
}

// looped tells whether this very request has been sent by us before: one of its
// Vias is ours and the fingerprint in its branch is that of the request.
func (e *Edge) looped(m *sip.Message) bool {
	for i := m.Index(sip.Via); i >= 0; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			via, err := sip.ParseVia(value)
			if err != nil {
				continue
			}
			a, ok := sip.URI{Host: via.Host, Port: via.Port}.Addr()
			if !ok || !e.faces.outsideOurs(a) && a != e.faces.inside {
				continue
			}
			if _, loop, ok := transaction.ParseBranch(via.Branch()); ok && loop == fingerprint(m, m.URI) {
				return true
			}
		}
	}
	return false
}

// required lists the option tags of Proxy-Require. We support none of them
// (RFC 3261 §16.3 item 5).
func required(m *sip.Message) string {
	var tags []string
	for i := m.Index(sip.ProxyRequire); i >= 0; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			tags = append(tags, string(value))
		}
	}
	if m.Is("CANCEL") || m.Is("ACK") {
		return ""
	}
	return strings.ReplaceAll(strings.ReplaceAll(strings.Join(tags, ", "), "\r", " "), "\n", " ")
}

// forUs tells whether m is an OPTIONS to the edge itself (RFC 3261 §11): its
// Request-URI has no user and names the address of a face.
func (e *Edge) forUs(m *sip.Message, from side) bool {
	if !m.Is("OPTIONS") {
		return false
	}
	u, err := sip.ParseURI(m.URI)
	if err != nil || u.User != nil {
		return false
	}
	a, ok := u.Addr()
	if from == inside {
		return ok && a == e.faces.inside
	}
	return ok && e.faces.outsideOurs(a)
}

// answerOptions tells who asks what the edge, not core, can do.
func (e *Edge) answerOptions(w *work, from side, f transport.Flow) {
	e.reply(w, from, f, sip.Response{Code: 200, Headers: []byte(
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, SUBSCRIBE, NOTIFY, MESSAGE\r\n" +
			"Accept: application/sdp\r\nSupported: path\r\n")})
}

// setMaxForwards takes one hop off, or begins the count (RFC 3261 §16.6 item 3).
func setMaxForwards(w *work) {
	hops := uint64(70)
	if n, ok := sip.ParseInt(w.msg.Get(sip.MaxForwards)); ok {
		hops = uint64(max(n, 1)) - 1
	}
	w.buf = strconv.AppendUint(w.buf[:0], hops, 10)
	w.edit.Set(sip.MaxForwards, w.buf)
}
