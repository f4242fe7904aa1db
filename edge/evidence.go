package edge

import (
	"errors"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
	"github.com/lindero/lindero/wire/sip/transport"
)

// credentialsHeader is core's word that a request carried the right password,
// though the response looks as if it had not: what was asked is not allowed, or it
// was refused by somebody beyond core. Like all its kind it ends here.
const credentialsHeader = "Lindero-Credentials"

// signed tells whether m, a request from outside, is one of those whose
// credentials core looks at before anything else: its answer then says what they
// were worth. Within a dialog and to OPTIONS it says nothing of them.
func signed(m *sip.Message) bool {
	return (m.Index(sip.ProxyAuthorization) >= 0 || m.Index(sip.Authorization) >= 0) &&
		len(m.Tag(sip.To)) == 0 && !m.Is("OPTIONS")
}

// testify tells the shield what the response of core's in w says of who sent the
// request. A failure of core's own says nothing, nor does 400, which core may give
// before it has looked at the credentials.
func (e *Edge) testify(w *work, p *passage) {
	if e.shield == nil || !p.signed {
		return
	}
	switch code := w.msg.Code; {
	case w.msg.Find(credentialsHeader) != nil:
		p.signed = false
		e.shield.Known(sourceOf(p.up))
	case code == 401, code == 407, code == 403:
		p.signed = false
		if !stale(&w.msg) {
			e.offended(p.up, BadCredentials, account(&w.msg, p.method))
		}
	case code < 500 && code != 400, code >= 600:
		p.signed = false // told once, with the first response
		e.shield.Known(sourceOf(p.up))
	}
}

// stale tells whether a challenge says that only the nonce was too old, and the
// password right (RFC 7616 §3.3).
func stale(m *sip.Message) bool {
	for _, id := range [...]sip.HeaderID{sip.WWWAuthenticate, sip.ProxyAuthenticate} {
		for i := m.Index(id); i >= 0; i = m.Next(i) {
			if c, err := digest.ParseChallenge(m.Value(i)); err == nil && c.Stale {
				return true
			}
		}
	}
	return false
}

// maxAccount bounds what of a stranger's address stands in a reason.
const maxAccount = 80

// account is the address-of-record a request speaks for, of which m is the
// response. A stranger wrote it, so only letters that can do no harm remain.
func account(m *sip.Message, method method) string {
	id := sip.From
	if method == register_ {
		id = sip.To
	}
	n, err := sip.ParseNameAddr(m.Get(id))
	if err != nil {
		return "nobody"
	}
	u, err := sip.ParseURI(n.URI)
	if err != nil || len(u.Host) == 0 {
		return "nobody"
	}
	b := make([]byte, 0, maxAccount)
	for _, c := range [...][]byte{u.User, {'@'}, u.Host} {
		for _, c := range c {
			if c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>' || c == '\\' {
				c = '?'
			}
			if len(b) < maxAccount {
				b = append(b, c)
			}
		}
	}
	return string(b)
}

// registered takes what the 2xx in w grants to p, a REGISTER: trust for its source
// and keep-alives for its flow, for as long as the registration lasts.
func (e *Edge) registered(w *work, p *passage) {
	sent := e.works.Get().(*work)
	defer e.works.Put(sent)
	if err := sent.msg.Scan(p.sent); err != nil {
		return // it was scanned before it was sent
	}
	seconds := granted(&w.msg, &sent.msg)
	if seconds > 0 && e.shield != nil {
		e.shield.Registered(sourceOf(p.up), time.Now().Add(time.Duration(seconds)*time.Second))
	}
	e.keeper.learn(&sent.msg, p, seconds)
}

// garbled tells the shield of a message from outside that cannot be read.
func (e *Edge) garbled(f transport.Flow, data []byte, err error) {
	if e.shield == nil || keepsAlive(data) {
		return
	}
	var bad *sip.ScanError
	if errors.As(err, &bad) {
		e.offended(f, Malformed, bad.Reason)
	}
}

// keepsAlive tells what some phones send to keep a NAT open besides what the
// transport knows: zero bytes and white space, however many.
func keepsAlive(data []byte) bool {
	for _, c := range data {
		if c != 0 && c != '\r' && c != '\n' && c != ' ' {
			return false
		}
	}
	return len(data) > 0
}
