package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/shield/protocol"
)

// api asks core's HTTP as the operator. in and out may be nil. It returns the
// status and decodes what is no error into out.
func (i *instance) api(t *testing.T, method, path string, in, out any) int {
	t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	token, err := os.ReadFile(i.demo.Operator)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, i.demo.API+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		t.Logf("%s %s: %s\n%s", method, path, resp.Status, text)
	} else if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

// object is JSON in a test.
type object = map[string]any

// enforce puts a policy into force and waits until the shield has it.
func (i *instance) enforce(t *testing.T, document object) {
	t.Helper()
	var v struct {
		Version uint64 `json:"version"`
	}
	if code := i.api(t, "PUT", "/api/v1/shield/policy", object{"document": document, "note": "a test"}, &v); code != 200 {
		t.Fatalf("the policy was answered by %d", code)
	}
	if !eventually(patience, func() bool { return i.explain(t, "192.0.2.1").PolicyVersion == v.Version }) {
		t.Fatalf("version %d is not in force", v.Version)
	}
}

// explain asks what would become of an address's next datagram.
func (i *instance) explain(t *testing.T, address string) protocol.Explanation {
	t.Helper()
	var all []protocol.Explanation
	if code := i.api(t, "GET", "/api/v1/shield/explain?service=sip&address="+url.QueryEscape(address), nil, &all); code != 200 || len(all) != 1 {
		t.Fatalf("explain: %d, %+v", code, all)
	}
	return all[0]
}

// at makes a phone that sends from an address.
func at(address string) func(*phone.Config) {
	return func(c *phone.Config) { c.Local = netip.AddrPortFrom(netip.MustParseAddr(address), 0) }
}

// fast makes a phone give up soon: 64 times T1.
func fast(c *phone.Config) {
	c.Timing = phone.Timing{T1: 10 * time.Millisecond, T2: 40 * time.Millisecond}
}

// heard tells whether h can register.
func (h *handset) heard() bool {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := h.Register(ctx, 5*time.Minute)
	return err == nil
}

// countries writes a country database in which addresses of loopback stand for
// those of countries.
func countries(t *testing.T, dir string, prefixes map[string]string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", IncludeReservedNetworks: true, RecordSize: 24, IPVersion: 6})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range prefixes {
		_, network, err := net.ParseCIDR(prefix)
		if err == nil {
			err = tree.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "countries.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.WriteTo(f)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		t.Fatal(err)
	}
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

// banned waits for a ban to be listed.
func (i *instance) banned(t *testing.T, prefix string) (found protocol.Ban) {
	t.Helper()
	if !eventually(patience, func() bool {
		var all []protocol.Ban
		if i.api(t, "GET", "/api/v1/shield/bans", nil, &all) != 200 {
			return false
		}
		for _, b := range all {
			if b.Prefix.String() == prefix {
				found = b
				return true
			}
		}
		return false
	}) {
		t.Fatalf("no ban of %s is listed", prefix)
	}
	return found
}

// A scanner gets no answer, not even a refusal, and is banned at once.
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
	if ask("friendly-scanner") {
		t.Error("a scanner gets an answer")
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
