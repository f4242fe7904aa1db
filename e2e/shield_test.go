package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
)

// at makes a phone that sends from an address.
func at(address string) func(*phone.Config) {
	return func(c *phone.Config) { c.Local = netip.AddrPortFrom(netip.MustParseAddr(address), 0) }
}

// fast makes a phone give up soon: 64 times T1.
func fast(c *phone.Config) {
	c.Timing = phone.Timing{T1: 25 * time.Millisecond, T2: 100 * time.Millisecond}
}

// heard tells whether h can register.
func (h *handset) heard() bool {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := h.Register(ctx, 5*time.Minute)
	return err == nil
}

// Without privileges the listeners enforce what the kernel would: a country and a
// network that may not come in get nothing, by UDP and TCP, while others do.
func TestWhoThePolicyDeniesGetsNothing(t *testing.T) {
	dir := lab.DataDir(t)
	countries(t, dir, map[string]string{"127.0.0.1/32": "ES", "127.0.0.8/32": "FR"})
	i := startUp(t, dir)
	spain, france, network := newPhone(t, i, "101", "udp", fast), newPhone(t, i, "102", "udp", fast, at("127.0.0.8")), newPhone(t, i, "102", "udp", fast, at("127.0.0.9"))
	for _, h := range []*handset{spain, france, network} {
		if !h.heard() {
			t.Fatal("a phone gets no answer before anybody is denied")
		}
	}
	i.enforce(t, object{
		"countries": object{"default": "allow", "deny": []string{"FR"}},
		"deny":      []object{{"prefix": "127.0.0.9/32", "note": "the example"}},
	})
	if france.heard() {
		t.Error("a denied country gets an answer")
	}
	if network.heard() {
		t.Error("a denied network gets an answer")
	}
	if !spain.heard() {
		t.Error("somebody who is not denied gets none")
	}
	echo, err := spain.try("600")
	if err != nil {
		t.Fatal(err)
	}
	_ = echo.Hangup(t.Context())
	for _, source := range []string{"127.0.0.8", "127.0.0.9"} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
		if c, err := dialer.Dial("tcp", i.sip.String()); err == nil {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a connection from %s stays open: %v", source, err)
			}
			_ = c.Close()
		}
	}
	if e := i.explain(t, "127.0.0.8"); !e.Drops || e.Verdict != "country_denied" || e.Country != "FR" || !strings.Contains(e.Rule, "FR") || len(e.Change) == 0 {
		t.Errorf("why not France: %+v", e)
	}
	if e := i.explain(t, "127.0.0.9"); !e.Drops || e.Verdict != "denied" || !strings.Contains(e.Rule, "127.0.0.9") || !strings.Contains(e.Rule, "the example") {
		t.Errorf("why not the network: %+v", e)
	}
	if e := i.explain(t, "127.0.0.1"); e.Drops || e.Country != "ES" || e.Class != "registered" {
		t.Errorf("why Spain: %+v", e)
	}
	i.enforce(t, object{})
	if !france.heard() || !network.heard() {
		t.Error("who is not denied any more gets no answer")
	}
	connected := newPhone(t, i, "102", "tcp", fast)
	if !connected.heard() {
		t.Fatal("a phone over TCP gets no answer")
	}
	i.enforce(t, object{"deny": []object{{"prefix": "127.0.0.1/32"}}})
	if connected.heard() {
		t.Error("a connection from before goes on")
	}
}

