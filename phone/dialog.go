package phone

import (
	"context"
	"slices"

	"github.com/lindero/lindero/wire/sip"
)

// A dialog is the state of RFC 3261 §12 that two user agents share.
type dialog struct {
	callID    string
	local     string // our From in requests, with our tag
	remote    string // our To in requests, with the peer's tag
	localTag  string
	remoteTag string
	target    string   // the peer's Contact
	routes    []string // in the order to write them
	seq       uint32   // of our last request
	peerSeq   uint32   // of the peer's last request; 0: none yet
}

// learn takes the dialog's other half from a response to our INVITE
// (RFC 3261 §12.1.2).
func (d *dialog) learn(m *message) {
	d.remote, d.remoteTag = m.text(sip.To), m.tag(sip.To)
	if uri := m.address(sip.Contact).URI; len(uri) > 0 {
		d.target = string(uri)
	}
	d.routes = m.all(sip.RecordRoute)
	slices.Reverse(d.routes)
}

// refresh takes a new remote target (RFC 3261 §12.2).
func (d *dialog) refresh(m *message) {
	if uri := m.address(sip.Contact).URI; len(uri) > 0 {
		d.target = string(uri)
	}
}

// accept makes the dialog of an INVITE that came (RFC 3261 §12.1.1).
func accept(m *message) dialog {
	tag := token()
	return dialog{
		callID: m.text(sip.CallID),
		local:  m.text(sip.To) + ";tag=" + tag, localTag: tag,
		remote: m.text(sip.From), remoteTag: m.tag(sip.From),
		target: string(m.address(sip.Contact).URI),
		routes: m.all(sip.RecordRoute), peerSeq: m.CSeqNumber,
	}
}

// request is the next request of the dialog. ACK and CANCEL, which have the
// number of their INVITE, are made otherwise.
func (d *dialog) request(method string) *request {
	d.seq++
	return &request{
		method: method, uri: d.target, from: d.local, to: d.remote, callID: d.callID, seq: d.seq,
		routes: slices.Clone(d.routes),
	}
}

// do sends a request of the dialog and waits for its final response. An answer
// other than 2xx is a *Failure. A challenge is answered once.
func (c *Call) do(ctx context.Context, method, lines, kind string, body []byte) (*message, error) {
	secret := ""
	for try := 0; ; try++ {
		c.mu.Lock()
		if c.state == over {
			c.mu.Unlock()
			return nil, ErrOver
		}
		req := c.d.request(method)
		c.mu.Unlock()
		req.lines, req.kind, req.body, req.secret = lines, kind, body, secret
		m, err := c.p.exchange(ctx, req, true)
		if err != nil {
			return nil, err
		}
		if secret, err = c.p.credentials(req, m, try); err != nil {
			return nil, err
		} else if secret != "" {
			continue
		}
		// A peer that does not know the dialog has ended it (RFC 3261 §12.2.1.2).
		if m.Code == 481 || m.Code == 408 {
			defer c.finish(End{Reason: "the peer no longer knows the call", Err: refusal(method, m)})
		}
		return m, refusal(method, m)
	}
}

// exchange sends a request other than INVITE and waits for its final response.
func (p *Phone) exchange(ctx context.Context, req *request, inDialog bool) (*message, error) {
	flow, err := p.hop(req, inDialog)
	if err != nil {
		return nil, err
	}
	tx, err := p.start(req, flow)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	for {
		m, err := tx.next(ctx)
		if err != nil || m.Code >= 200 {
			return m, err
		}
	}
}
