package b2bua

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo/sip"

	wire "github.com/lindero/lindero/wire/sip"
)

// transport is what transactions are told they run over. It is the truth: edges
// reach core by TCP, and so sipgo starts no timer that retransmits or lingers.
const transport = "TCP"

// txTable finds the transaction a message belongs to.
type txTable struct {
	mu     sync.Mutex // guards the fields below; never held while calling sipgo
	server map[string]*serverTx
	client map[string]*clientTx
}

func (t *txTable) init() {
	t.server = make(map[string]*serverTx)
	t.client = make(map[string]*clientTx)
}

func (t *txTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.server) + len(t.client)
}

func (t *txTable) findServer(key string) *serverTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.server[key]
}

func (t *txTable) findClient(key string) *clientTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client[key]
}

// silent is the client transactions to an address that have heard nothing yet.
func (t *txTable) silent(to netip.AddrPort) []*clientTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*clientTx
	for _, c := range t.client {
		if c.conn.to == to {
			all = append(all, c)
		}
	}
	return all
}

// terminateAll ends every transaction, so that nothing waits for its timers.
func (t *txTable) terminateAll() {
	t.mu.Lock()
	var all []sip.Transaction
	for _, s := range t.server {
		all = append(all, s.tx)
	}
	for _, c := range t.client {
		all = append(all, c.tx)
	}
	t.mu.Unlock()
	for _, tx := range all {
		tx.Terminate()
	}
}

// A serverTx is one request we answer. It lets one final response through,
// whoever gives it: sipgo would retransmit a second one in place of the first.
type serverTx struct {
	b    *B2BUA
	tx   *sip.ServerTx
	conn *conn
	req  *sip.Request

	tag string // our tag in To, when the request has none; constant but for CANCEL

	mu        sync.Mutex // guards the fields below
	final     bool       // a final response was given
	accepted  bool       // and it was a 2xx to an INVITE
	cancelled bool       // a CANCEL came before it
	onCancel  func()
}

// serve makes the transaction of a request that has none yet.
func (b *B2BUA) serve(key string, req *sip.Request, from netip.AddrPort) (*serverTx, error) {
	via, _ := wire.ParseVia([]byte(header(req, "via")))
	c := &conn{b: b, to: from}
	if host, err := netip.ParseAddr(string(via.Host)); err == nil {
		port := via.Port
		if port == 0 {
			port = uint16(sip.DefaultTcpPort)
		}
		c.fallback = netip.AddrPortFrom(host, port)
	}
	t := &serverTx{b: b, conn: c, req: req, tag: token(8)}
	t.tx = sip.NewServerTx(key, req, c, b.quiet)
	b.txs.mu.Lock()
	b.txs.server[key] = t
	b.txs.mu.Unlock()
	t.tx.OnTerminate(func(string, error) {
		t.mu.Lock()
		stays := t.accepted
		t.mu.Unlock()
		if !stays {
			t.forget()
		}
	})
	if err := t.tx.Init(); err != nil {
		t.tx.Terminate()
		return nil, err
	}
	return t, nil
}

// forget takes the transaction out of the table.
func (t *serverTx) forget() {
	t.b.txs.mu.Lock()
	defer t.b.txs.mu.Unlock()
	delete(t.b.txs.server, t.tx.Key())
}

// response makes a response to the request, with its header lines as they came.
func (t *serverTx) response(code int, b body, extra ...sip.Header) *sip.Response {
	res := sip.NewResponse(code, wire.ReasonPhrase(code))
	res.SetTransport(transport)
	for _, v := range headers(t.req, "via") {
		addHeader(res, "Via", v)
	}
	if code > 100 && code < 300 && t.req.Method != sip.MESSAGE {
		for _, v := range headers(t.req, "record-route") { // RFC 3261 §12.1.1
			addHeader(res, "Record-Route", v)
		}
	}
	to := header(t.req, "to")
	if code > 100 && tagOf(to) == "" {
		to += ";tag=" + t.tag
	}
	addHeader(res, "From", header(t.req, "from"))
	addHeader(res, "To", to)
	addHeader(res, "Call-ID", header(t.req, "call-id"))
	addHeader(res, "CSeq", header(t.req, "cseq"))
	if code == 100 {
		for _, v := range headers(t.req, "timestamp") {
			addHeader(res, "Timestamp", v)
		}
	}
	if t.vouches(code) {
		addHeader(res, "Lindero-Credentials", "right")
	}
	for _, h := range extra {
		res.AppendHeader(h)
	}
	setBody(res, b)
	return res
}

// vouches tells whether a response must say that the caller's credentials were
// right, because its code is one that wrong ones get: the edge would take the
// callee's refusal for ours, and the caller for somebody who guesses.
func (t *serverTx) vouches(code int) bool {
	switch code {
	case sip.StatusUnauthorized, sip.StatusForbidden, sip.StatusProxyAuthRequired:
		return header(t.req, "lindero-caller") != ""
	}
	return false
}

var errAnswered = errors.New("b2bua: the request was answered before")

// reply answers the request; the second final response is refused with
// errAnswered. A 2xx to an INVITE ends sipgo's part, because its retransmission is
// the dialog's affair (RFC 6026 §7.1, see leg.accept); our entry stays until
// finish, so that a CANCEL or a repetition that comes late finds it.
func (t *serverTx) reply(res *sip.Response) error {
	t.mu.Lock()
	if t.final {
		t.mu.Unlock()
		return errAnswered
	}
	t.final = res.StatusCode >= 200
	t.accepted = t.req.IsInvite() && res.IsSuccess()
	direct := t.accepted
	t.mu.Unlock()
	if direct {
		t.tx.Terminate()
		return t.conn.WriteMsg(res)
	}
	err := t.tx.Respond(res)
	if t.req.IsCancel() {
		t.tx.Terminate() // sipgo sends the answer to a CANCEL and forgets to end
	}
	return err
}

// repeated takes a repetition of the request: it gets the last response again,
// but for a 2xx to an INVITE, which its dialog repeats by the clock.
func (t *serverTx) repeated(req *sip.Request) {
	t.mu.Lock()
	silent := t.accepted
	t.mu.Unlock()
	if !silent {
		_ = t.tx.Receive(req) // it fails for what is no repetition
	}
}

// refuse answers with a code and nothing more.
func (t *serverTx) refuse(code int, extra ...sip.Header) {
	_ = t.reply(t.response(code, body{}, extra...)) // the peer is gone or was answered: nothing to do
}

// cancel runs what the owner wants done on CANCEL, unless a final response went out.
func (t *serverTx) cancel() {
	t.mu.Lock()
	f := t.onCancel
	if t.final {
		f = nil
	} else {
		t.cancelled = true
	}
	t.mu.Unlock()
	if f != nil {
		f()
	}
}

// wasCancelled tells of a CANCEL that the owner's goroutine may not have come to yet.
func (t *serverTx) wasCancelled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cancelled
}

func (t *serverTx) setOnCancel(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onCancel = f
}

// finish forgets an INVITE that was accepted, once its ACK has come or is not waited for.
func (t *serverTx) finish() {
	t.tx.Terminate()
	t.forget()
}
