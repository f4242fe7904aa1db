package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// socket is a client of a control socket.
func socket(t *testing.T, path string) func(method, target string, body any) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, target string, body any) (int, string) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(method, "http://lindero"+target, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func TestTheControlSocket(t *testing.T) {
	cfg := testConfig(t)
	cfg.Control = filepath.Join(t.TempDir(), "control.sock")
	g, stop := running(t, cfg)
	eventually(t, "the socket is there", func() bool { _, err := os.Stat(cfg.Control); return err == nil })
	ask := socket(t, cfg.Control)

	_, text := ask("GET", "/status", nil)
	if s := decode[Status](t, text); s.Node != "edge-1" || s.Mode != "user" || s.Reason == "" || s.Table != nil {
		t.Errorf("the status is %s", text)
	}
	if at, err := os.Stat(cfg.Control); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", at.Mode(), err)
	}

	code, text := ask("POST", "/bans", BanRequest{Prefix: "203.0.113.9", Reason: "a test", For: policy.Duration(time.Hour), By: "ana"})
	if code != http.StatusNoContent {
		t.Fatalf("a ban: %d %s", code, text)
	}
	if g.Admit(addr("203.0.113.9"), policy.SIP, true) {
		t.Error("banned and let in")
	}
	_, text = ask("GET", "/bans", nil)
	if b := decode[[]protocol.Ban](t, text); len(b) != 1 || b[0].By != "ana" || b[0].Reason != "a test" || b[0].Prefix != pfx("203.0.113.9/32") {
		t.Errorf("the bans are %s", text)
	}
	_, text = ask("GET", "/explain?service=sip&address=203.0.113.9", nil)
	if e := decode[protocol.Explanation](t, text); e.Verdict != "banned" || e.BanReason != "a test" || !strings.Contains(e.Rule, "ana") || len(e.Change) == 0 {
		t.Errorf("explained as %s", text)
	}
	_, text = ask("GET", "/top?limit=5", nil)
	if top := decode[Top](t, text); count(top.Counters, "banned") != 1 {
		t.Errorf("the counters are %s", text)
	}
	if code, text = ask("DELETE", "/bans/"+url.PathEscape("203.0.113.9/32"), nil); code != http.StatusNoContent {
		t.Errorf("lifting: %d %s", code, text)
	}
	if code, _ = ask("DELETE", "/bans/203.0.113.9/32", nil); code != http.StatusNotFound {
		t.Errorf("lifting again: %d", code)
	}
	if !g.Admit(addr("203.0.113.9"), policy.SIP, true) {
		t.Error("lifted and dropped")
	}
	for target, want := range map[string]int{
		"GET /explain?address=nobody": 400, "GET /explain?address=192.0.2.1&service=gopher": 400,
		"GET /top?limit=0": 400, "DELETE /bans/192.0.2.0%2F24": 400, "GET /nothing": 404, "PUT /bans": 405,
	} {
		method, path, _ := strings.Cut(target, " ")
		if code, text := ask(method, path, nil); code != want {
			t.Errorf("%s: %d %s, want %d", target, code, text, want)
		}
	}
	for _, bad := range []BanRequest{
		{Prefix: "203.0.113.0/24", For: policy.Duration(time.Hour)}, {Prefix: "203.0.113.9"}, {Prefix: "x", For: 1},
		{Prefix: "203.0.113.9", Until: time.Now().Add(-time.Hour)}, {Prefix: "203.0.113.9", For: 1, Until: time.Now().Add(time.Hour)},
	} {
		if code, _ := ask("POST", "/bans", bad); code != http.StatusBadRequest {
			t.Errorf("%+v: %d", bad, code)
		}
	}
	stop()
	if _, err := os.Stat(cfg.Control); err == nil {
		t.Error("the socket is left behind")
	}
	eventually(t, "no goroutine of the guard is left", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "shield.(*Guard)")
	})
}

func TestASocketLeftBehindIsTakenOverAndAUsedOneIsNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	first, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(path); err == nil {
		t.Error("a socket in use was taken")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close() // as a process that dies
	second, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	file := filepath.Join(dir, "a file")
	if err := os.WriteFile(file, []byte("of somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(file); err == nil {
		t.Error("a file was taken for a socket")
	}
}

func TestAnOperatorsBanSurvivesARestart(t *testing.T) {
	cfg := testConfig(t)
	g, stop := running(t, cfg)
	if err := g.Ban(protocol.Ban{Prefix: pfx("2001:db8:7:8::5/128"), Reason: "a test", Until: time.Now().Add(time.Hour), Proven: true}); err != nil {
		t.Fatal(err)
	}
	g.Registered(addr("192.0.2.1"), time.Now().Add(time.Hour))
	eventually(t, "it is registered", func() bool { return g.Status().Sources["registered"] == 1 })
	stop()

	g = guard(t, cfg)
	if g.Admit(addr("2001:db8:7:8::99"), policy.SIP, false) {
		t.Error("the ban was forgotten")
	}
	if s := g.Status(); s.Sources["registered"] != 1 || s.Bans != 1 {
		t.Errorf("remembered are %+v", s)
	}
	if was, err := g.Lift(pfx("2001:db8:7:8::/64")); !was || err != nil {
		t.Errorf("lifted: %v, %v", was, err)
	}
	if !g.Admit(addr("2001:db8:7:8::99"), policy.SIP, false) {
		t.Error("lifted and dropped")
	}
}

func TestMetricsAreReadOnScrape(t *testing.T) {
	cfg := testConfig(t)
	cfg.Countries = filepath.Join(t.TempDir(), "countries.mmdb")
	writeCountries(t, cfg.Countries, map[string]string{"203.0.113.0/24": "DE"})
	reg := prometheus.NewRegistry()
	g, err := New(cfg, "edge-1", "edge", quiet(), reg)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.Admit(addr("203.0.113.9"), policy.SIP, false)
	}
	g.note(event{kind: sawOffence, source: addr("192.0.2.9"), offence: Scanner, proven: true}, time.Now())
	g.Admit(addr("192.0.2.9"), policy.SIP, false)
	got := scrape(t, reg)
	for name, want := range map[string]float64{
		"lindero_shield_packets_total country=DE verdict=passed": 3,
		"lindero_shield_packets_total country=ZZ verdict=banned": 1,
		"lindero_shield_bans":                           1,
		"lindero_shield_sources class=known":            0,
		"lindero_shield_policy_version":                 0,
		"lindero_shield_mode_info mode=user":            1,
		"lindero_shield_offences_total offence=scanner": 1,
		"lindero_shield_faults_total fault=report":      0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	packets, table := 0, false
	for name := range got {
		if strings.HasPrefix(name, "lindero_shield_packets_total") {
			packets++
		}
		table = table || strings.HasPrefix(name, "lindero_shield_table_info type=Test-Country version=2")
	}
	if packets != 2 || !table {
		t.Errorf("%d cells that are not zero, table %v: %v", packets, table, got)
	}
	g.Close()
	if len(scrape(t, reg)) != 0 {
		t.Error("a closed guard is still scraped")
	}
}

// scrape reads every metric as "name label=value …".
func scrape(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}
