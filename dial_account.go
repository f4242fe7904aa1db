package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// phone is who we are and where the server is.
func (f *dialFlags) phone(ctx context.Context) (phone.Config, error) {
	cfg := phone.Config{Password: f.password}
	if cfg.Password == "" {
		cfg.Password = os.Getenv("LINDERO_PASSWORD")
	}
	for _, p := range []transport.Protocol{transport.UDP, transport.TCP, transport.TLS} {
		if p.String() == f.transport {
			cfg.Protocol = p
		}
	}
	if cfg.Protocol == 0 {
		return cfg, fmt.Errorf("--transport %s: must be udp, tcp or tls", f.transport)
	}
	server := f.server
	if f.demo != "" {
		edge, err := f.readDemo(&cfg)
		if err != nil {
			return cfg, err
		}
		if server == "" {
			server = edge
		}
	}
	if f.from != "" {
		uri, err := sip.ParseURI([]byte(f.from))
		if err != nil || len(uri.User) == 0 || len(uri.Host) == 0 {
			return cfg, fmt.Errorf("--from %s: must look like sip:101@demo.lindero.test", f.from)
		}
		if cfg.Username, err = url.PathUnescape(string(uri.User)); err != nil {
			return cfg, fmt.Errorf("--from %s: %w", f.from, err)
		}
		cfg.Domain = string(uri.Host)
	}
	if cfg.Username == "" {
		return cfg, errors.New("who are we? give --from and --password, or --demo and --as")
	}
	if server == "" {
		server = cfg.Domain
	}
	if cfg.Protocol == transport.TLS {
		f.trust(&cfg, server)
	}
	var err error
	cfg.Server, err = resolve(ctx, server, cfg.Protocol)
	return cfg, err
}

// readDemo takes an account out of the demo's sheet and returns the edge's
// address for the protocol.
func (f *dialFlags) readDemo(cfg *phone.Config) (edge string, err error) {
	text, err := os.ReadFile(f.demo)
	if err != nil {
		return "", fmt.Errorf("--demo: %w", err)
	}
	var sheet demoSheet
	if err := json.Unmarshal(text, &sheet); err != nil {
		return "", fmt.Errorf("--demo %s: %w", f.demo, err)
	}
	for _, u := range sheet.Users {
		if u.Extension != f.as {
			continue
		}
		cfg.Username, cfg.Domain = u.Username, sheet.Domain
		if cfg.Password == "" {
			cfg.Password = u.Password
		}
		if cfg.Protocol != transport.TLS {
			return sheet.Edge, nil
		}
		// TLS is served on the port after that of UDP and TCP, unless the flags of
		// `lindero up` said otherwise; then --server does too.
		plain, err := netip.ParseAddrPort(sheet.Edge)
		if err != nil {
			return "", fmt.Errorf("--demo %s: edge: %w", f.demo, err)
		}
		return netip.AddrPortFrom(plain.Addr(), plain.Port()+1).String(), nil
	}
	return "", fmt.Errorf("--as %s: the demo has no such user", f.as)
}

// trust says which certificates of the server are good: any, the demo's own,
// which lies beside its sheet, or what the system trusts.
func (f *dialFlags) trust(cfg *phone.Config, server string) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		host = server
	}
	cfg.TLS = &tls.Config{ServerName: host, InsecureSkipVerify: f.insecure, MinVersion: tls.VersionTLS12}
	if f.demo == "" {
		return
	}
	// The demo's certificate is that of its domain (RFC 5922) and keeps the addresses
	// of the first start, which --sip may have changed since.
	if _, err := netip.ParseAddr(host); err == nil {
		cfg.TLS.ServerName = cfg.Domain
	}
	if pem, err := os.ReadFile(filepath.Join(filepath.Dir(f.demo), "tls.crt")); err == nil {
		cfg.TLS.RootCAs = x509.NewCertPool()
		cfg.TLS.RootCAs.AppendCertsFromPEM(pem)
	}
}

// resolve turns host, host:port or an address into an address.
func resolve(ctx context.Context, server string, proto transport.Protocol) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(server); err == nil {
		return addr, nil
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = server, "5060"
		if proto == transport.TLS {
			port = "5061"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--server %s: no port: %w", server, err)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("where is %s? %w; --server says it", host, err)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(n)), nil
}
