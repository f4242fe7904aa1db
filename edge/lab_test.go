package edge_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip"
)

// patience is how long a test waits for what must come.
const patience = 5 * time.Second

// quiet is how long it watches for what must not.
const quiet = 150 * time.Millisecond

// A lab is an edge with a scripted core, a relay that only answers, and whatever
// phones a test adds, all on real sockets.
type lab struct {
	*testing.T
	edge  *edge.Edge
	cfg   edge.Config
	addr  edge.Addresses
	core  *fakeCore
	relay *fakeRelay
	reg   *prometheus.Registry

	mu      sync.Mutex
	outside bytes.Buffer // every byte phones received
	serial  int
	stop    func()
}

// setup starts a lab; change may alter the edge's configuration first.
func setup(t *testing.T, change func(*lab, *edge.Config)) *lab {
	t.Helper()
	l := &lab{T: t}
	l.core = newCore(l, "127.0.0.2")
	l.relay = newRelay(l)
	cfg := edge.DefaultConfig()
	cfg.SIP = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Inside = netip.MustParseAddrPort("127.0.0.3:0")
	cfg.Core = []netip.AddrPort{l.core.addr}
	cfg.Relays = []edge.Relay{{ID: "r1", NG: l.relay.addr}}
	cfg.KeyFile = filepath.Join(t.TempDir(), "edge.key")
	if change != nil {
		change(l, &cfg)
	}
	l.cfg = cfg
	l.start()
	t.Cleanup(func() { l.stop() })
	return l
}

// start starts the edge, also after stop.
func (l *lab) start() {
	l.Helper()
	l.reg = prometheus.NewRegistry()
	e, err := edge.New(l.cfg, slog.New(slog.DiscardHandler), l.reg)
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	l.edge, l.addr = e, e.Addresses()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			l.Errorf("Run: %v", err)
		}
	})
}

// metric is the sum of the samples of a metric whose labels have the values.
func (l *lab) metric(name string, values ...string) float64 {
	l.Helper()
	families, err := l.reg.Gather()
	if err != nil {
		l.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found := 0
			for _, pair := range m.GetLabel() {
				for _, v := range values {
					if pair.GetValue() == v {
						found++
					}
				}
			}
			if found == len(values) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (l *lab) verdict(v string) float64 {
	l.Helper()
	return l.metric("lindero_edge_verdicts_total", v)
}

// eventually waits until ok.
func (l *lab) eventually(what string, ok func() bool) {
	l.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			l.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// A msg is a message that a peer received.
type msg struct {
	sip.Message
	conn *wire // it came by
}

func (m *msg) get(id sip.HeaderID) string { return string(m.Get(id)) }

// all lists the values of all lines with id.
func (m *msg) all(id sip.HeaderID) []string {
	var list []string
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		for v, rest := sip.NextValue(m.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			list = append(list, string(v))
		}
	}
	return list
}

// uri is the URI of the first value with id.
func (m *msg) uri(id sip.HeaderID) string {
	n, err := sip.ParseNameAddr(m.Topmost(id))
	if err != nil {
		return ""
	}
	return string(n.URI)
}

// kind is what expect compares: the method, or the code.
func (m *msg) kind() string {
	if m.IsRequest() {
		return string(m.Method)
	}
	return fmt.Sprint(m.Code)
}

// A wire is one socket of a peer.
type wire struct {
	l     *lab
	name  string
	proto string
	me    netip.AddrPort
	write func([]byte)
	close func()
	in    chan *msg
}

// deliver keeps one received message.
func (c *wire) deliver(raw []byte, to chan *msg, outside bool) {
	m := &msg{conn: c}
	if outside {
		c.l.mu.Lock()
		c.l.outside.Write(raw)
		c.l.mu.Unlock()
	}
	if err := m.Scan(bytes.Clone(raw)); err != nil {
		c.l.Errorf("%s received what it cannot read: %v\n%s", c.name, err, raw)
		return
	}
	to <- m
}

// stream reads messages off a connection until it ends.
func (c *wire) stream(conn net.Conn, to chan *msg, outside bool) {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := conn.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			for bytes.HasPrefix(buf, []byte("\r\n\r\n")) { // a ping
				if outside {
					c.l.mu.Lock()
					c.l.outside.WriteString("\r\n\r\n")
					c.l.mu.Unlock()
				}
				buf = buf[4:]
				_, _ = conn.Write([]byte("\r\n"))
			}
			buf = bytes.TrimPrefix(buf, []byte("\r\n"))
			end, err := sip.Frame(buf)
			if err != nil {
				break
			}
			c.deliver(buf[:end], to, outside)
			buf = buf[end:]
		}
	}
}

