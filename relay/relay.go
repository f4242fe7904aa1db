// Package relay moves the audio of calls. It lends ports by NG commands, rewrites
// SDP so that both sides send here, learns where each side really is, and repeats
// packets. It knows no SIP, no tenants and no keys: those who speak to it are
// edges on a private network, and SRTP ends there.
//
//	NG datagram → handle (ng.go) → call.Registry: tags, ports, SDP → forward.Table
//	RTP packet  → forward: leg? source? RTP? → the other side; unknown source → call.Learn
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/ports"
)

// A Relay is one relay.
type Relay struct {
	log     *slog.Logger
	ng      *listeners
	table   *forward.Userspace
	pools   map[netip.Addr]*ports.Pool // by the address they are of
	calls   *call.Registry
	meters  *meters
	id      string
	media   PortRange
	legs    legs
	open    Opener         // nil: packets never go by the kernel
	kernel  *bpf.Forwarder // nil: not now either
	how     string         // packets go, for people
	reasons []string       // of the kernel not to repeat a packet

	faces       []Named
	begun       time.Time
	deleteDelay time.Duration
	commands    commands
	sample      sample

	state    *state // nil: a restart forgets the calls
	maxCalls int
	limits   Limits
	load     load
	draining atomic.Pointer[Drain] // nil: new calls are taken
	ends     bool                  // when it is drained

	ready atomic.Bool

	gone   sync.RWMutex // held for reading by who looks at counts, which may be in memory that Run unmaps
	closed bool         // guarded by gone
}

// Addresses are where a relay listens.
type Addresses struct {
	NG     netip.AddrPort
	Listen []Listener // besides NG, in the order of the configuration
	Media  PortRange  // on both interfaces
}

// sweepEvery is how often calls and resting ports are looked at.
const sweepEvery = time.Second

// New opens the NG sockets and registers metrics. cfg must be valid. Run does the
// rest; a Relay that is not run should be closed.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer, options ...Option) (*Relay, error) {
	r := &Relay{log: log.With("relay", cfg.ID), pools: make(map[netip.Addr]*ports.Pool), media: cfg.MediaPorts, id: cfg.ID}
	var err error
	if r.ng, err = listen(cfg, r.log, r.handle); err != nil {
		return nil, err
	}
	r.legs.lent = make(map[uint16]uint8)
	for _, o := range options {
		o(r)
	}
	r.meters = newMeters(r)
	if err := r.build(cfg); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := reg.Register(r.meters); err != nil {
		return nil, errors.Join(fmt.Errorf("relay: metrics: %w", err), r.Close())
	}
	return r, nil
}

// build makes the table, pools and calls over an NG socket that is open, and goes on
// with what the process before this one had.
func (r *Relay) build(cfg Config) (err error) {
	faces := cfg.faces()
	r.faces, r.begun, r.deleteDelay = faces, time.Now(), time.Duration(cfg.DeleteDelay)
	r.maxCalls, r.limits = cfg.MaxCalls, cfg.Limits
	if err := r.openState(cfg); err != nil {
		return err
	}
	var table []forward.Option
	if r.openKernel(binds(cfg)); r.kernel != nil {
		table = append(table, forward.WithKernel(r.kernel))
	}
	table = append(table, r.state.options(r.kernel != nil)...)
	span := int(cfg.MediaPorts.High) - int(cfg.MediaPorts.Low) + 1
	r.table, err = forward.NewUserspace(span*len(faces), func(local, from netip.AddrPort) bool {
		return r.calls.Learn(local, from)
	}, table...)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := forward.AllowFiles(span * len(binds(cfg))); err != nil {
		r.log.Warn("calls will be refused before all media ports are lent", "error", err)
	}
	r.calls = call.New(r.setup(cfg), r.table)
	return r.restore()
}

// setup is the configuration of the registry; it makes the pools.
func (r *Relay) setup(cfg Config) call.Config {
	setup := call.Config{
		First: cfg.MediaPorts.Low, Last: cfg.MediaPorts.High,
		MaxCalls: cfg.MaxCalls, Idle: time.Duration(cfg.Idle), Latch: time.Duration(cfg.LatchWindow),
		Addresses: cfg.SDPAddresses, Log: r.log, Send: r.table.Send,
		Name: cfg.ID, Repeated: r.table.Repeated, Resume: r.table.Resume, Admit: r.admit, Over: r.meters.observe,
	}
	if r.state != nil {
		setup.Journal = r.state.journal
	}
	for _, f := range r.faces {
		bind := f.Bind
		if r.pools[bind] == nil {
			r.pools[bind] = ports.NewPool(bind, cfg.MediaPorts.Low, cfg.MediaPorts.High, time.Duration(cfg.PortRest), r.table)
			if r.legs.to != nil {
				r.pools[bind].Watch(r.legs.mark)
			}
		}
		setup.Interfaces = append(setup.Interfaces, call.Interface{
			Name: f.Name, Bind: bind, Advertise: f.Advertised(), Pool: r.pools[bind],
		})
	}
	return setup
}

// Close closes what New opened, of a Relay that is not run.
func (r *Relay) Close() error {
	if r.table != nil {
		r.table.Release()
	}
	return errors.Join(r.ng.close(), r.closeRest())
}

// closeRest closes what is behind the sockets. Legs in the kernel stay in force.
func (r *Relay) closeRest() error {
	r.gone.Lock()
	defer r.gone.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return errors.Join(r.closeKernel(), r.state.close())
}

// hold holds the counts until done is called; ok is false when they are gone.
func (r *Relay) hold() (done func(), ok bool) {
	r.gone.RLock()
	if r.closed {
		r.gone.RUnlock()
		return nil, false
	}
	return r.gone.RUnlock, true
}

// Addresses says where the relay listens.
func (r *Relay) Addresses() Addresses {
	a := Addresses{NG: r.ng.udp.LocalAddr().(*net.UDPAddr).AddrPort(), Media: r.media}
	for _, s := range r.ng.streams {
		a.Listen = append(a.Listen, s.Listener)
	}
	return a
}

// Run serves until ctx ends, then closes all sockets. It may be called once.
func (r *Relay) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.table.Run(ctx) })
	if r.kernel != nil {
		group.Go(func() error { return r.kernel.Run(ctx) })
	}
	group.Go(func() error { return r.ng.run(ctx) })
	group.Go(func() error { return r.calls.Run(ctx) })
	group.Go(func() error { return r.sweep(ctx) })
	r.ready.Store(true)
	defer r.ready.Store(false)
	r.log.Info("relay serves", "ng", r.Addresses().NG.String(), "besides", r.Addresses().Listen, "forwarding", r.how)
	err := group.Wait()
	if !r.state.keeps() {
		r.legs.clear(r.media, true)
	}
	if calls, _, _ := r.calls.Counts(); calls > 0 && r.state.keeps() {
		r.log.Info("calls are left for the next process", "calls", calls, "state", r.state.dir)
	}
	switch rest := r.closeRest(); {
	case rest == nil && errors.Is(err, ErrDrained):
		return ErrDrained
	case rest != nil || err != nil:
		return fmt.Errorf("relay: %w", errors.Join(err, rest))
	}
	return nil
}

// sweep looks after everything that takes time, until ctx ends or the relay is drained.
func (r *Relay) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.calls.Sweep(now)
			r.look(now)
			calls, _, _ := r.calls.Counts()
			r.commands.calls(calls, now)
			for _, p := range r.pools {
				p.Sweep(now)
			}
			r.state.sweep(r, now)
			if r.ends && r.drained(now) {
				return ErrDrained
			}
		case <-ctx.Done():
			return nil
		}
	}
}
