package edge_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// host makes a certificate of name, and a place for the authorities it believes.
func host(t testing.TB, name string) transport.Mutual {
	t.Helper()
	dir := t.TempDir()
	m := transport.Mutual{Cert: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	if err := transport.SelfSigned([]string{name}, m.Cert, m.Key); err != nil {
		t.Fatal(err)
	}
	return m
}

// trust makes b whom a believes.
func trust(t testing.TB, a, b transport.Mutual) {
	t.Helper()
	text, err := os.ReadFile(b.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.CA, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// streamRelay is a fake relay that takes commands by TCP, or TLS with conf.
func streamRelay(l *lab, conf *tls.Config) *fakeRelay {
	l.Helper()
	socket, err := net.Listen("tcp4", "127.0.0.4:0")
	if err != nil {
		l.Fatal(err)
	}
	r := &fakeRelay{addr: socket.Addr().(*net.TCPAddr).AddrPort(), seen: make(chan ng.Command, 10000)}
	server := ng.NewServer(ng.ServerConfig{}, func(_ netip.AddrPort, c ng.Command) ng.Reply {
		r.seen <- c
		return anchored(c)
	})
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = server.Run(ctx) })
	served.Go(func() { _ = server.ServeStream(ctx, socket, conf) })
	l.Cleanup(func() { cancel(); served.Wait() })
	return r
}

// A call is anchored by a relay that is reached by TCP, or TLS when each knows the
// other; a relay that does not know us, or that we do not know, anchors nothing.
func TestRelaysByStreams(t *testing.T) {
	ours, theirs, stranger := host(t, "edge"), host(t, "relay-1"), host(t, "relay-1")
	trust(t, ours, theirs)
	trust(t, theirs, ours)
	trust(t, stranger, ours)
	for name, c := range map[string]struct {
		scheme, called string
		relay          transport.Mutual
		works          bool
	}{
		"tcp":             {"tcp", "", theirs, true},
		"tls":             {"tls", "relay-1", theirs, true},
		"tls, other name": {"tls", "", theirs, false},
		"tls, a stranger": {"tls", "relay-1", stranger, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var relay *fakeRelay
			l := setup(t, func(l *lab, cfg *edge.Config) {
				var conf *tls.Config
				if c.scheme == "tls" {
					var err error
					if conf, err = c.relay.Server(nil); err != nil {
						l.Fatal(err)
					}
				}
				relay = streamRelay(l, conf)
				cfg.Relays = []edge.Relay{{ID: "r1", NG: edge.Control{Scheme: c.scheme, AddrPort: relay.addr}, Name: c.called}}
				cfg.RelayTLS = edge.RelayTLS{Cert: ours.Cert, Key: ours.Key, CA: ours.CA}
			})
			a := l.udp("phone A", "127.0.0.1")
			a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
			a.expect("100")
			if !c.works {
				a.expect("503")
				l.silent("core", l.core.in)
				return
			}
			l.core.expect("INVITE").wants(l, relayInside)
			relay.expect(l, ng.Offer)
		})
	}
}

func TestControlInTheConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:2223":        "192.0.2.1:2223",
		"udp://192.0.2.1:2223":  "192.0.2.1:2223",
		"tcp://192.0.2.1:2223":  "tcp://192.0.2.1:2223",
		"tls://[2001:db8::1]:1": "tls://[2001:db8::1]:1",
		"http://192.0.2.1:1":    "",
		"tls://relay-1:1":       "",
		"192.0.2.1":             "",
	} {
		var c edge.Control
		err := c.UnmarshalText([]byte(text))
		if got, _ := c.MarshalText(); (err == nil) != (want != "") || err == nil && string(got) != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
	c := edge.DefaultConfig()
	c.KeyFile = "k"
	c.Relays[0].NG.Scheme = "tls"
	err := c.Validate()
	for _, key := range []string{"relay_tls.cert", "relay_tls.key", "relay_tls.ca"} {
		if err == nil || !strings.Contains(err.Error(), key+": required") {
			t.Errorf("nothing about %s in %v", key, err)
		}
	}
}
