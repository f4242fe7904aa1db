package main

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A shielded configuration is that of a role which strangers reach: the role's own
// and its shield's.
type shielded[C interface{ Validate() error }] struct {
	Role   C             `yaml:",inline"`
	Shield shield.Config `yaml:"shield"`
}

// Validate reports every fault at once.
func (c shielded[C]) Validate() error {
	return errors.Join(c.Role.Validate(), prefixed("shield.", c.Shield.Validate(), nil))
}

// newGuard makes the guard of a role that runs by itself. It keeps its state in the
// file at state when the configuration names none.
func newGuard(c shield.Config, state, node, role string, log *slog.Logger, reg prometheus.Registerer) (*shield.Guard, error) {
	log = log.With("role", role)
	if c.State = cmp.Or(c.State, state); c.State == "" {
		log.Warn("without shield.state, and without a " + stateDir + ", a restart forgets the policy, bans and whom to trust, until core and the phones tell again")
	}
	return shield.New(c, node, role, log, reg)
}

// stateBeside is where an edge's guard keeps its state when nobody says: beside its
// key file, as its flows.
func stateBeside(keyFile string) string {
	if keyFile == "" {
		return ""
	}
	return strings.TrimSuffix(keyFile, filepath.Ext(keyFile)) + ".shield.json"
}

// stateDir is where a machine keeps what programs know (FHS 3.0 §5.8).
const stateDir = "/var/lib/lindero"

// stateOf is where a relay's guard keeps its state when nobody says: in the folder
// that systemd gives the service, or in that of the machine, if there is one.
func stateOf(id string) string { return kept(id + ".shield.json") }

// kept is where a role keeps a file of that name when nobody says; "": nowhere.
func kept(name string) string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	if dir == "" {
		if at, err := os.Stat(stateDir); err != nil || !at.IsDir() {
			return ""
		}
		dir = stateDir
	}
	return filepath.Join(dir, name)
}

// relayState and relayControl are what a relay keeps its calls in, and where it
// answers operators, when nobody says.
func relayState(id string) string   { return writable(kept(id + ".calls")) }
func relayControl(id string) string { return writable(kept(id + ".sock")) }

// writable is path, or "" where this user can make no file of that name: what nobody
// asked for is no reason not to start.
func writable(path string) string {
	if path == "" || unix.Access(filepath.Dir(path), unix.W_OK) != nil {
		return ""
	}
	return path
}

// guardPart is the guard as a part. It ends after those it guards, and the kernel
// goes on filtering after it.
func guardPart(g *shield.Guard) part { return part{"shield", g.Run, func() error { return nil }} }

// newGuardedEdge makes an edge behind g, which knows the ports before they open, as
// far as they are known.
func newGuardedEdge(g *shield.Guard, c edge.Config, log *slog.Logger, reg prometheus.Registerer) (*edge.Edge, error) {
	if err := g.Serve("edge", edgePorts(edge.Addresses{UDP: c.SIP, TCP: c.SIP, TLS: c.SIPS})); err != nil {
		return nil, err
	}
	e, err := edge.New(c, log.With("role", "edge"), reg, edge.WithShield(edgeShield{g}))
	if err != nil {
		return nil, err
	}
	g.Anchor(anchoringOf(c, e.Addresses()))
	return e, g.Serve("edge", edgePorts(e.Addresses()))
}

// anchoringOf is what core is told of how an edge chooses relays.
func anchoringOf(c edge.Config, at edge.Addresses) protocol.Anchoring {
	how := protocol.Anchoring{Inside: at.Inside}
	for _, r := range c.Relays {
		how.Relays = append(how.Relays, r.ID)
	}
	return how
}

// edgePorts are the ports of an edge for its shield. One that the kernel is still
// to choose has no number yet.
func edgePorts(a edge.Addresses) (all []shield.Port) {
	for _, face := range []struct {
		at  netip.AddrPort
		tcp bool
	}{{a.UDP, false}, {a.TCP, true}, {a.TLS, true}} {
		if port := face.at.Port(); port != 0 {
			all = append(all, shield.Port{TCP: face.tcp, First: port, Last: port, Service: policy.SIP})
		}
	}
	return all
}

// newGuardedRelay makes a relay whose ports g opens and closes. Its range is told
// afterwards: no port of it is open before there is a call, and one that another
// relay has must not be closed by a start that fails.
// Calls that it takes over from a process before have their ports by then, so g does
// not close those.
func newGuardedRelay(g *shield.Guard, c relay.Config, log *slog.Logger, reg prometheus.Registerer, more ...relay.Option) (*relay.Relay, error) {
	options := append([]relay.Option{relay.WithLegs(g), relay.WithKernel(g.Forward)}, more...)
	r, err := relay.New(c, log.With("role", "relay"), reg, options...)
	if err != nil {
		return nil, err
	}
	g.Carry(c.ID, r)
	g.Mount("/relay/", r.Handler())
	media := r.Addresses().Media
	return r, g.Serve("relay", []shield.Port{{First: media.Low, Last: media.High, Service: policy.RTP}})
}

// edgeShield is a guard as an edge sees it.
type edgeShield struct{ guard *shield.Guard }

// Admit implements edge.Shield.
func (s edgeShield) Admit(source netip.Addr, tcp bool) bool {
	return s.guard.Admit(source, policy.SIP, tcp)
}

// Holds implements edge.Shield.
func (s edgeShield) Holds(source netip.Addr) bool { return s.guard.Holds(source, policy.SIP) }

// Country implements edge.Shield. An address that a table does not place is ZZ, so
// that core can tell it from one for which there is no table.
func (s edgeShield) Country(source netip.Addr) string {
	if !s.guard.Places() {
		return ""
	}
	return s.guard.Country(source).String()
}

// Known implements edge.Shield.
func (s edgeShield) Known(source netip.Addr) { s.guard.Known(source) }

// Registered implements edge.Shield.
func (s edgeShield) Registered(source netip.Addr, until time.Time) {
	s.guard.Registered(source, until)
}

// Offended implements edge.Shield.
func (s edgeShield) Offended(source netip.Addr, o edge.Offence, proven bool, detail string) {
	of := shield.Malformed
	switch o {
	case edge.BadCredentials:
		of = shield.BadCredentials
	case edge.Scanner:
		of = shield.Scanner
	}
	s.guard.Offended(source, of, proven, detail)
}
