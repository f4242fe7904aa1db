package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/relay/call"
)

// Config is the configuration of a relay. It is decoded from YAML by package
// main, validated once and never changed.
type Config struct {
	ID          string         `yaml:"id"`           // names the relay in logs and in the edge's tokens
	NG          netip.AddrPort `yaml:"ng"`           // where NG commands are taken (UDP); a private address
	NGListen    []Listener     `yaml:"ng_listen"`    // where else: tcp://, tls://, http://, https://
	NGTLS       NGTLS          `yaml:"ng_tls"`       // certificates of tls and https listeners
	External    Interface      `yaml:"external"`     // towards phones and carriers
	Internal    Interface      `yaml:"internal"`     // towards core and other relays
	Interfaces  []Named        `yaml:"interfaces"`   // more networks, or more addresses of one; the first is the default then
	MediaPorts  PortRange      `yaml:"media_ports"`  // on both interfaces
	MaxCalls    int            `yaml:"max_calls"`    // more are refused
	Idle        Duration       `yaml:"idle"`         // a call without any packet for so long is over
	PortRest    Duration       `yaml:"port_rest"`    // a port is not lent again for so long
	LatchWindow Duration       `yaml:"latch_window"` // how long after the first packet a better source may still be learned
	DeleteDelay Duration       `yaml:"delete_delay"` // media goes on for so long after a delete that does not say

	Limits Limits `yaml:"limits"` // new calls are refused above them, besides max_calls
	State  string `yaml:"state"`  // folder in which calls are kept over a restart; off: they are not

	SDPAddresses call.Policy `yaml:"sdp_addresses"` // what becomes of addresses nobody vouches for: prove, refuse or trust
}

// DefaultConfig is the configuration of a relay on one machine alone.
func DefaultConfig() Config {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Config{
		ID:          "relay-1",
		NG:          netip.AddrPortFrom(local, 2223),
		External:    Interface{Bind: local},
		Internal:    Interface{Bind: local},
		MediaPorts:  PortRange{30000, 39999},
		MaxCalls:    5000,
		Idle:        Duration(time.Minute),
		PortRest:    Duration(30 * time.Second),
		LatchWindow: Duration(3 * time.Second),
	}
}

// Validate reports all faults at once, a line each: the key and what is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(validID(c.ID), "id: wants one to 32 letters, digits, dots, hyphens or underscores, a letter or digit first")
	check(c.NG.IsValid(), "ng: required, an address and a port")
	check(!c.NG.IsValid() || !c.NG.Addr().IsUnspecified(), "ng: %v is every address; commands must come from a private one only", c.NG)
	c.validateListeners(check)
	for _, i := range []struct {
		key  string
		face Interface
	}{{"external", c.External}, {"internal", c.Internal}} {
		check(i.face.Bind.IsValid(), "%s: required, an address of this machine", i.key)
		check(!i.face.Bind.IsUnspecified() && !i.face.Bind.IsMulticast(), "%s: %v is not an address packets can be sent from", i.key, i.face.Bind)
		check(!i.face.Advertise.IsValid() || i.face.Advertise.Is4() == i.face.Bind.Is4(), "%s: the advertised address is of another family", i.key)
	}
	low, high := int(c.MediaPorts.Low), int(c.MediaPorts.High)
	check(low >= 1024, "media_ports: %d is a port below 1024", low)
	check(high >= low+3, "media_ports: a call needs four ports, from an even one")
	check(c.MaxCalls > 0, "max_calls: must be above 0")
	c.Limits.validate(check)
	check(c.Idle >= Duration(5*time.Second), "idle: %v would end calls in a pause of speech; 5s at least", c.Idle)
	check(c.PortRest >= 0, "port_rest: below 0")
	check(c.LatchWindow >= 0, "latch_window: below 0")
	check(c.DeleteDelay >= 0 && c.DeleteDelay <= Duration(5*time.Minute), "delete_delay: from 0 to 5m")
	check(len(c.faces()) <= maxFaces, "interfaces: %d addresses; at most %d are served", len(c.faces()), maxFaces)
	for i, n := range c.Interfaces {
		key := fmt.Sprintf("interfaces[%d]", i)
		check(n.Name != "" && n.Bind.IsValid(), "%s: wants name/address or name/address!advertised", key)
		check(!n.Bind.IsUnspecified() && !n.Bind.IsMulticast(), "%s: %v is not an address packets can be sent from", key, n.Bind)
		check(!n.Advertise.IsValid() || n.Advertise.Is4() == n.Bind.Is4(), "%s: the advertised address is of another family", key)
		check(!slices.Contains(c.Interfaces[:i], n), "%s: there twice", key)
	}
	return errors.Join(errs...)
}

// An Interface is an address for media, written "bind" or "bind!advertised".
type Interface struct {
	Bind      netip.Addr // of this machine
	Advertise netip.Addr // in SDP; the zero Addr is the same as Bind
}

// Advertised is the address that SDP names.
func (i Interface) Advertised() netip.Addr {
	if i.Advertise.IsValid() {
		return i.Advertise
	}
	return i.Bind
}

// UnmarshalText reads "bind" or "bind!advertised".
func (i *Interface) UnmarshalText(b []byte) (err error) {
	bind, advertise, two := strings.Cut(string(b), "!")
	*i = Interface{}
	if i.Bind, err = netip.ParseAddr(bind); err != nil {
		return fmt.Errorf("address %q: %w", bind, err)
	}
	if two {
		if i.Advertise, err = netip.ParseAddr(advertise); err != nil {
			return fmt.Errorf("advertised address %q: %w", advertise, err)
		}
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (i Interface) MarshalText() ([]byte, error) {
	if !i.Advertise.IsValid() {
		return []byte(i.Bind.String()), nil
	}
	return []byte(i.Bind.String() + "!" + i.Advertise.String()), nil
}

// A PortRange is "low-high", both included.
type PortRange struct{ Low, High uint16 }

// UnmarshalText reads "low-high".
func (p *PortRange) UnmarshalText(b []byte) error {
	low, high, ok := strings.Cut(string(b), "-")
	l, err := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if !ok || err != nil || err2 != nil || l > h {
		return fmt.Errorf("port range %q: wants LOW-HIGH, such as 30000-39999", b)
	}
	*p = PortRange{uint16(l), uint16(h)}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p PortRange) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d-%d", p.Low, p.High), nil
}

// A Duration is a time.Duration that is written as "30s" in configuration.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is time.Duration's.
func (d Duration) String() string { return time.Duration(d).String() }

// validID allows what core takes for the name of a node.
func validID(s string) bool {
	for i, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '.' || c == '_'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 32
}
