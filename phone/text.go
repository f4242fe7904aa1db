package phone

import (
	"context"

	"github.com/lindero/lindero/wire/sip"
)

// A Text is a message that came by MESSAGE (RFC 3428).
type Text struct {
	From string // as the sender's From header says it
	Body string
}

// Texts delivers the messages that come. When nobody takes them, the newest are
// refused with 486.
func (p *Phone) Texts() <-chan Text { return p.texts }

// Send sends a text to target, a SIP URI or a user of our domain, and waits until
// it is accepted. A refusal is a *Failure.
func (p *Phone) Send(ctx context.Context, target, text string) error {
	uri, secret, callID, tag := p.absolute(target), "", token(), token()
	for try := 0; ; try++ {
		req := &request{
			method: "MESSAGE", uri: uri, from: "<" + p.own() + ">;tag=" + tag, to: "<" + uri + ">", callID: callID,
			seq: uint32(try + 1), kind: "text/plain", body: []byte(text), secret: secret,
		}
		m, err := p.exchange(ctx, req, false)
		if err != nil {
			return err
		}
		if secret, err = p.credentials(req, m, try); err != nil {
			return err
		} else if secret == "" {
			return refusal("MESSAGE", m)
		}
	}
}

// text takes a MESSAGE outside a call.
func (p *Phone) text(t *serverTx) {
	code := 200
	select {
	case p.texts <- Text{From: t.req.text(sip.From), Body: string(t.req.Body)}:
	default:
		code = 486
	}
	t.reply(sip.Response{Code: code, ToTag: token()})
}
