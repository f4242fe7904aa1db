// Package core makes sense of calls: it registers the phones of many companies
// and decides what their calls do. This folder is its door and its front: the
// listener for edges, who is who, and the wiring of the parts; call logic is in
// core/b2bua, audio in core/voice, data in core/store, words in core/tenancy. It
// trusts the edges that connect to it and is never reachable from outside.
package core

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/auth"
	"github.com/lindero/lindero/core/registrar"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A Core is one core process's part of a platform. Make one with New, run it with Run.
type Core struct {
	// Static after New.
	log   *slog.Logger
	store *store.Store
	stack *transport.Stack
	front *front
	parts []runner // of the call logic; they end before the stack does
	addr  netip.AddrPort
	api   *api.API // nil: off

	serving atomic.Bool
}

// A runner works until ctx ends, and then ends in order.
type runner interface {
	Run(ctx context.Context) error
}

// Addresses are where a Core listens.
type Addresses struct {
	SIP  netip.AddrPort // TCP, for edges
	HTTP netip.AddrPort // the API and the web page; not valid when off
}

// callLogic is what a maker of call logic returns: where messages go, and what must run.
type callLogic struct {
	calls calls
	parts []runner
	live  api.Calls // for the API; nil: there are none to show
}

// workersPerCPU is how many requests wait for the database at once.
const workersPerCPU = 8

// assemble builds a Core around the call logic that logic makes. On an error
// everything it opened is closed.
func assemble(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer, logic func(*Core) (callLogic, error)) (_ *Core, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("core: configuration: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Core{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	key, err := auth.LoadKey(cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	algorithms, err := cfg.algorithms()
	if err != nil {
		return nil, fmt.Errorf("core: digest: %w", err)
	}
	guard, err := auth.New(auth.Config{Key: key, Algorithms: algorithms})
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(reg, log)
	if err != nil {
		return nil, fmt.Errorf("core: metrics: %w", err)
	}
	for _, k := range guard.Collectors() {
		if reg == nil {
			break
		}
		if err := reg.Register(k); err != nil {
			return nil, fmt.Errorf("core: metrics: %w", err)
		}
	}
	door, err := newDoorman(reg, log)
	if err != nil {
		return nil, fmt.Errorf("core: metrics: %w", err)
	}
	c.front = &front{
		guard: guard, metrics: m, doorman: door, flows: newFlows(), tags: maphash.MakeSeed(),
		workers: newWorkers(workersPerCPU * runtime.GOMAXPROCS(0)),
		registrar: registrar.New(registrar.Config{
			MinExpires: cfg.MinExpires.duration(), MaxExpires: cfg.MaxExpires.duration()}),
	}
	if c.store, err = store.Open(ctx, cfg.Database); err != nil {
		return nil, err
	}
	c.front.store = c.store
	c.stack = transport.New(transport.Config{Log: log}, c.front)
	c.front.flows.stack = c.stack
	if c.addr, err = c.stack.Listen(transport.TCP, cfg.SIP, nil); err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	l, err := logic(c)
	if err != nil {
		return nil, err
	}
	c.front.calls, c.parts = l.calls, l.parts
	if c.api, err = newAPI(ctx, cfg, c.store, l.live, log, reg); err != nil {
		return nil, err
	}
	return c, nil
}

// close frees what a Core holds that never ran.
func (c *Core) close() error {
	var errs []error
	if c.api != nil {
		errs = append(errs, c.api.Close())
	}
	if c.stack != nil {
		errs = append(errs, c.stack.Close())
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, then hangs up its calls, and only then stops
// listening and closes the database. The error is nil when ctx ended it.
func (c *Core) Run(ctx context.Context) error {
	// The call logic needs the connections to the edges to say BYE.
	under, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	base, baseCtx := errgroup.WithContext(under)
	base.Go(func() error { return c.stack.Run(baseCtx) })
	base.Go(func() error { c.front.workers.run(baseCtx, c.front.begin); return nil })
	base.Go(func() error { followGuesses(baseCtx, c.store, c.front.guard, c.front.metrics.failed); return nil })

	logic, logicCtx := errgroup.WithContext(ctx)
	for _, p := range c.parts {
		logic.Go(func() error { return p.Run(logicCtx) })
	}
	if c.api != nil {
		logic.Go(func() error { return c.api.Run(logicCtx) })
	}
	logic.Go(func() error {
		select {
		case <-logicCtx.Done():
			return nil
		case <-baseCtx.Done():
			return errors.New("core: the listener for edges was lost")
		}
	})
	c.serving.Store(true)
	errLogic := logic.Wait()
	c.serving.Store(false)
	stop()
	return errors.Join(errLogic, base.Wait(), c.store.Close())
}

// Addresses says where core listens.
func (c *Core) Addresses() Addresses {
	a := Addresses{SIP: c.addr}
	if c.api != nil {
		a.HTTP = c.api.Addr()
	}
	return a
}

// readyLimit is how long Ready waits for the database.
const readyLimit = 2 * time.Second

// Ready is nil while core serves and its database answers.
func (c *Core) Ready() error {
	if !c.serving.Load() {
		return errors.New("core: not serving")
	}
	if c.api != nil {
		if err := c.api.Ready(); err != nil {
			return fmt.Errorf("core: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyLimit)
	defer cancel()
	return c.store.Ping(ctx)
}
