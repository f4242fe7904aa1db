package edge_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// A recorder is a shield that writes down what it is told, each as one line, and
// refuses whom the test says.
type recorder struct {
	mu      sync.Mutex
	refused bool
	asked   map[string]int
	country string
	told    []string
	until   time.Time // of the last registration
}

func (r *recorder) Admit(a netip.Addr, tcp bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil {
		r.asked = map[string]int{}
	}
	r.asked[fmt.Sprint(a, tcp)]++
	return !r.refused
}

func (r *recorder) Holds(netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.refused
}

func (r *recorder) Country(netip.Addr) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.country
}

func (r *recorder) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

func (r *recorder) Known(a netip.Addr) { r.tell("known %v", a) }

func (r *recorder) Registered(a netip.Addr, until time.Time) {
	r.mu.Lock()
	r.until = until
	r.mu.Unlock()
	r.tell("registered %v", a)
}

func (r *recorder) Offended(a netip.Addr, o edge.Offence, proven bool, detail string) {
	r.tell("%s %v proven=%v %s", [...]string{"credentials", "malformed", "scanner"}[o], a, proven, detail)
}

// heard waits for the lines that were told since the last call, in that order.
func (r *recorder) heard(l *lab, want ...string) {
	l.Helper()
	got := func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Join(r.told, "\n")
	}
	l.eventually(strings.Join(want, "\n"), func() bool { return strings.Count(got()+"\n", "\n") >= len(want) && got() != "" })
	if s := got(); s != strings.Join(want, "\n") {
		l.Errorf("the shield was told\n%s\nand not\n%s", s, strings.Join(want, "\n"))
	}
	r.mu.Lock()
	r.told = nil
	r.mu.Unlock()
}

// heardNothing fails if the shield was told anything since the last call.
func (r *recorder) heardNothing(l *lab) {
	l.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.told) > 0 {
		l.Errorf("the shield was told\n%s", strings.Join(r.told, "\n"))
		r.told = nil
	}
}

func (r *recorder) refuse(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = yes
}

// guarded starts a lab with a shield.
func guarded(t *testing.T, change func(*lab, *edge.Config)) *lab {
	return setup(t, func(l *lab, c *edge.Config) {
		l.guard = &recorder{}
		if change != nil {
			change(l, c)
		}
	})
}

const authorization = `Authorization: Digest username="101", realm="demo.lindero.test", nonce="n", uri="sip:demo.lindero.test", response="r"`

func TestWhoIsNotAdmittedReachesNobody(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	a := l.udp("stranger", "127.0.0.1")
	l.guard.refuse(true)
	a.send(l.request("OPTIONS", "sip:demo.lindero.test"))
	if conn, err := net.Dial("tcp", l.addr.TCP.String()); err == nil { // else it was closed at once
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a refused connection read %d bytes, %v", n, err)
		}
	}
	l.eventually("both are refused", func() bool { return l.metric("lindero_edge_transport_total", "outside", "denied") == 2 })
	l.silent("stranger", a.in)
	l.silent("core", l.core.in)
	l.guard.refuse(false)
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	m := l.core.expect("MESSAGE")
	m.conn.answer(m, 200, "core", "")
	a.expect("200")
	l.guard.mu.Lock()
	defer l.guard.mu.Unlock()
	if n := l.guard.asked; n["127.0.0.1 false"] != 2 || n["127.0.0.1 true"] != 1 {
		t.Errorf("the shield was asked %v", n)
	}
}

// Who is refused while connected is not heard any more, nor answered.
func TestAConnectionEndsWithTheLeaveToSpeak(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	a := l.tcp("phone", nil)
	l.register(a, "101")
	l.guard.refuse(true)
	a.send(l.request("OPTIONS", "sip:"+l.addr.TCP.String()))
	l.eventually("the connection ends", func() bool { return l.metric("lindero_edge_live", "outside_connections") == 0 })
	l.silent("phone", a.in)
	if n := l.metric("lindero_edge_transport_total", "outside", "denied"); n != 1 {
		t.Errorf("%v were counted", n)
	}
}

