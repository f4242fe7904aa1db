// Package edge is the session border controller: the only SIP a stranger can
// reach. It owns the listeners for phones, carries every request either inward,
// to core, or outward, down the very flow a phone came by, and hides each side
// from the other: no address, header or name of the inside leaves. It keeps
// transactions, flows of registered phones and nothing of a dialog: what later
// requests need travels in sealed tokens (edge/token), so that an edge can be
// killed at any time. It holds no password and no tenant's data; who may call
// whom is core's to say, moving audio the relay's.
//
// The way of a request from a phone:
//
//	shield? → transport → scanner? → fromOutside → repeat? ACK? CANCEL? → admit → routeInward → transaction
//	          → anchor its offer at a relay → printInward → core
//
// and of one from core:
//
//	transport → fromInside → repeat? ACK? CANCEL? → admit → routeOutward → transaction
//	          → anchor its offer → printOutward, which hides the inside → the phone's flow
//
// Responses go the same way back: response → anchor the answer → print → up.
// Handlers run on the goroutine of the socket's reader and never wait: a relay
// answers a continuation, which takes up the record where it was left.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/edge/token"
	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/edge/wheel"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// An Edge is one border. Make it with New and let it Run.
type Edge struct {
	// Set by New, then constant.
	cfg     Config
	log     *slog.Logger
	ring    *token.Ring
	shield  Shield // nil: everybody may
	faces   faces
	outside *transport.Stack // phones and carriers
	inside  *transport.Stack // cores
	wheel   *wheel.Wheel
	table   *transaction.Table[passage]
	cores   *cores
	relays  *relays
	keeper  *keeper
	inner   needles
	works   sync.Pool // of *work

	// Accessed atomically.
	metrics metrics
	running atomic.Bool
}

// Addresses are those an Edge is bound to; TLS is invalid when there is none.
type Addresses struct {
	UDP, TCP, TLS, Inside netip.AddrPort
}

// New opens every listener, reads or makes the key file and registers the
// metrics; nothing is served before Run. cfg must be valid. When New fails,
// nothing stays open. reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer, options ...Option) (_ *Edge, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("edge: configuration: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Timing == (transaction.Timing{}) {
		cfg.Timing = transaction.DefaultTiming()
	}
	e := &Edge{cfg: cfg, log: log, wheel: wheel.New()}
	for _, o := range options {
		o(e)
	}
	e.works.New = func() any { return new(work) }
	e.table = transaction.New(cfg.MaxTransactions, e.wheel, e.expire)
	if e.ring, err = token.LoadRing(cfg.KeyFile); err != nil {
		return nil, fmt.Errorf("edge: key_file: %w", err)
	}
	e.inside = transport.New(transport.Config{Log: log, Idle: -1, MaxPerSource: 20000, Queue: 8 << 20, Dial: coreDial}, insideHandler{e})
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if err := e.listen(); err != nil {
		return nil, err
	}
	e.cores = newCores(e.inside, cfg.Core, log)
	if e.relays, err = newRelays(cfg, log); err != nil {
		return nil, err
	}
	e.inner = newNeedles(e)
	e.keeper = newKeeper(e)
	if err := register(reg, e); err != nil {
		return nil, err
	}
	return e, nil
}

// close frees what New opened.
func (e *Edge) close() {
	if e.outside != nil {
		e.outside.Close()
	}
	e.inside.Close()
	if e.relays != nil {
		// A client's socket ends with its Run.
		ended, end := context.WithCancel(context.Background())
		end()
		_ = e.relays.run(ended)
	}
}

// Run serves until ctx ends. It returns nil then, and the reason when a listener
// is lost before.
func (e *Edge) Run(ctx context.Context) error {
	e.keeper.load()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.wheel.Run(ctx) })
	g.Go(func() error { return e.relays.run(ctx) })
	g.Go(func() error { return e.outside.Run(ctx) })
	g.Go(func() error { return e.inside.Run(ctx) })
	g.Go(func() error { return e.cores.run(ctx) })
	g.Go(func() error { return e.keeper.run(ctx) })
	e.running.Store(true)
	defer e.running.Store(false)
	a := e.Addresses()
	e.log.InfoContext(ctx, "edge serves", "udp", a.UDP, "tcp", a.TCP, "tls", a.TLS, "inside", a.Inside)
	err := g.Wait()
	e.keeper.save()
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return nil
}

// Addresses says where the edge listens.
func (e *Edge) Addresses() Addresses {
	a := Addresses{Inside: e.faces.inside}
	for _, f := range e.faces.outside {
		switch f.protocol {
		case transport.UDP:
			a.UDP = f.bound
		case transport.TCP:
			a.TCP = f.bound
		case transport.TLS:
			a.TLS = f.bound
		}
	}
	return a
}

// Ready says why the edge cannot serve calls now, nil when it can.
func (e *Edge) Ready() error {
	switch {
	case !e.running.Load():
		return errors.New("edge: not running")
	case !e.cores.reachable():
		return errors.New("edge: no core can be reached")
	case e.relays.allDown():
		return errors.New("edge: no relay answers")
	}
	return nil
}

// A side is one of the two the edge stands between.
type side bool

// The sides.
const (
	outside side = false
	inside  side = true
)

// send sends b down flow f of side s.
func (e *Edge) send(s side, f transport.Flow, b []byte) error {
	if s == inside {
		return e.inside.Send(f, b)
	}
	return e.outside.Send(f, b)
}

type outsideHandler struct{ e *Edge }

// Message implements transport.Handler.
func (h outsideHandler) Message(f transport.Flow, data []byte) { h.e.receive(outside, f, data) }

// Closed implements transport.Handler.
func (h outsideHandler) Closed(f transport.Flow, err error) {
	h.e.garbled(f, nil, err)
	h.e.closed(outside, f)
}

type insideHandler struct{ e *Edge }

// Message implements transport.Handler.
func (h insideHandler) Message(f transport.Flow, data []byte) {
	if !h.e.cores.trusted(f) {
		h.e.metrics.count(verdictStranger)
		return
	}
	h.e.cores.heard(f)
	h.e.receive(inside, f, data)
}

// Closed implements transport.Handler.
func (h insideHandler) Closed(f transport.Flow, err error) {
	h.e.cores.lost(f, err)
	h.e.closed(inside, f)
}

// receive is where every message begins.
func (e *Edge) receive(from side, f transport.Flow, data []byte) {
	w := e.works.Get().(*work)
	defer e.works.Put(w)
	if err := w.msg.Scan(data); err != nil {
		if from == outside {
			e.garbled(f, data, err)
		}
		e.unreadable(w, from, f, err)
		return
	}
	if !w.msg.IsRequest() {
		e.response(w, from, f)
		return
	}
	var err error
	if from == outside {
		if e.scans(w, f) {
			return
		}
		err = e.fromOutside(w, f)
	} else {
		err = e.fromInside(w, f)
	}
	if err != nil {
		e.refuse(w, from, f, err)
	}
}

// unreadable answers what the scanner refused, if it can be answered; the rest is
// only counted.
func (e *Edge) unreadable(w *work, from side, f transport.Flow, err error) {
	var bad *sip.ScanError
	if !errors.As(err, &bad) || !bad.Answerable {
		e.metrics.count(verdictGarbage)
		return
	}
	e.refuse(w, from, f, &refusal{code: bad.Code, reason: phrase(bad), verdict: verdictMalformed})
}

// phrase is the reason phrase for a scan error: the RFC's, and what is wrong.
func phrase(bad *sip.ScanError) string {
	return sip.ReasonPhrase(bad.Code) + " (" + bad.Reason + ")"
}
