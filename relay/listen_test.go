package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// identity makes a certificate of host, its own authority.
func identity(t *testing.T, host string) transport.Mutual {
	t.Helper()
	dir := t.TempDir()
	m := transport.Mutual{Cert: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	if err := transport.SelfSigned([]string{host}, m.Cert, m.Key); err != nil {
		t.Fatal(err)
	}
	return m
}

// believe makes m's authorities those of others.
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

// newSecureRig is a rig that also listens by every stream, for edge-1 alone; the
// mutual is edge-1's, and addresses are by scheme.
func newSecureRig(t *testing.T) (g *rig, server, client transport.Mutual, at map[string]string) {
	t.Helper()
	server, client = identity(t, "127.0.0.1"), identity(t, "edge-1")
	believe(t, server, client)
	believe(t, client, server)
	g = newRig(t, func(c *relay.Config) {
		for _, scheme := range []string{"tcp", "tls", "http", "https"} {
			c.NGListen = append(c.NGListen, relay.Listener{Scheme: scheme, Address: netip.MustParseAddrPort("127.0.0.1:0")})
		}
		c.NGTLS = relay.NGTLS{Cert: server.Cert, Key: server.Key, ClientCA: server.CA, Names: []string{"edge-1"}}
	})
	at = make(map[string]string)
	for _, l := range g.relay.Addresses().Listen {
		at[l.Scheme] = l.Address.String()
	}
	return g, server, client, at
}

// over is the same rig, spoken to by connections that dial makes.
func (g *rig) over(t *testing.T, dial func(context.Context) (net.Conn, error)) *rig {
	t.Helper()
	o := *g
	o.t, o.client = t, ng.NewStreamClient("relay", dial, ng.ClientConfig{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &o
}

func dialTLS(addr string, conf func() *tls.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&tls.Dialer{Config: conf()}).DialContext(ctx, "tcp", addr)
	}
}

func TestCallsByStreams(t *testing.T) {
	g, _, client, at := newSecureRig(t)
	conf, err := client.Client("127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"tcp": func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", at["tcp"])
		},
		"tls": dialTLS(at["tls"], conf),
	} {
		t.Run(name, func(t *testing.T) {
			g := g.over(t, dial)
			a, b := newPhone(t, outside), newPhone(t, inside)
			g.connect(a, b, outside)
			talk(a, b, 10)
			if n := g.stats("a", 0).Int("packets"); n != 10 {
				t.Errorf("%d packets", n)
			}
			g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)
		})
	}
}

