package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/edge/transaction"
)

// A Config is an edge's part of a configuration file.
type Config struct {
	Name      string           `yaml:"name"`      // of this edge, in Lindero-Source
	SIP       netip.AddrPort   `yaml:"sip"`       // UDP and TCP for phones; port 0 picks one
	SIPS      netip.AddrPort   `yaml:"sips"`      // TLS for phones; absent: no TLS
	Advertise netip.Addr       `yaml:"advertise"` // the address phones reach us at, when it is not the one bound
	Inside    netip.AddrPort   `yaml:"inside"`    // TCP for core, a private address
	Core      []netip.AddrPort `yaml:"core"`      // cores, the preferred first
	Relays    []Relay          `yaml:"relays"`    // relays, the preferred first
	RelayTLS  RelayTLS         `yaml:"relay_tls"` // for relays at tls://
	KeyFile   string           `yaml:"key_file"`  // keys of tokens; made when absent
	TLS       Files            `yaml:"tls"`
	KeepAlive KeepAlive        `yaml:"keepalive"`

	MaxTransactions int `yaml:"max_transactions"` // requests on their way at once; more get 503

	// Timing is not a knob: tests make it short.
	Timing transaction.Timing `yaml:"-"`
}

// A Relay is a relay and where it takes NG commands.
type Relay struct {
	ID   string  `yaml:"id"`
	NG   Control `yaml:"ng"`
	Name string  `yaml:"name"` // in its certificate, with tls; absent: its address
}

// Files is a certificate chain and its key, in PEM.
type Files struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// KeepAlive says how often something is sent to registered phones, so that the
// NATs between them and us keep their mappings.
type KeepAlive struct {
	UDP    Duration `yaml:"udp"`    // OPTIONS to phones behind NAT; many NATs forget after 30 s
	Stream Duration `yaml:"stream"` // CRLF on connections (RFC 5626 §4.4.1)
	Off    bool     `yaml:"off"`
}

// A Duration is a time.Duration that a configuration file writes as "25s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultConfig is the edge of `lindero up`, but for the files, which have no
// default place.
func DefaultConfig() Config {
	return Config{
		Name:            "edge",
		SIP:             netip.MustParseAddrPort("127.0.0.1:5060"),
		Inside:          netip.MustParseAddrPort("127.0.0.1:5065"),
		Core:            []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5070")},
		Relays:          []Relay{{ID: "relay", NG: UDP(netip.MustParseAddrPort("127.0.0.1:2223"))}},
		KeepAlive:       KeepAlive{UDP: Duration(25 * time.Second), Stream: Duration(120 * time.Second)},
		MaxTransactions: 200_000,
		Timing:          transaction.DefaultTiming(),
	}
}

// maxRelayID keeps tokens short.
const maxRelayID = 32

// Validate reports everything that is wrong with c at once, a line for each.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(validName(c.Name), "name: wants one to 64 letters, digits, dots, hyphens or underscores, a letter or digit first")
	check(c.SIP.IsValid(), "sip: required, an address and a port")
	check(c.Inside.IsValid(), "inside: required, an address and a port")
	if !c.Advertise.IsValid() {
		check(!c.SIP.IsValid() || !c.SIP.Addr().IsUnspecified(), "advertise: required when sip is bound to every address")
		check(!c.SIPS.IsValid() || !c.SIPS.Addr().IsUnspecified(), "advertise: required when sips is bound to every address")
	}
	check(!c.Advertise.IsValid() || !c.Advertise.IsUnspecified(), "advertise: wants the address phones reach, not %v", c.Advertise)
	check(!c.Inside.IsValid() || !c.Inside.Addr().IsUnspecified(), "inside: wants the one address that core reaches, not %v", c.Inside)
	if c.SIPS.IsValid() {
		check(c.TLS.Cert != "", "tls.cert: required with sips")
		check(c.TLS.Key != "", "tls.key: required with sips")
	}
	check(len(c.Core) > 0, "core: at least one")
	for i, a := range c.Core {
		check(usable(a), "core[%d]: wants an address and a port", i)
	}
	c.validateRelays(check)
	check(c.KeyFile != "", "key_file: required")
	if !c.KeepAlive.Off {
		check(time.Duration(c.KeepAlive.UDP) >= time.Second, "keepalive.udp: at least 1s")
		check(time.Duration(c.KeepAlive.Stream) >= time.Second, "keepalive.stream: at least 1s")
	}
	check(c.MaxTransactions >= 1 && c.MaxTransactions <= 1<<26, "max_transactions: between 1 and %d", 1<<26)
	return errors.Join(errs...)
}

func usable(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified()
}

// validName allows what stands in a header parameter without quotes, and what core
// takes for the name of a node.
func validName(s string) bool {
	for i, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '.' || c == '_'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}
