package transport_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// identity makes a certificate of host that is its own authority.
func identity(t *testing.T, host string) (m transport.Mutual) {
	t.Helper()
	dir := t.TempDir()
	m.Cert, m.Key, m.CA = filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	if err := transport.SelfSigned([]string{host}, m.Cert, m.Key); err != nil {
		t.Fatal(err)
	}
	return m
}

// believe makes m's authorities those of others. The file is newer than the last.
func believe(t *testing.T, m transport.Mutual, others ...transport.Mutual) {
	t.Helper()
	var all []byte
	for _, o := range others {
		b, err := os.ReadFile(o.Cert)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(m.CA, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

// echoes serves echo over TLS and says where.
func echoes(t *testing.T, conf *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// speaks says whether a word comes back.
func speaks(addr string, conf *tls.Config) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("word")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 4))
	return err
}

func TestHostsKnowEachOther(t *testing.T) {
	server, client, stranger := identity(t, "127.0.0.1"), identity(t, "edge-1"), identity(t, "edge-1")
	believe(t, server, client)
	believe(t, client, server)
	believe(t, stranger, server)
	for name, step := range map[string]struct {
		names  []string // whom the server lets in
		by     transport.Mutual
		called string // whom the client dials
		speaks bool
	}{
		"both":             {nil, client, "127.0.0.1", true},
		"named":            {[]string{"edge-2", "edge-1"}, client, "127.0.0.1", true},
		"not named":        {[]string{"edge-2"}, client, "127.0.0.1", false},
		"stranger":         {nil, stranger, "127.0.0.1", false},
		"stranger named":   {[]string{"edge-1"}, stranger, "127.0.0.1", false},
		"another server":   {nil, client, "relay-9", false},
		"nobody's name":    {[]string{""}, client, "127.0.0.1", false},
		"server not named": {nil, transport.Mutual{Cert: client.Cert, Key: client.Key, CA: client.CA, Names: []string{"relay-9"}}, "127.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := server
			m.Names = step.names
			conf, err := m.Server(nil)
			if err != nil {
				t.Fatal(err)
			}
			dial, err := step.by.Client(step.called, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := speaks(echoes(t, conf), dial()); (err == nil) != step.speaks {
				t.Error(err)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		conf, err := server.Server(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := speaks(echoes(t, conf), &tls.Config{RootCAs: pool(t, server.Cert)}); err == nil {
			t.Error("let in")
		}
	})
}

// Authorities that change are those of the next handshake; a file that became
// unusable changes nothing.
func TestAuthoritiesAreRenewed(t *testing.T) {
	server, first, second := identity(t, "127.0.0.1"), identity(t, "a"), identity(t, "b")
	believe(t, server, first)
	believe(t, first, server)
	believe(t, second, server)
	conf, err := server.Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := echoes(t, conf)
	dial := func(m transport.Mutual) func() error {
		conf, err := m.Client("127.0.0.1", nil)
		if err != nil {
			t.Fatal(err)
		}
		resuming := conf().Clone()
		resuming.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		return func() error { return speaks(addr, resuming) }
	}
	one, two := dial(first), dial(second)
	if err := errors.Join(one(), one()); err != nil || two() == nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(server.CA, []byte(strings.Repeat("no certificate", 9)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := one(); err != nil {
		t.Error("an unusable file is in force:", err)
	}
	believe(t, server, second)
	eventually(t, "the new authority counts", func() bool { return two() == nil })
	if one() == nil {
		t.Error("the old one still does")
	}
	for _, m := range []transport.Mutual{{Cert: "none", Key: "none", CA: server.CA}, {Cert: server.Cert, Key: server.Key, CA: "none"}, {Cert: server.Cert, Key: server.Key, CA: server.Key}} {
		if _, err := m.Server(nil); err == nil {
			t.Errorf("%+v is served", m)
		}
		if _, err := m.Client("x", nil); err == nil {
			t.Errorf("%+v is dialed with", m)
		}
	}
}
