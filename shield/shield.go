// Package shield is the border's guard on one node: it keeps policy, country
// table, bans and classes in force, in the kernel where it can (bpf) and at the
// listeners where it cannot (shield/judge), fetches the policy from core, keeps the
// last good one on disk, reports what it sees, and answers why. What a policy says
// is shield/policy's, who gets promoted is seen by edge.
package shield

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// A Guard is the shield of one process. Make it with New, let it Run.
type Guard struct {
	// Constant after New.
	cfg        Config
	node, role string
	instance   string // made up: whoever goes by the same name has another
	log        *slog.Logger
	ledger     *ledger
	core       *client // nil: there is no core
	sysctl     sysctl
	events     chan event
	answerDue  chan struct{} // wakes the report
	unsaved    chan struct{} // wakes who saves
	notes      *notes
	unregister func()
	socket     net.Listener // nil: no control socket
	mounted    []mount      // complete before Run

	post    atomic.Pointer[post]
	force   atomic.Pointer[force]
	table   atomic.Pointer[geo.Table]
	tallied metrics
	contact contact
	calls   carried

	turnover sync.Mutex // held while the policy or the table is replaced, I/O included
	ports    ports
	closing  sync.Once
}

// New opens the filter of every device, or falls to user space saying why in the
// log and in Mode, and puts the last good policy into force: nothing passes
// unjudged between New and Run. node names this node to core.
func New(cfg Config, node, role string, log *slog.Logger, reg prometheus.Registerer) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	saved, first, err := loadState(cfg.State, time.Now(), log)
	if err != nil {
		return nil, err
	}
	at, err := openFilter(cfg, role, first.compiled, log)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		cfg: cfg, node: node, role: role, instance: rand.Text(), log: log,
		ledger:    newLedger(at.filter, node, log),
		core:      newClient(cfg, node),
		sysctl:    sysctl{ephemeralPath, reservedPath},
		events:    make(chan event, maxEvents),
		answerDue: make(chan struct{}, 1),
		unsaved:   make(chan struct{}, 1),
		notes:     newNotes(time.Now()),
	}
	g.post.Store(at)
	if err := g.start(saved, first, reg); err != nil {
		g.Close()
		return nil, err
	}
	log.Info("shield: on guard", "mode", at.mode, "reason", at.reason, "policy", first.version.Number, "table", g.table.Load().Info().Version)
	return g, nil
}

// start puts into force what is known before core is asked.
func (g *Guard) start(saved state, first *force, reg prometheus.Registerer) error {
	now := time.Now()
	g.loadCountries()
	if err := g.enforceLocked(first); err != nil {
		return err
	}
	if odd := g.ledger.load(saved, now); odd > 0 {
		g.log.Warn("shield: the state has entries that make no sense", "left_out", odd)
	}
	if err := g.ledger.adopt(now); err != nil {
		return err
	}
	if g.cfg.Control != "" {
		var err error
		if g.socket, err = listenControl(g.cfg.Control); err != nil {
			return err
		}
	}
	if reg != nil {
		c := collector{g}
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("shield: register metrics: %w", err)
		}
		g.unregister = func() { reg.Unregister(c) }
	}
	return nil
}

// Run follows core, the country file and the clock until ctx ends. The filter in
// the kernel stays in force after it.
func (g *Guard) Run(ctx context.Context) error {
	defer g.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { g.keep(ctx); return nil })
	group.Go(func() error { g.watchCountries(ctx); return nil })
	group.Go(func() error { g.keepState(ctx); return nil })
	if g.core != nil {
		group.Go(func() error { g.follow(ctx); return nil })
		group.Go(func() error { g.reportOn(ctx); return nil })
		defer g.core.close()
	}
	if g.socket != nil {
		group.Go(func() error { return g.serveControl(ctx) })
	}
	err := group.Wait()
	g.writeState()
	return err
}

// Close lets go of a guard that is not to Run. Run does it by itself.
func (g *Guard) Close() error {
	var err error
	g.closing.Do(func() {
		if g.unregister != nil {
			g.unregister()
		}
		if g.socket != nil {
			g.socket.Close() // again, after Run
		}
		err = g.post.Load().close()
	})
	return err
}

// Mode is native, generic, user or off, and why it is not better.
func (g *Guard) Mode() (mode, reason string) {
	at := g.post.Load()
	return at.mode, at.reason
}

// Admit judges a datagram or a new connection at a listener. It is true at once
// when the kernel judges. tcp is for a new connection.
func (g *Guard) Admit(source netip.Addr, service policy.Service, tcp bool) bool {
	return g.post.Load().admit(source, service, tcp)
}

// Country is the country of an address by the table in force.
func (g *Guard) Country(a netip.Addr) geo.Country { return g.table.Load().Country(a) }
