// Package b2bua is core's call logic on the wire: every call is two dialogs, one
// with the caller and one with whoever answers, and what happens in one is
// carried over to the other (RFC 7092 §3.1.3). It routes by the company's extensions,
// forks to a user's bindings, keeps session timers, transfers, and writes one
// CDR for every call.
//
// It believes what it receives: callers are named by the Lindero-Caller header
// that core/front writes after checking credentials, and addresses were learned
// by the edges. Messages, their parser and the transaction state machines are
// sipgo's; sockets are not: bytes come in by Deliver and leave by Config.Send.
// It neither opens a socket nor touches audio; core/voice does the latter.
package b2bua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/core/voice"
)

// Config is what a B2BUA needs. Send, Local and Directory are required.
type Config struct {
	// Send hands one message to the transport. It must not block and may not
	// keep data. An error means that the message will not arrive: a response is
	// then tried at the Via's sent-by address, a request fails at once.
	Send func(to netip.AddrPort, data []byte) error

	Local      netip.AddrPort                 // our SIP address, in Via and Contact
	Directory  func(tenancy.CompanyID) Tenant // the company's data; each call of its methods has 5 s
	Voice      *voice.Engine                  // nil: extensions answered by core get 480
	Log        *slog.Logger                   // nil: slog.Default
	Registerer prometheus.Registerer          // nil: no metrics are registered
	Timing     Timing                         // zero fields get their defaults
	MaxCalls   int                            // live calls; more get 503 (default 20000)
}

// A Tenant is one company's data as far as calls need it. tenancy.ErrNotFound
// tells a missing row from a failure.
type Tenant interface {
	Company(ctx context.Context) (tenancy.Company, error)
	User(ctx context.Context, id tenancy.UserID) (tenancy.User, error)
	Extension(ctx context.Context, number string) (tenancy.Extension, error)
	ExtensionOf(ctx context.Context, id tenancy.UserID) (tenancy.Extension, error)
	Bindings(ctx context.Context, id tenancy.UserID) ([]tenancy.Binding, error)
	// WriteCDR keeps the record of a call. It is called again with the same
	// record after a failure, so it must be idempotent by CDR.ID.
	WriteCDR(ctx context.Context, cdr tenancy.CDR) error
}

// Timing holds the clocks of calls. Timers of transactions are sipgo's and are
// those of RFC 3261.
type Timing struct {
	T1, T2  time.Duration // retransmission of 2xx (RFC 3261 §13.3.1.4); default 500 ms, 4 s. It is given up after 64·T1
	Ring    time.Duration // how long phones ring when the company does not say; default 60 s
	Session time.Duration // Session-Expires we ask for (RFC 4028); default 1800 s
	MinSE   time.Duration // the shortest session interval we accept; default 90 s, the RFC's floor
	Lookup  time.Duration // limit of one directory query; default 5 s
	Drain   time.Duration // how long a stopping B2BUA waits for BYEs and CDRs; default 5 s
}

func (t *Timing) setDefaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.T1, 500*time.Millisecond)
	set(&t.T2, 4*time.Second)
	set(&t.Ring, 60*time.Second)
	set(&t.Session, 1800*time.Second)
	set(&t.MinSE, 90*time.Second)
	set(&t.Lookup, 5*time.Second)
	set(&t.Drain, 5*time.Second)
}

const defaultMaxCalls = 20000

// A B2BUA carries calls. Make one with New, run it with Run, feed it with Deliver.
type B2BUA struct {
	cfg     Config
	log     *slog.Logger
	quiet   *slog.Logger // for sipgo's transactions, which would log what strangers send
	parser  *sip.Parser
	metrics *metrics
	cdrs    *recorder

	stopped  atomic.Bool   // Run returned: nothing is taken any more
	live     atomic.Int64  // calls whose goroutine runs
	messages chan struct{} // one slot per MESSAGE being routed

	txs  txTable
	legs legTable

	work group // goroutines of calls, MESSAGEs and client transactions

	mu      sync.Mutex // guards the fields below
	serving bool       // new calls are taken
	calls   map[*call]struct{}
	roaming map[roamer]int // calls from elsewhere than the company's networks, by user; no entry without one
}

// New makes a B2BUA. It starts nothing.
func New(cfg Config) (*B2BUA, error) {
	if cfg.Send == nil || cfg.Directory == nil || !cfg.Local.IsValid() {
		return nil, errors.New("b2bua: Send, Directory and Local are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.MaxCalls <= 0 {
		cfg.MaxCalls = defaultMaxCalls
	}
	cfg.Timing.setDefaults()
	b := &B2BUA{
		cfg: cfg, log: cfg.Log, quiet: slog.New(slog.DiscardHandler), parser: newParser(),
		calls:    make(map[*call]struct{}),
		roaming:  make(map[roamer]int),
		messages: make(chan struct{}, maxMessages),
	}
	b.txs.init()
	b.legs.init()
	b.cdrs = newRecorder(cfg.Log, cfg.Directory)
	b.metrics = newMetrics(b)
	if cfg.Registerer != nil {
		if err := b.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("b2bua: registering metrics: %w", err)
		}
	}
	b.serving = true
	return b, nil
}

// Run serves until ctx ends. Then it takes no new call, hangs up all there are,
// and returns when their BYEs are answered and their CDRs written, or after
// Timing.Drain. Config.Send must work until Run returns.
func (b *B2BUA) Run(ctx context.Context) error {
	writer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	written := make(chan struct{})
	go func() {
		defer close(written)
		b.cdrs.run(writer)
	}()
	<-ctx.Done()

	limit := time.NewTimer(b.cfg.Timing.Drain)
	defer limit.Stop()
	b.hangUpAll()
	select {
	case <-b.work.empty():
	case <-limit.C:
		b.stopped.Store(true)
		b.killAll()
		<-b.work.empty()
		limit.Reset(time.Second) // for the CDRs of those just ended
	}
	b.stopped.Store(true)
	b.cdrs.close()
	select {
	case <-written:
	case <-limit.C:
		stop()
		<-written
	}
	return nil
}

// Lost tells that what was handed to Config.Send for this address may not have
// arrived: the connection broke, or could not be made. Requests there that have
// heard nothing yet fail at once instead of after 32 s. It does not block.
func (b *B2BUA) Lost(to netip.AddrPort) {
	for _, t := range b.txs.silent(to) {
		t.fail()
	}
}

// Calls is the number of live calls.
func (b *B2BUA) Calls() int { return int(b.live.Load()) }

// hangUpAll takes no new call and ends every live one in an orderly way.
func (b *B2BUA) hangUpAll() {
	b.mu.Lock()
	b.serving = false
	b.mu.Unlock()
	for _, c := range b.snapshot() {
		c.mail.post(func() { c.shutdown() })
	}
}

// killAll ends what hangUpAll could not: calls stop waiting for answers and
// transactions for responses.
func (b *B2BUA) killAll() {
	for _, c := range b.snapshot() {
		c.mail.post(func() { c.gone = true })
	}
	b.txs.terminateAll()
}

func (b *B2BUA) snapshot() []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*call, 0, len(b.calls))
	for c := range b.calls {
		all = append(all, c)
	}
	return all
}
