package phone

import (
	"sync"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A serverTx is a request that arrived and the last answer we gave it, which is
// given again when the request comes again (RFC 3261 §17.2).
type serverTx struct {
	p     *Phone
	key   string
	req   *message
	acked chan struct{} // closed when a final answer other than 2xx is acknowledged

	mu   sync.Mutex // guards the fields below
	last []byte
	done bool // a final answer was given
	ack  bool // acked is closed
	call *Call
}

// serve makes the transaction of a new request; ok is false when there are too
// many.
func (p *Phone) serve(key string, req *message) (*serverTx, bool) {
	t := &serverTx{p: p, key: key, req: req, acked: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.servers) >= maxTransactions || p.closing {
		return nil, false
	}
	p.servers[key] = t
	return t, true
}

// reply answers the request. After a final answer every other is ignored, and
// ok is false.
func (t *serverTx) reply(r sip.Response) (ok bool) {
	t.mu.Lock()
	if t.done {
		t.mu.Unlock()
		return false
	}
	t.done = r.Code >= 200
	t.last = sip.Respond(nil, &t.req.Message, t.req.flow.Remote, r)
	last := t.last
	t.mu.Unlock()
	t.send(last)
	if r.Code < 200 {
		return true
	}
	time.AfterFunc(64*t.p.cfg.Timing.T1, t.forget)
	if t.req.Is("INVITE") && r.Code >= 300 && t.req.flow.Protocol == transport.UDP {
		t.p.spawn(func() { t.p.repeat(t.acked, nil, func() { t.send(last) }) })
	}
	return true
}

// again answers a request that came again.
func (t *serverTx) again() {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	if last != nil {
		t.send(last)
	}
}

// confirm notes the ACK of a final answer other than 2xx.
func (t *serverTx) confirm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ack {
		t.ack = true
		close(t.acked)
	}
}

func (t *serverTx) send(wire []byte) {
	// An answer that cannot be sent is one that was lost: the peer asks again.
	_ = t.p.stack.Send(t.req.flow, wire)
}

func (t *serverTx) forget() {
	t.p.mu.Lock()
	delete(t.p.servers, t.key)
	t.p.mu.Unlock()
}

// repeat does send again after T1, 2 T1, 4 T1 … at most every T2, until stop or
// end is closed or 64 T1 have passed (timers G and H of RFC 3261 §17.2.1). It tells
// whether it was stopped.
func (p *Phone) repeat(stop, end <-chan struct{}, send func()) bool {
	interval := p.cfg.Timing.T1
	timer := time.NewTimer(interval)
	defer timer.Stop()
	limit := time.NewTimer(64 * p.cfg.Timing.T1)
	defer limit.Stop()
	for {
		select {
		case <-timer.C:
			send()
			interval = min(2*interval, p.cfg.Timing.T2)
			timer.Reset(interval)
		case <-stop:
			return true
		case <-end:
			return true
		case <-p.closed:
			return true
		case <-limit.C:
			return false
		}
	}
}
