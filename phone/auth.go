package phone

import (
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
)

// credentials makes the header line that answers a challenge to req, the try-th
// of its kind from 0. It is "" when m is no challenge. A second challenge means
// that user or password is wrong, unless it says that the nonce was too old
// (RFC 3261 §22.3); then, or when no challenge is of a kind we know, the refusal
// is returned as it came.
func (p *Phone) credentials(req *request, m *message, try int) (string, error) {
	id, name := sip.WWWAuthenticate, "Authorization"
	switch m.Code {
	case 401:
	case 407:
		id, name = sip.ProxyAuthenticate, "Proxy-Authorization"
	default:
		return "", nil
	}
	var headers [][]byte
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		headers = append(headers, m.Value(i))
	}
	challenge, ok := digest.Choose(headers...)
	if !ok || try > 0 && !challenge.Stale || try > 2 || p.cfg.Username == "" {
		return "", refusal(req.method, m)
	}
	answer := digest.Answer(challenge, req.method, req.uri, p.cfg.Username, p.cfg.Password, token(), 1)
	return name + ": " + string(answer.Append(nil)) + "\r\n", nil
}
