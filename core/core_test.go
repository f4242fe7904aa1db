package core

import (
	"database/sql"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A whole core: the phone registers, calls the echo, hangs up, and there is a record.
func TestEchoCall(t *testing.T) {
	cfg := testConfig(t)
	cfg.MediaPorts = "41000-41099"
	c, err := New(cfg, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	demo, err := SeedDemo(t.Context(), c.store)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	e := dialEdge(t, c)
	wantCode(t, e.askAs(demo.login(0), request{headers: phone("<sip:101@192.0.2.7>")}), 200)
	e.echoCall(demo)
	company, err := c.store.Domain(t.Context(), demo.Domain)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a record", func() bool { return len(records(t, company)) == 1 })
	got := records(t, company)[0]
	if got.Verdict != tenancy.OK || got.Code != 200 || got.From != "101" || got.To != demo.Echo || got.HungUpBy != "caller" || got.Answer.IsZero() {
		t.Errorf("record: %+v", got)
	}
}

func records(t testing.TB, company *store.Tenant) []tenancy.CDR {
	t.Helper()
	all, err := company.CDRs(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// echoCall calls the demo's echo, is answered, and hangs up.
func (e *edge) echoCall(demo Demo) {
	e.t.Helper()
	sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 41998 RTP/AVP 0\r\n"
	r := request{
		method: "INVITE", uri: "sip:" + demo.Echo + "@" + demo.Domain, to: "<sip:" + demo.Echo + "@" + demo.Domain + ">", callID: "echo", body: sdp,
		headers: []string{"Contact: <sip:101@192.0.2.7>", "Content-Type: application/sdp", "Record-Route: <sip:t@127.0.0.1:5065;transport=tcp;lr>"},
	}
	m := e.askAs(demo.login(0), r)
	for m.Code < 200 {
		m = e.receive()
	}
	wantCode(e.t, m, 200)
	if !strings.Contains(string(m.Body), "m=audio ") {
		e.t.Errorf("the answer describes no audio:\n%s", m.Body)
	}
	contact, err := sip.ParseNameAddr(m.Get(sip.Contact))
	if err != nil {
		e.t.Fatal(err)
	}
	in := request{method: "ACK", uri: string(contact.URI), to: string(m.Get(sip.To)), callID: "echo", cseq: int(m.CSeqNumber)}
	e.send(e.text(in))
	in.method, in.cseq = "BYE", in.cseq+1
	wantCode(e.t, e.ask(in), 200)
}

// A database that hangs holds up those who need it and nobody else; when too many
// wait the rest hear so at once.
func TestSlowDatabase(t *testing.T) {
	cfg := testConfig(t)
	c, demo, calls := start(t, cfg)
	e := dialEdge(t, c)
	r := request{method: "REGISTER", uri: "sip:demo.lindero.test", headers: phone("<sip:101@192.0.2.7>"), callID: "stuck"}
	m := e.ask(r)
	wantCode(t, m, 401)
	l := demo.login(0)
	r.headers = append([]string{l.credentials(t, m, r)}, r.headers...)

	unlock := lockDatabase(t, strings.TrimPrefix(cfg.Database, "sqlite:"))
	e.send(e.text(r)) // waits for the lock
	const more = queueLength + 50
	for range more {
		e.send(e.text(request{method: "OPTIONS", callID: "stuck"})) // wait behind it, in order
	}
	for range more - queueLength {
		if m := e.receive(); m.Code != 503 {
			t.Fatalf("got %d while the database hangs", m.Code)
		}
	}
	e.send(e.text(request{method: "BYE", to: "<sip:x@y>;tag=t"})) // needs no database
	calls.next(t)

	unlock()
	var done []string
	for range queueLength + 1 {
		// One more may have found the queue full, before the worker took the first out of it.
		if m := e.receive(); m.Code != 503 || len(done) > 0 {
			wantCode(t, m, 200)
			done = append(done, string(m.CSeqMethod))
		}
	}
	if done[0] != "REGISTER" || len(done) < queueLength {
		t.Errorf("%d answers, the first to %s: order was lost", len(done), done[0])
	}
}

// lockDatabase keeps every writer of a SQLite file waiting until unlock.
func lockDatabase(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// The edge that asked closes its connection and is answered where it listens.
func TestAnswerFindsTheEdge(t *testing.T) {
	c, _, _ := start(t, testConfig(t))
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	e := dialEdge(t, c)
	remote := netip.MustParseAddrPort(e.conn.LocalAddr().String())
	wantCode(t, e.ask(request{method: "OPTIONS"}), 200)
	e.conn.Close()
	flows := c.front.flows
	eventually(t, "closed", func() bool {
		return errors.Is(flows.send(remote, []byte("x")), errGone)
	})
	j, err := c.front.workers.job(transport.Flow{Remote: remote}, []byte(strings.Replace(
		e.text(request{method: "OPTIONS"}), "127.0.0.1:5065", listen.Addr().String(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	c.front.begin(t.Context(), j)
	conn, err := listen.Accept()
	if err != nil {
		t.Fatal(err)
	}
	back := &edge{t: t, conn: conn}
	defer conn.Close()
	wantCode(t, back.receive(), 200)
}

// A request to an edge that is not there must not wait for the timers of SIP.
func TestCallsHearOfAnEdgeThatIsGone(t *testing.T) {
	c, _, calls := start(t, testConfig(t))
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := netip.MustParseAddrPort(listen.Addr().String())
	listen.Close()
	if err := c.front.flows.send(nobody, []byte("x")); err != nil {
		t.Fatalf("the dial is behind: %v", err)
	}
	select {
	case to := <-calls.lost:
		if to != nobody {
			t.Errorf("lost %v, want %v", to, nobody)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody told of it")
	}
}

func TestSeed(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, testConfig(t).Database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := RenewDemo(ctx, s); !errors.Is(err, tenancy.ErrNotFound) {
		t.Errorf("renewing a demo that is not: %v", err)
	}
	demo, err := SeedDemo(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SeedDemo(ctx, s); !errors.Is(err, tenancy.ErrExists) {
		t.Errorf("a second seed: %v", err)
	}
	company, err := s.Domain(ctx, "demo.lindero.test")
	if err != nil {
		t.Fatal(err)
	}
	for number, kind := range map[string]tenancy.ExtensionKind{
		"101": tenancy.ToUser, "102": tenancy.ToUser, "600": tenancy.ToEcho, "9196": tenancy.ToEcho, "601": tenancy.ToGreeting,
	} {
		if x, err := company.Extension(ctx, number); err != nil || x.Kind != kind {
			t.Errorf("extension %s: %+v %v", number, x, err)
		}
	}
	renewed, err := RenewDemo(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]bool{}
	for _, u := range append(demo.Users, renewed.Users...) {
		if len(u.Password) != 16 || strings.Trim(u.Password, readable) != "" {
			t.Errorf("password %q", u.Password)
		}
		passwords[u.Password] = true
	}
	if len(passwords) != 4 {
		t.Error("passwords repeat")
	}
}

func TestNewRefuses(t *testing.T) {
	bad := Config{}
	err := bad.Validate()
	for _, key := range []string{"sip", "database", "media", "media_ports", "key_file", "ring_time", "min_expires"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+key+": ") {
			t.Errorf("an empty configuration: no word of %s in %v", key, err)
		}
	}
	if _, err := New(bad, nil, nil); err == nil {
		t.Error("it was built")
	}
	// What a failed New opened is free again.
	cfg := testConfig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg.SIP = netip.MustParseAddrPort(taken.Addr().String())
	if c, err := New(cfg, nil, nil); err == nil {
		t.Error("a port in use was opened", c.close())
	} else if !strings.Contains(err.Error(), cfg.SIP.String()) {
		t.Errorf("the error does not say which port: %v", err)
	}
	cfg.SIP = netip.MustParseAddrPort("127.0.0.1:0")
	c, err := New(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Ready() == nil {
		t.Error("ready before Run")
	}
	run(t, c)
}