func TestCallsByHTTPS(t *testing.T) {
	_, _, client, at := newSecureRig(t)
	conf, err := client.Client("127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: conf(), ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	want := "c d6:result4:ponge"
	for _, url := range []string{"http://" + at["http"], "https://" + at["https"]} {
		r, err := web.Post(url+"/ng", "application/x-rtpengine-ng", strings.NewReader("c d7:command4:pinge"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		if r.Body.Close(); err != nil || string(b) != want {
			t.Errorf("%s: %s %q %v", url, r.Status, b, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		ws, _, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1), &websocket.DialOptions{
			Subprotocols: []string{"ng.rtpengine.com"}, HTTPClient: &http.Client{Transport: web.Transport},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(ctx, websocket.MessageText, []byte("c d7:command4:pinge")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := ws.Read(ctx); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", url, b, err)
		}
		ws.CloseNow()
		cancel()
	}
}

// Without the right certificate nobody lends a port, by whatever way.
func TestStrangersAreNotServed(t *testing.T) {
	g, server, client, at := newSecureRig(t)
	stranger, other := identity(t, "edge-1"), identity(t, "edge-2")
	believe(t, stranger, server)
	believe(t, other, server)
	believe(t, server, client, other) // edge-2 is known, but not named
	for name, m := range map[string]*transport.Mutual{"a stranger": &stranger, "not named": &other, "nothing shown": nil} {
		t.Run(name, func(t *testing.T) {
			conf := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
			if m != nil {
				var err error
				if conf, err = m.Client("127.0.0.1", nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, scheme := range []string{"tls", "https"} {
				c, err := tls.Dial("tcp", at[scheme], conf())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				text := "c d7:command4:pinge"
				if scheme == "https" {
					text = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
				}
				_, _ = io.WriteString(c, text)
				if b, _ := io.ReadAll(c); bytes.Contains(b, []byte("pong")) {
					t.Errorf("%s: %q", scheme, b)
				}
				c.Close()
			}
		})
	}
	// In the clear to the TLS port.
	c, err := net.Dial("tcp", at["tls"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "c d7:command4:pinge")
	if b, _ := io.ReadAll(c); bytes.Contains(b, []byte("pong")) {
		t.Errorf("%q", b)
	}
	g.do(ng.Command{Name: ng.Ping}, ng.ResultPong)
}

// A new certificate counts from the next connection on; who is connected is served on.
func TestCertificateIsRenewed(t *testing.T) {
	g, server, client, at := newSecureRig(t)
	conf, err := client.Client("127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	open := g.over(t, dialTLS(at["tls"], conf))
	open.do(ng.Command{Name: ng.Ping}, ng.ResultPong)
	fresh := identity(t, "127.0.0.1")
	for from, to := range map[string]string{fresh.Cert: server.Cert, fresh.Key: server.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	believe(t, client, server)
	conf, err = client.Client("127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := tls.Dial("tcp", at["tls"], conf())
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
	open.do(ng.Command{Name: ng.Ping}, ng.ResultPong)
}

func TestListenersInTheConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"tcp://10.0.0.1:2223":     "",
		"https://[2001:db8::1]:1": "",
		"udp://10.0.0.1:2223":     "wants tcp://",
		"10.0.0.1:2223":           "wants tcp://",
		"tls://relay:1":           "relay",
	} {
		var l relay.Listener
		err := l.UnmarshalText([]byte(text))
		if want == "" {
			if again, _ := l.MarshalText(); err != nil || string(again) != text {
				t.Errorf("%s: %s %v", text, again, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := relay.DefaultConfig()
	for scheme, addr := range map[string]string{"tcp": "0.0.0.0:1", "tls": "0.0.0.0:2"} {
		c.NGListen = append(c.NGListen, relay.Listener{Scheme: scheme, Address: netip.MustParseAddrPort(addr)})
	}
	err := c.Validate()
	for _, want := range []string{"tcp://0.0.0.0:1 is every address", "ng_tls.cert: required", "ng_tls.key: required", "ng_tls.client_ca: required"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in\n%v", want, err)
		}
	}
}

// A second connection from one address is closed when the configuration says so.
func TestLimitsOfConnections(t *testing.T) {
	g := newRig(t, func(c *relay.Config) {
		c.NGListen = []relay.Listener{{Scheme: "tcp", Address: netip.MustParseAddrPort("127.0.0.1:0")}}
		c.NGLimits.PerSource = 1
	})
	at := g.relay.Addresses().Listen[0].Address.String()
	first, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ping := func(c net.Conn) (string, error) {
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := io.WriteString(c, "1 d7:command4:pinge")
		b := make([]byte, 100)
		n, err2 := c.Read(b)
		if err == nil {
			err = err2
		}
		return string(b[:n]), err
	}
	if reply, err := ping(first); err != nil || !strings.Contains(reply, "pong") {
		t.Fatal(reply, err)
	}
	second, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if reply, err := ping(second); err == nil {
		t.Errorf("the second is answered %q", reply)
	}
	c := relay.DefaultConfig()
	c.NGLimits = relay.NGLimits{Connections: 10, PerSource: -1}
	for _, fault := range []string{"ng_limits.per_source: must be above 0", "ng_limits.unanswered: must be above 0"} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%v, not %s", err, fault)
		}
	}
}
