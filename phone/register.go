package phone

import (
	"context"
	"fmt"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A registration is our binding at the registrar (RFC 3261 §10.2).
type registration struct {
	callID string
	tag    string
	turn   chan struct{} // holds a token when no REGISTER is under way
	wake   chan struct{} // something below has changed

	// Guarded by Phone.mu.
	seq   uint32
	asked time.Duration  // the life Register wanted; 0: not registered
	due   time.Time      // when to register again
	flow  transport.Flow // what the last REGISTER went by
}

// Register binds our contact to our address-of-record for expires and keeps the
// binding fresh until Unregister or the end of Run. A refusal is a *Failure.
func (p *Phone) Register(ctx context.Context, expires time.Duration) error {
	h := p.registrar()
	if err := p.register(ctx, h, expires); err != nil {
		return err
	}
	p.mu.Lock()
	first := h.asked == 0
	h.asked = expires
	p.mu.Unlock()
	if first {
		p.spawn(func() { p.refresh(h) })
	}
	h.kick()
	return nil
}

// Unregister removes our binding.
func (p *Phone) Unregister(ctx context.Context) error {
	h := p.registrar()
	p.mu.Lock()
	h.asked = 0
	p.mu.Unlock()
	h.kick()
	return p.register(ctx, h, 0)
}

// registrar is the registration, made when there is none.
func (p *Phone) registrar() *registration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.home == nil {
		p.home = &registration{callID: token(), tag: token(), turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
		p.home.turn <- struct{}{}
	}
	return p.home
}

// kick wakes the refresher.
func (h *registration) kick() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lost tells that a connection is gone. Phone.mu is held.
func (h *registration) lost(flow transport.Flow) {
	if h.flow.Conn == flow.Conn {
		h.kick()
	}
}

// register sends one REGISTER, and again what its challenges ask for.
func (p *Phone) register(ctx context.Context, h *registration, expires time.Duration) error {
	select {
	case <-h.turn:
		defer func() { h.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return ErrClosed
	}
	secret, longer := "", false
	for try := 0; ; try++ {
		req := p.registerRequest(h, expires)
		req.secret = secret
		flow, err := p.hop(req, false)
		if err != nil {
			return err
		}
		p.mu.Lock()
		h.flow = flow
		p.mu.Unlock()
		m, err := p.exchange(ctx, req, false)
		if err != nil {
			return err
		}
		if secret, err = p.credentials(req, m, try); err != nil {
			return err
		} else if secret != "" {
			continue
		}
		if n, _, ok := seconds(m.Get(sip.MinExpires)); m.Code == 423 && ok && !longer && expires > 0 {
			longer, try, expires = true, -1, time.Duration(n)*time.Second
			continue
		}
		if m.Code < 300 {
			p.mu.Lock()
			h.due = time.Now().Add(p.grantOf(m, expires) * 85 / 100)
			p.mu.Unlock()
		}
		return refusal("REGISTER", m)
	}
}

func (p *Phone) registerRequest(h *registration, expires time.Duration) *request {
	p.mu.Lock()
	h.seq++
	seq := h.seq
	p.mu.Unlock()
	return &request{
		method: "REGISTER", uri: "sip:" + p.realm(), seq: seq, callID: h.callID,
		from: "<" + p.own() + ">;tag=" + h.tag, to: "<" + p.own() + ">",
		lines: fmt.Sprintf("Contact: <%s>\r\nExpires: %d\r\n%s%s", p.URI(), expires/time.Second, allow, supported),
	}
}

// realm is the registrar's name in the Request-URI.
func (p *Phone) realm() string {
	if p.cfg.Domain != "" {
		return p.cfg.Domain
	}
	return p.cfg.Server.String()
}

// grantOf is how long the registrar keeps our binding.
func (p *Phone) grantOf(m *message, asked time.Duration) time.Duration {
	ours, _ := sip.ParseURI([]byte(p.URI()))
	for _, value := range m.all(sip.Contact) {
		a, err := sip.ParseNameAddr([]byte(value))
		if err != nil {
			continue
		}
		uri, err := sip.ParseURI(a.URI)
		if err != nil || string(uri.User) != string(ours.User) || string(uri.Host) != string(ours.Host) || uri.Port != ours.Port {
			continue
		}
		if v, ok := sip.Param(a.Params, "expires"); ok {
			if n, ok := sip.ParseInt(v); ok {
				return time.Duration(n) * time.Second
			}
		}
	}
	if n, _, ok := seconds(m.Get(sip.Expires)); ok {
		return time.Duration(n) * time.Second
	}
	return asked
}

// refresh keeps the registration alive until Unregister: it registers again
// before the binding ends and as soon as its connection is lost, and pings that
// connection meanwhile (RFC 5626 §4.4.1).
func (p *Phone) refresh(h *registration) {
	var pings <-chan time.Time
	if p.cfg.KeepAlive > 0 && p.cfg.Protocol != transport.UDP {
		ticker := time.NewTicker(p.cfg.KeepAlive)
		defer ticker.Stop()
		pings = ticker.C
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for retry := time.Duration(0); ; {
		p.mu.Lock()
		asked, due, flow := h.asked, h.due, h.flow
		p.mu.Unlock()
		if asked == 0 {
			return
		}
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-h.wake:
			if p.stack.Alive(flow) || time.Until(due) > 0 && retry > 0 {
				continue
			}
		case <-pings:
			_ = p.stack.Ping(flow) // a connection that is gone is told by Closed
			continue
		case <-p.closed:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 64*p.cfg.Timing.T1)
		err := p.register(ctx, h, asked)
		cancel()
		if err == nil {
			retry = 0
			continue
		}
		retry = min(max(2*retry, time.Second), 30*time.Second)
		p.log.Warn("registration was not refreshed", "err", err, "retry", retry)
		p.mu.Lock()
		h.due = time.Now().Add(retry)
		p.mu.Unlock()
	}
}
