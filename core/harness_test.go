package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
)

// recorder stands where the B2BUA does and keeps what it is given.
type recorder struct {
	got  chan string
	lost chan netip.AddrPort
}

func (r *recorder) Deliver(_ netip.AddrPort, data []byte) { r.got <- string(data) }

func (r *recorder) Lost(to netip.AddrPort) {
	select {
	case r.lost <- to:
	default: // nobody looks
	}
}

func (r *recorder) next(t *testing.T) string {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(5 * time.Second):
		t.Fatal("the B2BUA was given nothing")
		return ""
	}
}

// none fails the test when the B2BUA was given something. Call it when an answer
// has already come, so that there is nothing left to wait for.
func (r *recorder) none(t *testing.T) {
	t.Helper()
	select {
	case m := <-r.got:
		t.Errorf("the B2BUA was given\n%s", m)
	default:
	}
}

func testConfig(t testing.TB) Config {
	c := DefaultConfig()
	dir := t.TempDir()
	c.SIP, c.HTTP = netip.MustParseAddrPort("127.0.0.1:0"), "127.0.0.1:0"
	c.Database = "sqlite:" + filepath.Join(dir, "core.db")
	c.KeyFile = filepath.Join(dir, "core.key")
	return c
}

// start runs a Core with the demo in it and a recorder in the B2BUA's place.
func start(t testing.TB, cfg Config) (*Core, Demo, *recorder) {
	t.Helper()
	r := &recorder{got: make(chan string, 64), lost: make(chan netip.AddrPort, 8)}
	c, err := assemble(t.Context(), cfg, nil, prometheus.NewRegistry(), func(*Core) (callLogic, error) {
		return callLogic{calls: r}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	demo, err := SeedDemo(t.Context(), c.store)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	return c, demo, r
}

// run runs c until the test ends, and returns when it is ready.
func run(t testing.TB, c *Core) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	eventually(t, "ready", func() bool { return c.Ready() == nil })
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never %s", what)
		}
	}
}

// An edge speaks raw SIP to a Core over TCP.
type edge struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
	n    int // requests made

	source string // what Lindero-Source says; empty: the usual
}

func dialEdge(t testing.TB, c *Core) *edge {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addresses().SIP.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &edge{t: t, conn: conn}
}

func (e *edge) send(raw string) {
	e.t.Helper()
	if _, err := e.conn.Write([]byte(raw)); err != nil {
		e.t.Fatal(err)
	}
}

// receive reads the next message.
func (e *edge) receive() *sip.Message {
	e.t.Helper()
	if err := e.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		e.t.Fatal(err)
	}
	for {
		n, err := sip.Frame(e.buf)
		if err == nil {
			m := new(sip.Message)
			if err := m.Scan(bytes.Clone(e.buf[:n])); err != nil {
				e.t.Fatalf("core sent what is no message: %v\n%s", err, e.buf[:n])
			}
			e.buf = e.buf[n:]
			return m
		}
		if !errors.Is(err, sip.ErrIncomplete) {
			e.t.Fatal(err)
		}
		var b [4096]byte
		k, err := e.conn.Read(b[:])
		if err != nil {
			e.t.Fatalf("no message came: %v", err)
		}
		e.buf = append(e.buf, b[:k]...)
	}
}

// A request is what tests vary.
type request struct {
	method, uri, from, to, callID string
	cseq                          int
	headers                       []string
	body                          string
}

func (e *edge) text(r request) string {
	e.n++
	or := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	or(&r.method, "REGISTER")
	or(&r.uri, "sip:demo.lindero.test")
	or(&r.from, "<sip:101@demo.lindero.test>")
	or(&r.to, "<sip:101@demo.lindero.test>")
	or(&r.callID, "call-1")
	if r.cseq == 0 {
		r.cseq = e.n
	}
	source := "203.0.113.9:5062;transport=udp;edge=e1;nat=1"
	if e.source != "" {
		source = e.source
	}
	lines := append([]string{
		r.method + " " + r.uri + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/TCP 127.0.0.1:5065;branch=z9hG4bK%d", e.n),
		"Max-Forwards: 69",
		"From: " + r.from + ";tag=f1",
		"To: " + r.to,
		"Call-ID: " + r.callID,
		fmt.Sprintf("CSeq: %d %s", r.cseq, r.method),
		"Lindero-Source: " + source,
	}, r.headers...)
	lines = append(lines, fmt.Sprintf("Content-Length: %d", len(r.body)), "", r.body)
	return strings.Join(lines, "\r\n")
}

// ask sends r and returns its answer.
func (e *edge) ask(r request) *sip.Message {
	e.t.Helper()
	e.send(e.text(r))
	return e.receive()
}

// A login answers challenges.
type login struct {
	user, password string
	algorithm      digest.Algorithm
	plain          bool // answers without qop
	challenge      digest.Challenge
	nc             uint32
}

// credentials is the header line that answers the challenges in m for r.
func (l *login) credentials(t testing.TB, m *sip.Message, r request) string {
	t.Helper()
	id, header := sip.WWWAuthenticate, "Authorization"
	if m.Code == 407 {
		id, header = sip.ProxyAuthenticate, "Proxy-Authorization"
	}
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		c, err := digest.ParseChallenge(m.Value(i))
		if err != nil {
			t.Fatalf("challenge %q: %v", m.Value(i), err)
		}
		if l.algorithm == 0 || c.Algorithm == l.algorithm {
			l.challenge, l.nc = c, 0
			return l.again(header, r)
		}
	}
	t.Fatalf("no challenge for %v in\n%s", l.algorithm, m.Raw)
	return ""
}

// again answers the last challenge once more.
func (l *login) again(header string, r request) string {
	l.nc++
	l.challenge.QOP = l.challenge.QOP && !l.plain
	c := digest.Answer(l.challenge, r.method, r.uri, l.user, l.password, "c0ffee", l.nc)
	return header + ": " + string(c.Append(nil))
}

// askAs sends r, answers the challenge, and returns the answer to that.
func (e *edge) askAs(l *login, r request) *sip.Message {
	e.t.Helper()
	if r.method == "" {
		r.method, r.uri = "REGISTER", "sip:demo.lindero.test"
	}
	m := e.ask(r)
	if m.Code != 401 && m.Code != 407 {
		e.t.Fatalf("the first try got %d %s, not a challenge", m.Code, m.Reason)
	}
	if r.cseq > 0 {
		r.cseq++
	}
	r.headers = append([]string{l.credentials(e.t, m, r)}, r.headers...)
	return e.ask(r)
}

func wantCode(t testing.TB, m *sip.Message, code int) {
	t.Helper()
	if m.Code != code {
		t.Fatalf("got %d %s, want %d\n%s", m.Code, m.Reason, code, m.Raw)
	}
}

// values are all values of header id.
func values(m *sip.Message, id sip.HeaderID) (all []string) {
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		all = append(all, string(m.Value(i)))
	}
	return all
}
