package b2bua

import (
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A clientTx is one request of ours. on is called for every response in order
// and last with an error when there will be no final one; it must not block.
type clientTx struct {
	b    *B2BUA
	tx   *sip.ClientTx
	conn *conn
	req  *sip.Request
	on   func(*sip.Response, error)

	mu          sync.Mutex // guards the fields below
	provisional bool
	cancelling  bool
	finished    bool // a final response came, or on had its error
	guard       *time.Timer
}

// request sends req to its destination as a transaction of its own. An error
// means that it could not be sent; on is not called then.
func (b *B2BUA) request(req *sip.Request, to netip.AddrPort, on func(*sip.Response, error)) (*clientTx, error) {
	req.SetTransport(transport)
	key, err := sip.ClientTxKeyMake(req)
	if err != nil {
		return nil, err
	}
	t := &clientTx{b: b, conn: &conn{b: b, to: to}, req: req, on: on}
	t.tx = sip.NewClientTx(key, req, t.conn, b.quiet)
	b.txs.mu.Lock()
	b.txs.client[key] = t
	b.txs.mu.Unlock()
	t.tx.OnTerminate(func(key string, _ error) {
		b.txs.mu.Lock()
		defer b.txs.mu.Unlock()
		delete(b.txs.client, key)
	})
	if err := t.tx.Init(); err != nil {
		t.tx.Terminate()
		return nil, err
	}
	b.work.Go(t.pump)
	return t, nil
}

// pump empties sipgo's channel, on which its state machine would block, and
// tells of the end without an answer. Responses go to on before they get here
// (see receive), because two goroutines could not keep their order.
func (t *clientTx) pump() {
	for {
		select {
		case <-t.tx.Responses():
		case <-t.tx.Done():
			if t.finish() {
				err := t.tx.Err()
				if err == nil {
					err = sip.ErrTransactionTerminated
				}
				t.on(nil, err)
			}
			return
		}
	}
}

// fail ends the transaction because its request cannot have arrived.
func (t *clientTx) fail() {
	t.mu.Lock()
	heard := t.provisional
	t.mu.Unlock()
	if heard || !t.finish() {
		return
	}
	t.tx.Terminate()
	t.on(nil, errUnsent)
}

// finish tells whether the caller is the one who ends the transaction.
func (t *clientTx) finish() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return false
	}
	t.finished = true
	if t.guard != nil {
		t.guard.Stop()
	}
	return true
}

// receive takes a response that belongs to the transaction.
func (t *clientTx) receive(res *sip.Response) {
	if res.IsProvisional() {
		t.mu.Lock()
		first := !t.provisional && !t.finished
		t.provisional = true
		cancel := first && t.cancelling
		t.mu.Unlock()
		t.tx.Receive(res)
		t.on(res, nil)
		if cancel {
			t.sendCancel()
		}
		return
	}
	if !t.finish() {
		return // a repetition; over TCP it needs no second ACK
	}
	if t.req.IsInvite() && res.IsSuccess() {
		t.tx.Terminate() // what follows a 2xx belongs to the dialog (RFC 6026 §7.2)
	} else {
		t.tx.Receive(res) // for an INVITE this sends the ACK
	}
	t.on(res, nil)
}

// cancel cancels an INVITE: at once when it is known to have arrived, else with
// its first provisional response (RFC 3261 §9.1). The final response still comes
// to on; if none does within 64·T1, an error does.
func (t *clientTx) cancel() {
	t.mu.Lock()
	if t.finished || t.cancelling {
		t.mu.Unlock()
		return
	}
	t.cancelling = true
	now := t.provisional
	t.guard = time.AfterFunc(64*t.b.cfg.Timing.T1, t.tx.Terminate)
	t.mu.Unlock()
	if now {
		t.sendCancel()
	}
}

// sendCancel sends the CANCEL of an INVITE (RFC 3261 §9.1): same Request-URI, top
// Via, Route, From, To and Call-ID.
func (t *clientTx) sendCancel() {
	c := sip.NewRequest(sip.CANCEL, t.req.Recipient)
	addHeader(c, "Via", header(t.req, "via"))
	addHeader(c, "Max-Forwards", "70")
	for _, v := range headers(t.req, "route") {
		addHeader(c, "Route", v)
	}
	for _, name := range []string{"From", "To", "Call-ID"} {
		addHeader(c, name, header(t.req, lower(name)))
	}
	seq, _ := split(header(t.req, "cseq"))
	number, _, _ := cutSpace(seq)
	addHeader(c, "CSeq", number+" CANCEL")
	c.SetBody(nil)
	_, _ = t.b.request(c, t.conn.to, func(*sip.Response, error) {}) // the guard ends what its loss leaves open
}
