package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A Control is where a relay takes NG commands, written "ADDR:PORT" for UDP, or
// "tcp://ADDR:PORT", or "tls://ADDR:PORT" between hosts.
type Control struct {
	Scheme   string // "", tcp or tls
	AddrPort netip.AddrPort
}

// UDP is the Control of a relay on a private network.
func UDP(a netip.AddrPort) Control { return Control{AddrPort: a} }

// UnmarshalText reads what String writes.
func (c *Control) UnmarshalText(b []byte) (err error) {
	scheme, addr, streamed := strings.Cut(string(b), "://")
	switch {
	case !streamed:
		scheme, addr = "", scheme
	case scheme == "udp":
		scheme = ""
	case scheme != "tcp" && scheme != "tls":
		return errors.New("wants ADDR:PORT, tcp://ADDR:PORT or tls://ADDR:PORT")
	}
	c.Scheme = scheme
	c.AddrPort, err = netip.ParseAddrPort(addr)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (c Control) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String is how a configuration file says it.
func (c Control) String() string {
	if c.Scheme == "" {
		return c.AddrPort.String()
	}
	return c.Scheme + "://" + c.AddrPort.String()
}

// RelayTLS is how an edge and its relays know each other: both sides show a
// certificate. Files that change are read again, without a restart.
type RelayTLS struct {
	Cert string `yaml:"cert"` // PEM: ours
	Key  string `yaml:"key"`  // PEM
	CA   string `yaml:"ca"`   // PEM: who signs the relays' certificates
}

// validateRelays reports what is wrong with relays and relay_tls.
func (c Config) validateRelays(check func(ok bool, format string, args ...any)) {
	check(len(c.Relays) > 0, "relays: at least one")
	seen := map[string]bool{}
	for i, r := range c.Relays {
		check(r.ID != "" && len(r.ID) <= maxRelayID, "relays[%d].id: wants one to %d characters", i, maxRelayID)
		check(!seen[r.ID], "relays[%d].id: %q is another's", i, r.ID)
		seen[r.ID] = true
		check(usable(r.NG.AddrPort), "relays[%d].ng: wants an address and a port", i)
		if r.NG.Scheme == "tls" {
			check(c.RelayTLS.Cert != "", "relay_tls.cert: required with %v", r.NG)
			check(c.RelayTLS.Key != "", "relay_tls.key: required with %v", r.NG)
			check(c.RelayTLS.CA != "", "relay_tls.ca: required with %v", r.NG)
		}
	}
}

// control makes the client that speaks to a relay.
func control(r Relay, files RelayTLS, log *slog.Logger) (*ng.Client, error) {
	cfg := ng.ClientConfig{Log: log}
	var dial func(context.Context) (net.Conn, error)
	switch r.NG.Scheme {
	case "":
		return ng.NewClient(r.NG.AddrPort, cfg)
	case "tcp":
		dial = func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", r.NG.AddrPort.String())
		}
	case "tls":
		name := r.Name
		if name == "" {
			name = r.NG.AddrPort.Addr().WithZone("").String()
		}
		conf, err := transport.Mutual{Cert: files.Cert, Key: files.Key, CA: files.CA}.Client(name, log)
		if err != nil {
			return nil, fmt.Errorf("relay_tls: %w", err)
		}
		dial = func(ctx context.Context) (net.Conn, error) {
			return (&tls.Dialer{Config: conf()}).DialContext(ctx, "tcp", r.NG.AddrPort.String())
		}
	default:
		return nil, errors.New("ng: no such transport: " + r.NG.Scheme)
	}
	return ng.NewStreamClient(r.NG.String(), dial, cfg), nil
}
