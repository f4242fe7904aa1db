package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A Listener is a place besides the UDP socket where NG commands are taken,
// written "tcp://ADDR:PORT", or with tls, http or https: what rtpengine calls
// listen-tcp-ng, listen-http and listen-https, and TLS for the first.
type Listener struct {
	Scheme  string
	Address netip.AddrPort
}

func (l Listener) secure() bool { return l.Scheme == "tls" || l.Scheme == "https" }

func (l Listener) web() bool { return l.Scheme == "http" || l.Scheme == "https" }

// UnmarshalText reads "SCHEME://ADDR:PORT".
func (l *Listener) UnmarshalText(b []byte) (err error) {
	scheme, addr, _ := strings.Cut(string(b), "://")
	switch scheme {
	case "tcp", "tls", "http", "https":
	default:
		return errors.New("wants tcp://, tls://, http:// or https://, an address and a port")
	}
	l.Scheme = scheme
	l.Address, err = netip.ParseAddrPort(addr)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (l Listener) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// String is what UnmarshalText reads.
func (l Listener) String() string { return l.Scheme + "://" + l.Address.String() }

// NGTLS is how hosts know each other on tls and https listeners: both sides show a
// certificate. Files that change are read again, without a restart.
type NGTLS struct {
	Cert     string   `yaml:"cert"`      // PEM
	Key      string   `yaml:"key"`       // PEM
	ClientCA string   `yaml:"client_ca"` // PEM: who signs the certificates of those who may speak
	Names    []string `yaml:"names"`     // and whom of them: names in the certificate; none means all
}

// NGLimits bound what those who send commands over connections may take.
type NGLimits struct {
	Connections int `yaml:"connections"` // open at once; more are closed at once
	PerSource   int `yaml:"per_source"`  // of those, from one IPv4 address or IPv6 /64
	Unanswered  int `yaml:"unanswered"`  // commands of one connection; the next is read when one is answered
}

// validateListeners reports what is wrong with ng_listen, ng_tls and ng_limits.
func (c Config) validateListeners(check func(ok bool, format string, args ...any)) {
	for _, l := range []struct {
		key string
		n   int
	}{{"connections", c.NGLimits.Connections}, {"per_source", c.NGLimits.PerSource}, {"unanswered", c.NGLimits.Unanswered}} {
		check(l.n > 0, "ng_limits.%s: must be above 0", l.key)
	}
	for i, l := range c.NGListen {
		switch {
		case !l.Address.IsValid() || l.Scheme == "":
			check(false, "ng_listen[%d]: wants tcp://, tls://, http:// or https://, an address and a port", i)
		case l.secure():
			check(c.NGTLS.Cert != "", "ng_tls.cert: required with %v", l)
			check(c.NGTLS.Key != "", "ng_tls.key: required with %v", l)
			check(c.NGTLS.ClientCA != "", "ng_tls.client_ca: required with %v: who is not known by certificate may not lend ports", l)
		default:
			check(!l.Address.Addr().IsUnspecified(), "ng_listen[%d]: %v is every address; commands in the clear must come from a private one only", i, l)
		}
	}
}

// listeners take NG commands.
type listeners struct {
	server  *ng.Server
	udp     *net.UDPConn
	streams []stream
	tls     *tls.Config
}

// A stream is a Listener that is open.
type stream struct {
	Listener
	socket net.Listener
}

// listen opens all sockets, or none.
func listen(cfg Config, log *slog.Logger, handle ng.Handler) (*listeners, error) {
	limits := ng.ServerConfig{Log: log, Conns: cfg.NGLimits.Connections, PerSource: cfg.NGLimits.PerSource, Pipelined: cfg.NGLimits.Unanswered}
	l := &listeners{server: ng.NewServer(limits, handle)}
	if err := l.open(cfg, log); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *listeners) open(cfg Config, log *slog.Logger) (err error) {
	if l.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.NG)); err != nil {
		l.udp = nil
		return fmt.Errorf("relay: ng %v (choose another with the key ng): %w", cfg.NG, err)
	}
	// The default is a few hundred offers; a burst after a failover is more.
	_ = l.udp.SetReadBuffer(4 << 20)
	for _, at := range cfg.NGListen {
		if at.secure() && l.tls == nil {
			mutual := transport.Mutual{Cert: cfg.NGTLS.Cert, Key: cfg.NGTLS.Key, CA: cfg.NGTLS.ClientCA, Names: cfg.NGTLS.Names}
			if l.tls, err = mutual.Server(log); err != nil {
				return fmt.Errorf("relay: ng_tls: %w", err)
			}
		}
		s, err := net.Listen("tcp", at.Address.String())
		if err != nil {
			return fmt.Errorf("relay: %v (choose another in the list ng_listen): %w", at, err)
		}
		at.Address = s.Addr().(*net.TCPAddr).AddrPort()
		l.streams = append(l.streams, stream{at, s})
	}
	return nil
}

func (l *listeners) close() error {
	var errs []error
	if l.udp != nil {
		errs = append(errs, l.udp.Close())
	}
	for _, s := range l.streams {
		errs = append(errs, s.socket.Close())
	}
	return errors.Join(errs...)
}

// run serves until ctx ends, and closes all sockets then.
func (l *listeners) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.server.Run(ctx) })
	group.Go(func() error { return l.server.ServeUDP(ctx, l.udp) })
	for _, s := range l.streams {
		var conf *tls.Config
		if s.secure() {
			conf = l.tls
		}
		if s.web() {
			group.Go(func() error { return l.server.ServeWeb(ctx, s.socket, conf) })
		} else {
			group.Go(func() error { return l.server.ServeStream(ctx, s.socket, conf) })
		}
	}
	return group.Wait()
}
