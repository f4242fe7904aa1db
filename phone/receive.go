package phone

import (
	"bytes"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A receiver is the phone as its transport sees it. Its methods run on the
// transport's goroutines and never wait for anything.
type receiver struct{ p *Phone }

// Message takes a message to the transaction it belongs to.
func (r receiver) Message(flow transport.Flow, data []byte) {
	m := &message{flow: flow}
	if err := m.Scan(bytes.Clone(data)); err != nil {
		return // not SIP, or bad SIP: a phone shrugs
	}
	if !m.IsRequest() {
		r.p.response(m)
		return
	}
	r.p.request(m)
}

// Closed wakes whoever waits on a connection that is gone.
func (r receiver) Closed(flow transport.Flow, err error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if err == nil {
		err = transport.ErrFlowGone
	}
	for _, t := range r.p.clients {
		if t.flow == flow || t.flow.Conn == flow.Conn && flow.Conn != 0 {
			select {
			case t.broken <- err:
			default:
			}
		}
	}
	if h := r.p.home; h != nil {
		h.lost(flow)
	}
}

func (p *Phone) response(m *message) {
	p.mu.Lock()
	t := p.clients[m.branch()+" "+string(m.CSeqMethod)]
	p.mu.Unlock()
	if t != nil {
		t.deliver(m)
	}
}

// request sorts what arrived: an ACK, a repetition, a CANCEL, or something new.
func (p *Phone) request(m *message) {
	via, _ := sip.NextValue(m.Get(sip.Via))
	hop, err := sip.ParseVia(via)
	if err != nil {
		return
	}
	id := string(hop.Branch()) + " " + string(hop.Host) + " "
	p.mu.Lock()
	same := p.servers[id+string(m.Method)]
	invite := p.servers[id+"INVITE"]
	p.mu.Unlock()
	switch {
	case m.Is("ACK"):
		if invite != nil {
			invite.confirm()
		}
		if c := p.lookup(m); c != nil {
			c.acknowledged(m)
		}
		return
	case same != nil:
		same.again()
		return
	}
	t, ok := p.serve(id+string(m.Method), m)
	if !ok {
		return
	}
	switch {
	case m.Is("CANCEL"):
		p.cancelled(t, invite)
	case m.tag(sip.To) != "":
		c := p.lookup(m)
		if c == nil {
			t.reply(sip.Response{Code: 481})
			return
		}
		c.handle(t)
	case m.Is("INVITE"):
		p.arrive(t)
	case m.Is("OPTIONS"):
		t.reply(sip.Response{Code: 200, ToTag: token(), Headers: []byte(allow + supported)})
	case m.Is("MESSAGE"):
		p.text(t)
	case m.Is("BYE"), m.Is("NOTIFY"), m.Is("UPDATE"), m.Is("INFO"):
		t.reply(sip.Response{Code: 481, ToTag: token()})
	default:
		t.reply(sip.Response{Code: 405, ToTag: token(), Headers: []byte(allow)})
	}
}

// lookup finds the call a request in a dialog belongs to (RFC 3261 §12.2.2).
func (p *Phone) lookup(m *message) *Call {
	p.mu.Lock()
	c := p.calls[m.text(sip.CallID)+" "+m.tag(sip.To)]
	p.mu.Unlock()
	if c == nil || !c.from(m.tag(sip.From)) {
		return nil
	}
	return c
}

// cancelled ends the INVITE a CANCEL names, if it has no answer yet.
func (p *Phone) cancelled(t, invite *serverTx) {
	if invite == nil {
		t.reply(sip.Response{Code: 481, ToTag: token()})
		return
	}
	t.reply(sip.Response{Code: 200, ToTag: token()})
	invite.mu.Lock()
	c := invite.call
	invite.mu.Unlock()
	if c != nil && c.refuse(487) == nil {
		c.finish(End{Reason: "cancelled by the caller"})
	}
}
