// Package phone is the project's own telephone: a small, honest SIP user agent
// that registers, calls, is called, holds, transfers, plays a sound and judges
// what it hears. `lindero dial` and the tests of the system are made of it. It can
// be told to misbehave (Manners), because a border must live with phones that do.
// It is not part of edge, relay or core, and shares nothing with them but wire.
package phone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/lindero/lindero/wire/sip/transport"
)

// ErrClosed is returned by whatever a phone is asked to do after its Run ended.
var ErrClosed = errors.New("phone: switched off")

// A Phone is one SIP user agent with one socket address. Its methods may be
// called from any goroutine, and only while Run runs.
type Phone struct {
	cfg      Config
	log      *slog.Logger
	stack    *transport.Stack
	local    netip.AddrPort // the socket of our SIP
	incoming chan *Call
	referred chan *Call
	texts    chan Text
	closed   chan struct{} // closed when Run ends

	wg sync.WaitGroup // goroutines started by spawn

	mu      sync.Mutex // guards the fields below
	closing bool
	clients map[string]*clientTx
	servers map[string]*serverTx
	calls   map[string]*Call // by Call-ID and our tag
	home    *registration    // nil until Register
}

// New opens the phone's SIP socket. Nothing is read or sent before Run.
func New(cfg Config) (*Phone, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("phone: %w", err)
	}
	p := &Phone{
		cfg:      cfg,
		log:      cfg.Log.With("phone", cfg.Username),
		incoming: make(chan *Call, 16),
		referred: make(chan *Call, 16),
		texts:    make(chan Text, 16),
		closed:   make(chan struct{}),
		clients:  make(map[string]*clientTx),
		servers:  make(map[string]*serverTx),
		calls:    make(map[string]*Call),
	}
	p.stack = transport.New(transport.Config{Log: cfg.Log, TLSClient: cfg.TLS, Batch: 4}, receiver{p})
	if p.local, err = p.stack.Listen(cfg.Protocol, cfg.Local, cfg.TLSListen); err != nil {
		return nil, fmt.Errorf("phone: listening on %v: %w", cfg.Local, err)
	}
	return p, nil
}

// Run serves until ctx ends. It does not hang up or unregister: a phone whose
// Run ends is one whose battery was taken out. Calls still going on end.
func (p *Phone) Run(ctx context.Context) error {
	err := p.stack.Run(ctx)
	p.mu.Lock()
	p.closing = true
	close(p.closed)
	calls := slices.Collect(maps.Values(p.calls))
	p.mu.Unlock()
	p.wg.Wait()
	for _, c := range calls {
		c.finish(End{Ours: true, Reason: "the phone was switched off", Err: ErrClosed})
	}
	return err
}

// Addr is the address of the phone's SIP socket.
func (p *Phone) Addr() netip.AddrPort { return p.local }

// URI is the phone's contact: where it can be called directly.
func (p *Phone) URI() string {
	return fmt.Sprintf("sip:%s@%s;transport=%s", p.user(), p.claimed(), strings.ToLower(protocolName(p.cfg.Protocol)))
}

// Incoming delivers calls as they begin to arrive. Whoever takes one out must
// answer or reject it, unless Manners.Answer does.
func (p *Phone) Incoming() <-chan *Call { return p.incoming }

// Referred delivers the calls that the phone made because a peer told it to by
// REFER, once they are answered.
func (p *Phone) Referred() <-chan *Call { return p.referred }

// spawn runs f on a goroutine that Run waits for. f must end soon after
// p.closed is. It tells whether f will run.
func (p *Phone) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.wg.Go(f)
	return true
}

// claimed is the address we say we are at.
func (p *Phone) claimed() netip.AddrPort {
	if a := p.cfg.Manners.Claim; a.IsValid() {
		return netip.AddrPortFrom(a, p.local.Port())
	}
	return p.local
}

func (p *Phone) user() string {
	if p.cfg.Username == "" {
		return "phone"
	}
	return p.cfg.Username
}

// own is our address-of-record.
func (p *Phone) own() string {
	if p.cfg.Domain == "" {
		return "sip:" + p.user() + "@" + p.claimed().String()
	}
	return "sip:" + p.user() + "@" + p.cfg.Domain
}

// token is a random word for tags, branches and Call-IDs.
func token() string { return strings.ToLower(rand.Text()) }

// route is the address of ours from which target is reached.
func route(target netip.AddrPort) (netip.Addr, error) {
	conn, err := net.Dial("udp", target.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no way to %v: %w", target, err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
