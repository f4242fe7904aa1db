// Package api is core's HTTP: the REST API that people, portals and Terraform use,
// the two calls by which nodes hear what is in force and say what they see, calls
// that their relays carry included (shield/protocol), and the web page beside them. It judges by policy and country
// table for dry runs and explanations only; what meets a packet is the shield's,
// what is kept is core/store's.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// A Config is what an API is made of.
type Config struct {
	Listen    string // addr:port; port 0 picks one
	Store     *store.Store
	Tokens    []Token
	Countries string       // MMDB for dry runs and explanations; empty or absent: countries are off
	Web       http.Handler // what / serves; nil: nothing is there
	Calls     Calls        // that go on; nil: none ever
	Log       *slog.Logger
	Reg       prometheus.Registerer // may be nil
}

// An API serves HTTP. Make one with New, run it with Run.
type API struct {
	// Static after New.
	log     *slog.Logger
	store   *store.Store
	listen  net.Listener
	handler http.Handler
	tokens  *tokens
	files   string // of countries
	metrics *metrics

	board   *board
	nodes   *nodes
	sources *sources
	asks    *asks[protocol.Explanation]
	lookups *asks[[]session.Session] // of calls
	live    Calls
	streams *streams
	table   atomic.Pointer[geo.Table] // nil: countries are off
	serving atomic.Bool
}

// Times and sizes of the server. A held Watch and a stream set their own write limit.
// Connections are idle for a short while only: whoever has no token may hold them
// too, and nodes speak every second.
const (
	headerLimit   = 10 * time.Second
	idleLimit     = 10 * time.Second
	writeLimit    = 30 * time.Second
	requestLimit  = 20 * time.Second
	stopLimit     = 5 * time.Second
	maxHeader     = 16 << 10
	maxConns      = 4096
	maxConnsOfOne = 256 // of one IPv4 address or IPv6 /64
	countriesLook = 10 * time.Second
	keepBans      = 200_000        // that are over
	keepQualities = 24 * time.Hour // of calls that no record names: one that goes on has none yet
)

// New reads the tokens and what is in force, and opens the listener; Run serves. On
// an error whatever was opened is closed again. The store stays the caller's.
func New(ctx context.Context, cfg Config) (*API, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	tokens, err := loadTokens(cfg.Tokens, cfg.Log)
	if err != nil {
		return nil, err
	}
	a := &API{
		log: cfg.Log, store: cfg.Store, tokens: tokens, files: cfg.Countries,
		board: newBoard(cfg.Store, cfg.Log), nodes: newNodes(), sources: newSources(maxSources), asks: newAsks[protocol.Explanation](), streams: newStreams(),
		lookups: newAsks[[]session.Session](), live: cfg.Calls,
	}
	if err := a.board.refresh(ctx); err != nil {
		return nil, fmt.Errorf("api: what is in force: %w", err)
	}
	if a.metrics, err = newMetrics(cfg.Reg, a); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	if a.handler, err = a.routes(cfg.Web); err != nil {
		return nil, err
	}
	if a.listen, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if len(cfg.Tokens) == 0 {
		a.log.Warn("no tokens are configured, so nobody can use the API", "http", a.Addr())
	}
	return a, nil
}

// Addr is where the API listens.
func (a *API) Addr() netip.AddrPort { return a.listen.Addr().(*net.TCPAddr).AddrPort() }

// Handler is everything the API serves, for tests that bring their own server.
func (a *API) Handler() http.Handler { return a.handler }

// Close closes the listener of an API that never ran.
func (a *API) Close() error {
	if err := a.listen.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// Ready is nil while the API serves.
func (a *API) Ready() error {
	if !a.serving.Load() {
		return errors.New("api: not serving")
	}
	return nil
}

// Run serves until ctx ends; then nodes that wait are sent away, requests have a
// few seconds to end, and the listener is closed.
func (a *API) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: headerLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // held calls end with Run
	}
	g.Go(func() error {
		err := server.Serve(limitConns(a.listen, maxConns, maxConnsOfOne, func() { a.metrics.refused.WithLabelValues("connections").Inc() }))
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("api: %w", err)
	})
	g.Go(func() error {
		<-ctx.Done()
		a.serving.Store(false)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		if err := server.Shutdown(limit); err != nil {
			return server.Close() // whoever is still there was told to hurry
		}
		return nil
	})
	g.Go(func() error { a.board.run(ctx); return nil })
	g.Go(func() error { a.tick(ctx); return nil })
	if a.files != "" {
		g.Go(func() error {
			geo.Watch(ctx, a.files, countriesLook, a.setTable, func(err error) {
				a.log.Error("the country database cannot be used; the one before it stays", "err", err)
			})
			return nil
		})
	}
	a.serving.Store(true)
	return g.Wait()
}

func (a *API) setTable(t *geo.Table) {
	a.table.Store(t)
	a.log.Info("country database", "version", t.Info().Version, "type", t.Info().Type)
}

// Often and seldom are how often streams are told, and old things forgotten.
const (
	often  = time.Second
	seldom = time.Minute
)

// tick does what the clock asks for until ctx ends.
func (a *API) tick(ctx context.Context) {
	tick, tidy := time.NewTicker(often), time.NewTicker(seldom)
	defer tick.Stop()
	defer tidy.Stop()
	prune := time.NewTicker(time.Hour)
	defer prune.Stop()
	a.prune(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if a.streams.any() {
				a.streams.tell(a.stats(statsSources))
			}
		case <-tidy.C:
			a.nodes.forget(time.Now())
			a.sources.forget(time.Now())
		case <-prune.C:
			a.prune(ctx)
		}
	}
}

func (a *API) prune(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if _, err := a.store.Platform().PruneBans(ctx, keepBans); err != nil && !errors.Is(err, context.Canceled) {
		a.log.Error("forgetting old bans", "err", err)
	}
	if _, err := a.store.Platform().PruneQualities(ctx, time.Now().Add(-keepQualities)); err != nil && !errors.Is(err, context.Canceled) {
		a.log.Error("forgetting what relays said of unknown calls", "err", err)
	}
}