func TestTheCountryIsToldToCore(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	a := l.udp("phone", "127.0.0.1")
	if m := l.register(a, "101"); strings.Contains(m.get(sip.LinderoSource), "country") {
		t.Errorf("an unknown country is told: %s", m.get(sip.LinderoSource))
	}
	l.guard.mu.Lock()
	l.guard.country = "ES"
	l.guard.mu.Unlock()
	m := l.register(a, "101", "Lindero-Source: 192.0.2.1:5060;country=FR")
	if v := m.all(sip.LinderoSource); len(v) != 1 || !strings.HasSuffix(v[0], ";country=ES") || !strings.HasPrefix(v[0], a.me.String()) {
		t.Errorf("core is told %q", v)
	}
}

func TestWhoAnswersAChallengeIsKnown(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, lines string
		code          int
		headers       string
		want          string
	}{
		{"MESSAGE", credentials, 200, "", "known 127.0.0.1"},
		{"MESSAGE", credentials, 404, "", "known 127.0.0.1"},
		{"INVITE", credentials, 603, "", "known 127.0.0.1"},
		{"REGISTER", authorization, 423, "Min-Expires: 60\n", "known 127.0.0.1"},
		{"MESSAGE", "", 200, "", ""}, // core may do without credentials; then there is no proof
		{"MESSAGE", credentials, 400, "", ""},
		{"MESSAGE", credentials, 503, "", ""},
		{"OPTIONS", credentials, 200, "", ""},
		{"MESSAGE", credentials, 407, challengeOf("Proxy-Authenticate", ", stale=true"), ""},
		{"MESSAGE", credentials, 407, challengeOf("Proxy-Authenticate", ""), "credentials 127.0.0.1 proven=%v 101@demo.lindero.test"},
		{"MESSAGE", "", 407, challengeOf("Proxy-Authenticate", ""), ""},
		{"MESSAGE", credentials, 403, "", "credentials 127.0.0.1 proven=%v 101@demo.lindero.test"},
		{"MESSAGE", credentials, 403, "Lindero-Credentials: right\n", "known 127.0.0.1"},
		{"INVITE", credentials, 407, challengeOf("Proxy-Authenticate", "") + "Lindero-Credentials: right\n", "known 127.0.0.1"}, // the callee's
		{"REGISTER", authorization, 401, challengeOf("WWW-Authenticate", ""), "credentials 127.0.0.1 proven=%v 102@demo.lindero.test"},
	}
	l := guarded(t, nil)
	for proven, c := range map[bool]*wire{false: l.udp("phone", "127.0.0.1"), true: l.tcp("phone over TCP", nil)} {
		for _, one := range cases {
			lines := []string{"From: <sip:101@demo.lindero.test>;tag=a"}
			if one.lines != "" {
				lines = append(lines, one.lines)
			}
			c.send(l.request(one.method, "sip:102@demo.lindero.test", lines...))
			m := l.core.expect(one.method)
			m.conn.answer(m, one.code, "core", one.headers)
			if one.method == "INVITE" {
				c.expect("100")
				l.core.expect("ACK")
			}
			if got := c.expect(fmt.Sprint(one.code)); got.Find("Lindero-Credentials") != nil {
				t.Error("core's word to the edge went on to the phone")
			}
			if one.want == "" {
				l.guard.heardNothing(l)
				continue
			}
			want := one.want
			if strings.Contains(want, "%v") {
				want = fmt.Sprintf(want, proven)
			}
			l.guard.heard(l, want)
		}
	}
}

// challengeOf is a challenge line with more parameters.
func challengeOf(header, more string) string {
	return header + `: Digest realm="demo.lindero.test", nonce="n", algorithm=MD5, qop="auth"` + more + "\n"
}