// send sends text after lining it up: LF becomes CRLF, $me our address, and a
// Content-Length is put in.
func (c *wire) send(text string) { c.write(c.lined(text)) }

func (c *wire) lined(text string) []byte {
	text = strings.ReplaceAll(text, "$me", c.me.String())
	text = strings.ReplaceAll(text, "$via", "SIP/2.0/"+strings.ToUpper(c.proto)+" "+c.me.String())
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	if !ok {
		head, body = strings.TrimRight(text, "\r\n"), ""
	}
	return []byte(fmt.Sprintf("%s\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body))
}

// answer responds to m with code; headers are whole lines.
func (c *wire) answer(m *msg, code int, tag string, headers string, body ...string) *msg {
	r := sip.Response{Code: code, ToTag: tag, Headers: []byte(strings.ReplaceAll(headers, "\n", "\r\n"))}
	if len(body) > 0 {
		r.Type, r.Body = "application/sdp", []byte(strings.ReplaceAll(body[0], "\n", "\r\n"))
	}
	c.write(sip.Respond(nil, &m.Message, netip.AddrPort{}, r))
	return m
}

// expect waits for the next message, which must be of that kind.
func (c *wire) expect(kind string) *msg {
	c.l.Helper()
	return c.l.expect(c.name, c.in, kind)
}

func (l *lab) expect(name string, in chan *msg, kind string) *msg {
	l.Helper()
	select {
	case m := <-in:
		if m.kind() != kind {
			l.Fatalf("%s got, instead of %s:\n%s", name, kind, m.Raw)
		}
		return m
	case <-time.After(patience):
		l.Fatalf("%s waited in vain for %s", name, kind)
	}
	return nil
}

// silent fails if anything comes for a while.
func (l *lab) silent(name string, in chan *msg) {
	l.Helper()
	select {
	case m := <-in:
		l.Errorf("%s got what it should not:\n%s", name, m.Raw)
	case <-time.After(quiet):
	}
}

// udp makes a phone over UDP.
func (l *lab) udp(name, host string) *wire {
	l.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(host+":0")))
	if err != nil {
		l.Fatal(err)
	}
	to := net.UDPAddrFromAddrPort(l.addr.UDP)
	c := &wire{l: l, name: name, proto: "udp", me: conn.LocalAddr().(*net.UDPAddr).AddrPort(), in: make(chan *msg, 1000)}
	c.write = func(b []byte) { _, _ = conn.WriteToUDP(b, to) }
	c.close = func() { conn.Close() }
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			c.deliver(buf[:n], c.in, true)
		}
	})
	l.Cleanup(func() { conn.Close(); reader.Wait() })
	return c
}

// tcp makes a phone over TCP, or over TLS when conf is set.
func (l *lab) tcp(name string, conf *tls.Config) *wire {
	l.Helper()
	var conn net.Conn
	var err error
	c := &wire{l: l, name: name, proto: "tcp", in: make(chan *msg, 1000)}
	if conf != nil {
		c.proto = "tls"
		conn, err = tls.Dial("tcp", l.addr.TLS.String(), conf)
	} else {
		conn, err = net.Dial("tcp", l.addr.TCP.String())
	}
	if err != nil {
		l.Fatal(err)
	}
	c.me = conn.LocalAddr().(*net.TCPAddr).AddrPort()
	c.write = func(b []byte) { _, _ = conn.Write(b) }
	c.close = func() { conn.Close() }
	var reader sync.WaitGroup
	reader.Go(func() { c.stream(conn, c.in, true) })
	l.Cleanup(func() { conn.Close(); reader.Wait() })
	return c
}

// A fakeCore accepts connections of edges and calls them on its own.
type fakeCore struct {
	l    *lab
	name string
	addr netip.AddrPort
	in   chan *msg
	stop func()

	mu    sync.Mutex
	conns []net.Conn
	calls *wire // the connection we made
}

