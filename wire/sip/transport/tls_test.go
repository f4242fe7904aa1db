package transport_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// selfSigned makes a certificate for 127.0.0.1 and a pool that trusts it.
func selfSigned(t testing.TB) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := transport.SelfSigned([]string{"127.0.0.1", "edge.lindero.test"}, cert, key); err != nil {
		t.Fatal(err)
	}
	return cert, key, pool(t, cert)
}

func pool(t testing.TB, cert string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		t.Fatal("no certificate in the file")
	}
	return p
}

// secureServer is a running stack that serves TLS with conf.
func secureServer(t testing.TB, cfg transport.Config, conf *tls.Config) (*transport.Stack, *inbox, netip.AddrPort) {
	t.Helper()
	in := newInbox()
	s := transport.New(cfg, in)
	addr, err := s.Listen(transport.TLS, netip.MustParseAddrPort("127.0.0.1:0"), conf)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s, in, addr
}

func serverTLS(t testing.TB, cert, key string) *tls.Config {
	t.Helper()
	conf, err := transport.ServerTLS(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func TestTLSBothWays(t *testing.T) {
	cert, key, trust := selfSigned(t)
	server, in, addr := secureServer(t, transport.Config{}, serverTLS(t, cert, key))
	client, clientIn, _ := secureServer(t, transport.Config{TLSClient: &tls.Config{RootCAs: trust}}, serverTLS(t, cert, key))
	f, err := client.Connect(transport.TLS, addr)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 50 {
		want = append(want, options(i, strings.Repeat("x", 100*i)))
		if err := client.Send(f, []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	var back transport.Flow
	for i := range want {
		g := in.message(t)
		if g.text != want[i] {
			t.Fatalf("message %d is %.80q", i, g.text)
		}
		back = g.flow
	}
	if back.Protocol != transport.TLS || back.Remote != f.Local {
		t.Errorf("came by %+v", back)
	}
	if err := server.Send(back, []byte(want[40])); err != nil {
		t.Fatal(err)
	}
	if g := clientIn.message(t); g.text != want[40] || g.flow != f {
		t.Errorf("%.80q came back by %+v", g.text, g.flow)
	}
	if err := client.Ping(f); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ping is answered", func() bool { return client.Stats().PongsIn == 1 })
	// A client without a certificate is not whom we would dial (RFC 5923 §9.1).
	if g, err := server.Connect(transport.TLS, back.Remote); err != nil || g == back {
		t.Errorf("an unproven connection is reused: %+v (%v)", g, err)
	}
}

func TestTLSAcceptedConnectionOfAProvenClientIsReused(t *testing.T) {
	cert, key, trust := selfSigned(t)
	conf := serverTLS(t, cert, key)
	conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, trust
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server, in, addr := secureServer(t, transport.Config{}, conf)
	client, _, _ := secureServer(t, transport.Config{TLSClient: &tls.Config{RootCAs: trust, Certificates: []tls.Certificate{pair}}}, conf)
	f, err := client.Connect(transport.TLS, addr)
	if err != nil {
		t.Fatal(err)
	}
	client.Send(f, []byte(options(1, "")))
	back := in.message(t).flow
	if g, err := server.Connect(transport.TLS, back.Remote); err != nil || g != back {
		t.Errorf("connected anew: %+v (%v)", g, err)
	}
}

// Who begins a handshake and says no more stops nobody, and not for long (trap 6).
func TestTLSHalfOpen(t *testing.T) {
	cert, key, trust := selfSigned(t)
	s, in, addr := secureServer(t, transport.Config{Handshake: time.Second}, serverTLS(t, cert, key))
	var silent []net.Conn
	for i := range 50 {
		c := dial(t, addr)
		if i%2 == 0 {
			write(t, c, "\x16\x03\x01\x02\x00\x01") // a hello begins
		}
		silent = append(silent, c)
	}
	peer := tls.Client(dial(t, addr), &tls.Config{RootCAs: trust, ServerName: "edge.lindero.test"})
	write(t, peer, options(1, ""))
	if g := in.message(t); s.Send(g.flow, []byte("served")) != nil {
		t.Error("not served")
	}
	expect(t, peer, "served")
	for _, c := range silent {
		expectEnd(t, c)
	}
	eventually(t, "all are given up", func() bool { return s.Stats().HandshakesFailed == 50 && s.Stats().Conns == 1 })
	select {
	case e := <-in.ends:
		t.Errorf("the handler hears of a flow it never had: %+v", e)
	default:
	}
}

// The server must be whom we wanted, and must be there.
func TestTLSConnectFails(t *testing.T) {
	cert, key, trust := selfSigned(t)
	_, _, addr := secureServer(t, transport.Config{}, serverTLS(t, cert, key))
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, c := range map[string]struct {
		conf *tls.Config
		addr netip.AddrPort
		ok   func(error) bool
	}{
		"unknown authority": {nil, addr, func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		"another name":      {&tls.Config{RootCAs: trust, ServerName: "carrier.lindero.test"}, addr, func(err error) bool { return errors.As(err, new(x509.HostnameError)) }},
		"no answer": {&tls.Config{RootCAs: trust}, mute.Addr().(*net.TCPAddr).AddrPort(), func(err error) bool {
			var timeout net.Error
			return errors.As(err, &timeout) && timeout.Timeout()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInbox()
			s := transport.New(transport.Config{TLSClient: c.conf, Handshake: time.Second}, in)
			run(t, s)
			f, err := s.Connect(transport.TLS, c.addr)
			if err != nil {
				t.Fatal(err)
			}
			s.Send(f, []byte("for verified eyes"))
			if e := in.end(t); e.flow != f || !c.ok(e.err) {
				t.Errorf("closed because %v", e.err)
			}
		})
	}
}

func TestTLSSlowPeer(t *testing.T) {
	cert, key, trust := selfSigned(t)
	s, in, addr := secureServer(t, transport.Config{Queue: 100_000}, serverTLS(t, cert, key))
	peer := tls.Client(dial(t, addr), &tls.Config{RootCAs: trust, ServerName: "127.0.0.1"})
	write(t, peer, options(1, ""))
	f := in.message(t).flow
	m := []byte(large(10000))
	err := error(nil)
	for i := 0; i < 10000 && err == nil; i++ {
		begin := time.Now()
		err = s.Send(f, m)
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("Send took %v", d)
		}
	}
	if err != transport.ErrSlow {
		t.Errorf("Send: %v", err)
	}
	if e := in.end(t); e.err != transport.ErrSlow {
		t.Errorf("closed because %v", e.err)
	}
}

// A new certificate is served without a restart, a broken one is not (trap 24).
func TestServerTLSReloads(t *testing.T) {
	cert, key, _ := selfSigned(t)
	var log bytes.Buffer
	conf, err := transport.ServerTLS(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		c, err := conf.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Certificate[0])
	}
	first := served()
	if err := transport.SelfSigned([]string{"127.0.0.1"}, cert, key); err != nil {
		t.Fatal(err)
	}
	if served() != first {
		t.Error("the files are looked at within the first second")
	}
	eventually(t, "the new certificate is served", func() bool { return served() != first })
	second := served()
	if err := os.WriteFile(cert, []byte("half a certif"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broken file is noticed", func() bool {
		if served() != second {
			t.Fatal("the certificate in force was dropped")
		}
		return strings.Contains(log.String(), "not renewed")
	})
	if err := transport.SelfSigned([]string{"127.0.0.1"}, cert, key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repaired certificate is served", func() bool { return served() != second })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, log.String())
	}
}

func TestSelfSigned(t *testing.T) {
	cert, key, _ := selfSigned(t)
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v (%v)", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(key))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if _, err := transport.ServerTLS(key, cert, nil); err == nil {
		t.Error("files in the wrong order are served")
	}
	if _, err := transport.ServerTLS(cert, key+".no", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing key: %v", err)
	}
	if err := transport.SelfSigned(nil, filepath.Join(cert, "no"), key); err == nil {
		t.Error("wrote into a file")
	}
}