// Five wrong passwords make a ban, which says why and until when, is in force,
// survives a restart and can be lifted.
func TestGuessingPasswordsEndsInABan(t *testing.T) {
	// A phone's connections come from 127.0.0.1 whatever its address.
	for protocol, from := range map[string]string{"udp": "127.0.0.7", "tcp": "127.0.0.1"} {
		t.Run(protocol, func(t *testing.T) {
			i := startUp(t, lab.DataDir(t))
			i.enforce(t, object{"bans": object{"failures": 5, "duration": "20m"}})
			guess := func() error {
				h := newPhone(t, i, "101", protocol, fast, at(from), func(c *phone.Config) { c.Password = "wrong" })
				defer h.stop()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				return h.Register(ctx, 5*time.Minute)
			}
			for n := range 5 {
				if err := guess(); phone.Code(err) != 401 {
					t.Fatalf("guess %d: %v", n+1, err)
				}
			}
			ban := i.banned(t, from+"/32")
			if left := time.Until(ban.Until); !strings.Contains(ban.Reason, "5 wrong credentials") || !strings.Contains(ban.Reason, "101@demo.lindero.test") ||
				left < 15*time.Minute || left > 20*time.Minute || ban.Proven != (protocol == "tcp") {
				t.Errorf("the ban is %+v", ban)
			}
			e := i.explain(t, from)
			if e.Verdict != "banned" || e.BanEnds == nil || e.BanEnds.Sub(ban.Until).Abs() > time.Second || e.BanReason != ban.Reason || len(e.Change) == 0 {
				t.Errorf("why: %+v", e)
			}
			if err := guess(); phone.Code(err) == 401 {
				t.Error("a banned source may go on guessing")
			}
			owner := newPhone(t, i, "101", "udp", at("127.0.0.3"))
			owner.register() // from elsewhere: only the source is banned

			i.Kill()
			i = i.restart(t)
			if err := guess(); phone.Code(err) == 401 {
				t.Error("a restart lifts the ban")
			}
			if again := i.banned(t, from+"/32"); again.Reason != ban.Reason || again.Until.Sub(ban.Until).Abs() > time.Second {
				t.Errorf("after a restart the ban is %+v and was %+v", again, ban)
			}
			if code := i.api(t, "DELETE", "/api/v1/shield/bans/"+url.PathEscape(from+"/32"), nil, nil); code/100 != 2 {
				t.Fatalf("lifting it: %d", code)
			}
			if !eventually(patience, func() bool { return phone.Code(guess()) == 401 }) {
				t.Error("a source whose ban was lifted gets no answer")
			}
		})
	}
}

// A scanner gets no answer, not even a refusal, and is banned at the third datagram:
// a single one may be forged.
func TestAScannerMeetsNobody(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP("127.0.0.6")}, net.UDPAddrFromAddrPort(i.sip))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(agent string) bool {
		t.Helper()
		text := "OPTIONS sip:" + i.sip.String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + c.LocalAddr().String() + ";branch=z9hG4bK" + agent + "\r\nMax-Forwards: 70\r\n" +
			"From: <sip:100@192.0.2.1>;tag=1\r\nTo: <sip:100@192.0.2.1>\r\nCall-ID: " + agent + "\r\nCSeq: 1 OPTIONS\r\nUser-Agent: " + agent + "\r\nContent-Length: 0\r\n\r\n"
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _ := c.Read(make([]byte, 2000))
		return n > 0
	}
	if !ask("Yealink") {
		t.Fatal("a phone gets no answer")
	}
	for range 3 {
		if ask("friendly-scanner") {
			t.Error("a scanner gets an answer")
		}
	}
	if ban := i.banned(t, "127.0.0.6/32"); !strings.Contains(ban.Reason, "scanner") || !strings.Contains(ban.Reason, "friendly-scanner") {
		t.Errorf("the ban is %+v", ban)
	}
	if ask("Yealink") {
		t.Error("a banned scanner that calls itself otherwise gets an answer")
	}
}

// The API opens to its tokens only; the page's address is printed with one.
func TestTheTablePrintsAKeyThatOpensTheAPI(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	token, err := os.ReadFile(i.demo.Operator)
	if err != nil {
		t.Fatal(err)
	}
	if key := i.demo.API + "/#token=" + strings.TrimSpace(string(token)); !strings.Contains(i.Output(), key) {
		t.Errorf("%s is not in\n%s", key, i.Output())
	}
	if code := i.api(t, "GET", "/api/v1/shield/stats", nil, nil); code != 200 {
		t.Errorf("with the key: %d", code)
	}
	resp, err := http.Get(i.demo.API + "/api/v1/shield/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("without any: %s", resp.Status)
	}
}

