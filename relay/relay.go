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
	log    *slog.Logger
	ng     *listeners
	table  *forward.Userspace
	pools  map[netip.Addr]*ports.Pool // by the address they are of
	calls  *call.Registry
	meters *meters
	media  PortRange
	legs   legs
	open   Opener         // nil: packets never go by the kernel
	kernel *bpf.Forwarder // nil: not now either
	how    string         // packets go, for people

	faces       []Named
	begun       time.Time
	deleteDelay time.Duration
	commands    commands
	samples     samples

	ready atomic.Bool
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
	r := &Relay{log: log.With("relay", cfg.ID), pools: make(map[netip.Addr]*ports.Pool), media: cfg.MediaPorts}
	var err error
	if r.ng, err = listen(cfg, r.log, r.handle); err != nil {
		return nil, err
	}
	r.legs.lent = make(map[uint16]uint8)
	for _, o := range options {
		o(r)
	}
	r.legs.clear(r.media) // now that the socket is ours: there is no other relay whose calls this would end
	faces := cfg.faces()
	r.faces, r.begun, r.deleteDelay = faces, time.Now(), time.Duration(cfg.DeleteDelay)
	var table []forward.Option
	if r.openKernel(binds(cfg)); r.kernel != nil {
		table = append(table, forward.WithKernel(r.kernel))
	}
	span := int(cfg.MediaPorts.High) - int(cfg.MediaPorts.Low) + 1
	r.table, err = forward.NewUserspace(span*len(faces), func(local, from netip.AddrPort) bool {
		return r.calls.Learn(local, from)
	}, table...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("relay: %w", err), r.ng.close(), r.closeKernel())
	}
	if err := forward.AllowFiles(span * len(binds(cfg))); err != nil {
		r.log.Warn("calls will be refused before all media ports are lent", "error", err)
	}
	setup := call.Config{
		First: cfg.MediaPorts.Low, Last: cfg.MediaPorts.High,
		MaxCalls: cfg.MaxCalls, Idle: time.Duration(cfg.Idle), Latch: time.Duration(cfg.LatchWindow),
		Addresses: cfg.SDPAddresses, Log: r.log, Send: r.table.Send, Repeated: r.table.Repeated,
	}
	for _, f := range faces {
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
	r.calls = call.New(setup, r.table)
	r.meters = newMeters(r)
	if err := reg.Register(r.meters); err != nil {
		return nil, errors.Join(fmt.Errorf("relay: metrics: %w", err), r.Close())
	}
	return r, nil
}

// Close closes what New opened, of a Relay that is not run.
func (r *Relay) Close() error {
	r.table.Release()
	return errors.Join(r.ng.close(), r.closeKernel())
}

// Addresses says where the relay listens.
func (r *Relay) Addresses() Addresses {
	a := Addresses{NG: r.ng.udp.LocalAddr().(*net.UDPAddr).AddrPort(), Media: r.media}
	for _, s := range r.ng.streams {
		a.Listen = append(a.Listen, s.Listener)
	}
	return a
}

// Ready is nil while the relay takes calls.
func (r *Relay) Ready() error {
	if !r.ready.Load() {
		return errors.New("relay: not running")
	}
	return nil
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
	group.Go(func() error { r.sweep(ctx); return nil })
	r.ready.Store(true)
	defer r.ready.Store(false)
	r.log.Info("relay serves", "ng", r.Addresses().NG.String(), "besides", r.Addresses().Listen, "forwarding", r.how)
	err := group.Wait()
	r.legs.clear(r.media)
	if err = errors.Join(err, r.closeKernel()); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

func (r *Relay) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	r.look(time.Now())
	for {
		select {
		case now := <-tick.C:
			r.calls.Sweep(now)
			r.look(now)
			calls, _, _ := r.calls.Counts()
			r.commands.second(calls, r.calls.Talk(), now)
			for _, p := range r.pools {
				p.Sweep(now)
			}
		case <-ctx.Done():
			return
		}
	}
}