func newCore(l *lab, host string) *fakeCore {
	l.Helper()
	c := &fakeCore{l: l, name: "core " + host, in: make(chan *msg, 10000)}
	c.listen(netip.MustParseAddrPort(host + ":0"))
	return c
}

func (c *fakeCore) listen(at netip.AddrPort) {
	c.l.Helper()
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		c.l.Fatal(err)
	}
	c.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			readers.Go(func() { c.serve(conn).stream(conn, c.in, false) })
		}
	})
	c.stop = sync.OnceFunc(func() {
		ln.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.conns, c.calls = nil, nil
		c.mu.Unlock()
		readers.Wait()
	})
	c.l.Cleanup(c.stop)
}

func (c *fakeCore) serve(conn net.Conn) *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return &wire{l: c.l, name: c.name, proto: "tcp", me: c.addr, write: func(b []byte) { _, _ = conn.Write(b) }}
}

func (c *fakeCore) expect(kind string) *msg {
	c.l.Helper()
	return c.l.expect(c.name, c.in, kind)
}

// send sends text to the edge's inside address on a connection of core's own.
func (c *fakeCore) send(text string) {
	c.l.Helper()
	c.mu.Lock()
	w := c.calls
	c.mu.Unlock()
	if w == nil {
		conn, err := net.Dial("tcp", c.l.addr.Inside.String())
		if err != nil {
			c.l.Fatal(err)
		}
		w = c.serve(conn)
		c.mu.Lock()
		c.calls = w
		c.mu.Unlock()
		var reader sync.WaitGroup
		reader.Go(func() { w.stream(conn, c.in, false) })
		c.l.Cleanup(func() { conn.Close(); reader.Wait() })
	}
	w.send(text)
}

// A fakeRelay answers NG commands: SDP gets addresses that tell where it was.
type fakeRelay struct {
	addr netip.AddrPort
	seen chan ng.Command
	mute func(bool)
}

// What the fake relay puts into SDP for a receiver on that side.
const (
	relayOutside = "203.0.113.50"
	relayInside  = "10.77.0.50"
)

func newRelay(l *lab) *fakeRelay {
	l.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.4:0")))
	if err != nil {
		l.Fatal(err)
	}
	r := &fakeRelay{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), seen: make(chan ng.Command, 10000)}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		_ = ng.Serve(ctx, conn, slog.New(slog.DiscardHandler), func(_ netip.AddrPort, c ng.Command) ng.Reply {
			r.seen <- c
			return anchored(c)
		})
	})
	l.Cleanup(func() { cancel(); served.Wait() })
	return r
}

func anchored(c ng.Command) ng.Reply {
	reply := ng.Reply{Result: ng.ResultOK}
	switch {
	case c.Name == ng.Ping:
		reply.Result = ng.ResultPong
	case strings.Contains(string(c.SDP), "refuse"):
		return ng.Refuse("nothing for 10.77.0.50")
	case c.Name == ng.Offer || c.Name == ng.Answer:
		host := relayInside
		if c.Direction[1] == "external" {
			host = relayOutside
		}
		reply.SDP = []byte(strings.ReplaceAll(session(host, 30000), "\n", "\r\n"))
	}
	return reply
}

// expect waits for the next command, which must have that name.
func (r *fakeRelay) expect(l *lab, name string) ng.Command {
	l.Helper()
	select {
	case c := <-r.seen:
		if c.Name != name {
			l.Fatalf("the relay got %+v instead of %s", c, name)
		}
		return c
	case <-time.After(patience):
		l.Fatalf("the relay waited in vain for %s", name)
	}
	return ng.Command{}
}

// session is an SDP of audio at host.
func session(host string, port int) string {
	return fmt.Sprintf("v=0\no=- 1 1 IN IP4 %s\ns=-\nc=IN IP4 %s\nt=0 0\nm=audio %d RTP/AVP 0 8\n", host, host, port)
}

// next makes a number that no other call of this lab has.
func (l *lab) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return l.serial
}

// certificate makes a self-signed certificate for 127.0.0.1 in two files, and the
// configuration of a client that trusts it.
func certificate(t *testing.T) (edge.Files, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := edge.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	write := func(name, kind string, b []byte) {
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.Cert, "CERTIFICATE", der)
	write(files.Key, "PRIVATE KEY", private)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return files, &tls.Config{RootCAs: roots}
}