// A company's own networks are judged once it is known whose phone it is, and
// whoever is away has as many calls as the company lets.
func TestACompanyBoundsWhereItsPhonesAre(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	var companies []struct {
		ID     int64  `json:"id"`
		Domain string `json:"domain"`
	}
	if code := i.api(t, "GET", "/api/v1/companies", nil, &companies); code != 200 || len(companies) != 1 || companies[0].Domain != i.demo.Domain {
		t.Fatalf("companies: %d %+v", code, companies)
	}
	access := "/api/v1/companies/1/access"
	away, office := newPhone(t, i, "101", "udp", at("127.0.0.5")), newPhone(t, i, "102", "udp")
	bound := func(warriors int) {
		t.Helper()
		body := object{"networks": []object{{"prefix": "127.0.0.1/32", "note": "office"}}, "road_warrior": warriors}
		if code := i.api(t, "PUT", access, body, nil); code != 200 {
			t.Fatalf("access: %d", code)
		}
	}
	register := func(h *handset) int {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return phone.Code(h.Register(ctx, 5*time.Minute))
	}
	bound(0)
	office.register()
	for range 12 { // more than make a ban of wrong passwords
		if code := register(away); code != 403 {
			t.Fatalf("registering away: %d, want 403", code)
		}
	}
	away.refused("600", 403)
	bound(1)
	away.register()
	first, err := away.try("600")
	if err != nil {
		t.Fatal(err)
	}
	away.refused("600", 403)
	if err := first.Hangup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !eventually(patience, func() bool {
		c, err := away.try("600")
		return err == nil && c.Hangup(t.Context()) == nil
	}) {
		t.Error("after the call no other is let through")
	}
	if n := i.metric(t, "lindero_core_access_total", `ground="elsewhere"`); n != 13 {
		t.Errorf("%v refusals are counted, want 13", n)
	}
	if n := strings.Count(i.Output(), "access refused"); n < 1 || n > 2 { // a minute may end meanwhile
		t.Errorf("%d lines tell of them", n)
	}
}

// A policy reaches every node at once, and outlives core: an edge that starts
// without it enforces the last good one.
func TestAPolicyOutlivesCore(t *testing.T) {
	d := deploy(t)
	denied, other := newPhone(t, &d.instance, "102", "udp", fast, at("127.0.0.9")), newPhone(t, &d.instance, "101", "udp", fast)
	if !denied.heard() || !other.heard() {
		t.Fatal("phones get no answer")
	}
	d.enforce(t, object{"deny": []object{{"prefix": "127.0.0.9/32", "note": "the example"}}})
	nodes := map[string]bool{}
	for _, e := range d.explained(t, "127.0.0.9") {
		nodes[e.Node] = e.Drops && strings.Contains(e.Rule, "the example")
	}
	if len(nodes) != 2 || !nodes["edge-1"] || !nodes["relay-1"] {
		t.Errorf("the nodes say %v", nodes)
	}
	if denied.heard() || !other.heard() {
		t.Error("the edge does not enforce the policy")
	}
	d.crash("core")
	d.crash("edge")
	d.begin("edge").Await("edge serves", 1, 20*time.Second) // it is not ready, for there is no core
	answered := func(from string) bool {
		t.Helper()
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, net.UDPAddrFromAddrPort(d.sip))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text := "OPTIONS sip:" + d.sip.String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + c.LocalAddr().String() + ";branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
			"From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _ := c.Read(make([]byte, 2000))
		return n > 0
	}
	if answered("127.0.0.9") {
		t.Error("without core the edge forgets whom it denies")
	}
	if !answered("127.0.0.1") {
		t.Error("without core the edge answers nobody")
	}
}
