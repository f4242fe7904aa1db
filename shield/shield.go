// Package shield is the border's guard on one node: it keeps policy, country
// table, bans and classes in force, in the kernel where it can (bpf) and at the
// listeners where it cannot (shield/judge), fetches the policy from core, keeps the
// last good one on disk, reports what it sees, and answers why. What a policy says
// is shield/policy's, who gets promoted is seen by edge.
package shield

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A Config is the shield's part of an edge's or relay's configuration file, under "shield".
type Config struct {
	Mode      string   `yaml:"mode"`       // auto, native, generic, user or off
	Devices   []string `yaml:"devices"`    // to filter in the kernel; none: user space
	Pin       string   `yaml:"pin"`        // a BPF file system; mounted when it is not
	State     string   `yaml:"state"`      // file of the last good policy, bans and classes; made when absent
	Countries string   `yaml:"countries"`  // MMDB; absent file: countries are off
	Core      string   `yaml:"core"`       // base URL of core's HTTP; empty: what State says stays in force
	TokenFile string   `yaml:"token_file"` // of scope node
	Control   string   `yaml:"control"`    // unix socket for lindero shield on this machine; empty: none
}

// DefaultConfig is mode auto, no devices, pins under /sys/fs/bpf/lindero.
func DefaultConfig() Config { return Config{Mode: "auto", Pin: "/sys/fs/bpf/lindero"} }

// Validate reports every fault at once, a line each, "key: what".
func (c Config) Validate() error { panic("not written") }

// A Guard is the shield of one process. Make it with New, let it Run.
type Guard struct{}

// New opens the filter of every device, or falls to user space saying why in the
// log and in Mode, and puts the last good policy into force: nothing passes
// unjudged between New and Run. node names this node to core.
func New(cfg Config, node, role string, log *slog.Logger, reg prometheus.Registerer) (*Guard, error) {
	panic("not written")
}

// Run follows core, the country file and the clock until ctx ends. The filter in
// the kernel stays in force after it.
func (g *Guard) Run(ctx context.Context) error { panic("not written") }

// Mode is native, generic, user or off, and why it is not better.
func (g *Guard) Mode() (mode, reason string) { panic("not written") }

// A Port is a port of ours.
type Port struct {
	TCP         bool
	First, Last uint16
	Service     policy.Service
}

// Serve replaces the ports that owner ("edge" or "relay") has. RTP ranges that
// overlap the kernel's ephemeral ports are reserved (ip_local_reserved_ports), or,
// when that fails, are not filtered, with a warning that says what to do.
func (g *Guard) Serve(owner string, ports []Port) error { panic("not written") }

// Leg says whether a call has the RTP port.
func (g *Guard) Leg(port uint16, live bool) { panic("not written") }

// Admit judges a datagram or a new connection at a listener. It is true at once
// when the kernel judges. tcp is for a new connection.
func (g *Guard) Admit(source netip.Addr, service policy.Service, tcp bool) bool { panic("not written") }

// Known promotes a source that answered a challenge, for an hour; Registered one
// whose registration core accepted, until it ends. A banned source stays banned,
// a registered one is not made less by Known.
func (g *Guard) Known(source netip.Addr)                       { panic("not written") }
func (g *Guard) Registered(source netip.Addr, until time.Time) { panic("not written") }

// An Offence is why a source may be banned.
type Offence uint8

// The offences.
const (
	BadCredentials Offence = iota
	Malformed
	Scanner
)

// Offended counts an offence of a source and bans it by the policy's Bans. proven
// says that the source cannot be forged: it came over a connection. Sources that
// are registered, carriers or allowed are never banned on evidence that could be
// forged. It never blocks.
func (g *Guard) Offended(source netip.Addr, o Offence, proven bool, detail string) {
	panic("not written")
}

// Country is the country of an address by the table in force.
func (g *Guard) Country(a netip.Addr) geo.Country { panic("not written") }

// Ban and Lift are what operators do on this node alone; core's API does it for all.
func (g *Guard) Ban(b protocol.Ban) error          { panic("not written") }
func (g *Guard) Lift(p netip.Prefix) (bool, error) { panic("not written") }

// Explain says what would happen to the source's next packet and why, without
// changing anything.
func (g *Guard) Explain(a netip.Addr, service policy.Service) protocol.Explanation {
	panic("not written")
}
