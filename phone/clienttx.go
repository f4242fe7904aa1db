package phone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// maxTransactions bounds the transactions of each side: a phone with more of them
// is not a phone.
const maxTransactions = 4096

// A clientTx is a request of ours that waits for its answer (RFC 3261 §17.1). It
// has no goroutine: whoever made the request turns it by calling next.
type clientTx struct {
	p        *Phone
	key      string
	flow     transport.Flow
	req      *request
	wire     []byte
	in       chan *message
	broken   chan error // the connection went away
	resend   *time.Timer
	expire   *time.Timer
	interval time.Duration
	answered bool // a provisional response came

	mu   sync.Mutex       // guards late
	late func(r *message) // what to do with a final response that comes again
}

// start sends req on flow.
func (p *Phone) start(req *request, flow transport.Flow) (*clientTx, error) {
	if req.branch == "" {
		req.branch = "z9hG4bK" + token()
	}
	t := &clientTx{
		p: p, key: req.branch + " " + req.method, flow: flow, req: req, wire: req.print(p),
		in: make(chan *message, 64), broken: make(chan error, 1), interval: p.cfg.Timing.T1,
	}
	p.mu.Lock()
	full := len(p.clients) >= maxTransactions || p.closing
	if !full {
		p.clients[t.key] = t
	}
	p.mu.Unlock()
	if full {
		return nil, ErrClosed
	}
	t.expire = time.NewTimer(64 * p.cfg.Timing.T1)
	t.resend = time.NewTimer(t.interval)
	if flow.Protocol != transport.UDP {
		t.resend.Stop()
	}
	if err := p.stack.Send(flow, t.wire); err != nil {
		t.end()
		return nil, &Failure{Method: req.method, Code: 503, Local: true, Reason: err.Error()}
	}
	return t, nil
}

// next waits for the next response, sending the request again as the RFC wants
// it. After a final response there is none.
func (t *clientTx) next(ctx context.Context) (*message, error) {
	for {
		select {
		case m := <-t.in:
			t.seen(m)
			return m, nil
		case <-t.resend.C:
			if err := t.p.stack.Send(t.flow, t.wire); err != nil {
				return nil, &Failure{Method: t.req.method, Code: 503, Local: true, Reason: err.Error()}
			}
			t.interval *= 2
			if t.req.method != "INVITE" {
				t.interval = min(t.interval, t.p.cfg.Timing.T2)
			}
			t.resend.Reset(t.interval)
		case <-t.expire.C:
			return nil, &Failure{Method: t.req.method, Code: 408, Local: true, Reason: "no answer in time"}
		case err := <-t.broken:
			return nil, &Failure{Method: t.req.method, Code: 503, Local: true, Reason: lostReason(err)}
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.p.closed:
			return nil, ErrClosed
		}
	}
}

// lostReason tells a server that is not there from one that went away.
func lostReason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Sprintf("cannot reach %v: %v", op.Addr, op.Err)
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return "the server's certificate is not trusted: " + untrusted.Err.Error()
	}
	return "connection lost: " + err.Error()
}

// seen moves the timers on for a response.
func (t *clientTx) seen(m *message) {
	switch {
	case m.Code >= 200:
		t.resend.Stop()
		t.expire.Stop()
	case t.req.method == "INVITE":
		// The callee lives; from now on only the caller's patience ends this.
		t.answered = true
		t.resend.Stop()
		t.expire.Stop()
	default:
		t.answered = true
		t.interval = t.p.cfg.Timing.T2
	}
}

// end forgets the transaction. A response that comes later is nobody's.
func (t *clientTx) end() {
	t.resend.Stop()
	t.expire.Stop()
	t.p.mu.Lock()
	delete(t.p.clients, t.key)
	t.p.mu.Unlock()
}

// linger keeps the transaction for as long as its final response may come again
// and hands each to late, which must not block (RFC 3261 timer D, RFC 6026 timer M).
func (t *clientTx) linger(late func(*message)) {
	t.mu.Lock()
	t.late = late
	t.mu.Unlock()
	time.AfterFunc(64*t.p.cfg.Timing.T1, t.end)
}

// deliver hands over a response that arrived.
func (t *clientTx) deliver(m *message) {
	t.mu.Lock()
	late := t.late
	t.mu.Unlock()
	if late != nil {
		if m.Code >= 200 {
			late(m)
		}
		return
	}
	select {
	case t.in <- m:
	default: // 64 unread responses: the peer is repeating itself
	}
}

// refuseAck acknowledges a final response other than 2xx (RFC 3261 §17.1.1.3).
func (t *clientTx) refuseAck(m *message) {
	ack := *t.req
	ack.method, ack.to, ack.lines, ack.secret, ack.body = "ACK", m.text(sip.To), "", "", nil
	wire := ack.print(t.p)
	send := func(*message) { _ = t.p.stack.Send(t.flow, wire) } // a lost ACK is asked for again
	send(m)
	t.linger(send)
}

// cancel asks for the end of a pending INVITE (RFC 3261 §9.1) and does not wait:
// the INVITE's own final response tells how it went.
func (t *clientTx) cancel() {
	req := *t.req
	req.method, req.lines, req.secret, req.body = "CANCEL", "", "", nil
	t.p.spawn(func() {
		tx, err := t.p.start(&req, t.flow)
		if err != nil {
			return
		}
		defer tx.end()
		for {
			if m, err := tx.next(context.Background()); err != nil || m.Code >= 200 {
				return
			}
		}
	})
}