func TestARegistrationIsTrustForAsLongAsItLasts(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	a := l.tcp("phone", nil)
	ends := func(in time.Duration) {
		t.Helper()
		l.guard.mu.Lock()
		defer l.guard.mu.Unlock()
		if left := time.Until(l.guard.until); left > in || left < in-patience {
			t.Errorf("the registration ends in %v, want %v", left, in)
		}
	}
	l.register(a, "101")
	l.guard.heard(l, "registered 127.0.0.1")
	ends(300 * time.Second)
	grant := func(headers string) {
		t.Helper()
		a.send(l.request("REGISTER", "sip:demo.lindero.test", "To: <sip:101@demo.lindero.test>", "Expires: 600"))
		m := l.core.expect("REGISTER")
		m.conn.answer(m, 200, "core", strings.ReplaceAll(headers, "$contact", m.get(sip.Contact)))
		a.expect("200")
	}
	grant("Contact: $contact;expires=600\nContact: <sip:101@192.0.2.9>;expires=7200\n") // the other one is another's
	l.guard.heard(l, "registered 127.0.0.1")
	ends(600 * time.Second)
	grant("Contact: <sip:101@192.0.2.9>;expires=7200\n") // ours has ended; trust ends by itself
	grant("")
	l.guard.heardNothing(l)
}

// What a restarted edge keeps alive it also trusts again.
func TestTrustInRegistrationsSurvivesARestart(t *testing.T) {
	l := guarded(t, often)
	nat := l.homeless("phone behind NAT")
	l.register(nat, "102")
	l.guard.heard(l, "registered 127.0.0.1")
	l.stop()
	name := strings.TrimSuffix(l.cfg.KeyFile, ".key") + ".flows"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, fmt.Appendf(b, "0 192.0.2.9:5060 %d\n", time.Now().Unix()-1), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	l.guard.heard(l, "registered 127.0.0.1")
}

func TestMessagesThatCannotBeReadAreOffences(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	a := l.udp("stranger", "127.0.0.1")
	a.lenient.Store(true)
	for _, fine := range []string{"\r\n\r\n", "\x00\x00\x00\x00", strings.Repeat("\x00", 40), "\x00\x01\x00\x00\x21\x12\xA4\x42abcdefghijkl", "hello"} {
		a.write([]byte(fine))
	}
	a.write([]byte("This is no SIP message at all, is it?\r\n\r\n"))
	l.guard.heard(l, "malformed 127.0.0.1 proven=false malformed request line")
	a.send(l.request("OPTIONS", "sip:demo.lindero.test", "-Call-ID")) // answerable, and an offence
	l.guard.heard(l, "malformed 127.0.0.1 proven=false missing Call-ID")
	a.expect("400")
	b := l.tcp("stranger over TCP", nil)
	b.write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) // TLS where there is none
	l.guard.heard(l, "malformed 127.0.0.1 proven=true not a start line")
	c := l.tcp("phone over TCP", nil)
	c.close()
	l.eventually("it is gone", func() bool { return l.metric("lindero_edge_live", "outside_connections") == 0 })
	l.guard.heardNothing(l)
}

func TestScannersGetNoAnswer(t *testing.T) {
	t.Parallel()
	l := guarded(t, nil)
	udp, tcp := l.udp("scanner", "127.0.0.1"), l.tcp("scanner over TCP", nil)
	udp.send(l.request("OPTIONS", "sip:"+l.addr.UDP.String(), "User-Agent: friendly-scanner"))
	l.guard.heard(l, "scanner 127.0.0.1 proven=false friendly-scanner")
	tcp.send(l.request("INVITE", "sip:00972@demo.lindero.test", "User-Agent: sipcli/v1.8"))
	l.guard.heard(l, "scanner 127.0.0.1 proven=true sipcli")
	l.silent("scanner", udp.in)
	l.silent("scanner over TCP", tcp.in)
	l.silent("core", l.core.in)
	if n := l.verdict("scanner"); n != 2 {
		t.Errorf("%v requests were counted", n)
	}
}

// Without a shield nothing of this is there.
func TestAnEdgeWithoutAShieldServesEverybody(t *testing.T) {
	t.Parallel()
	l := setup(t, nil)
	a := l.udp("scanner", "127.0.0.1")
	a.send(l.request("OPTIONS", "sip:"+l.addr.UDP.String(), "User-Agent: friendly-scanner"))
	a.expect("200")
}
