package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A border is a core's API and a node that filters, as lindero up would have them.
type border struct {
	t    *testing.T
	data string
	api  string
	node *shield.Guard
}

func newBorder(t *testing.T) *border {
	t.Helper()
	data, err := os.MkdirTemp("", "lindero") // a socket's path may not be as long as t.TempDir's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	b := &border{t: t, data: data}
	b.file("operator.token", "operator-0123456789abcdefghij\n")
	b.file("node.token", "node-0123456789abcdefghijklm\n")
	b.file("countries.mmdb", string(worldDatabase(t, 0)))
	core, err := api.New(t.Context(), api.Config{
		Listen: "127.0.0.1:0", Store: storetest.Open(t, "sqlite:"+filepath.Join(data, "core.db")), Countries: b.path("countries.mmdb"),
		Tokens: []api.Token{{Name: "ana", File: b.path("operator.token"), Scope: api.Operator}, {Name: "nodes", File: b.path("node.token"), Scope: api.Node}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.api = "http://" + core.Addr().String()
	b.node, err = shield.New(shield.Config{
		Mode: "user", State: b.path("shield.json"), Countries: b.path("countries.mmdb"), Core: b.api, TokenFile: b.path("node.token"), Control: b.path("control.sock"),
	}, "edge-1", "edge", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{core.Run, b.node.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); wg.Wait() })
	b.eventually("the node is heard", func() bool {
		s := b.node.Status()
		return s.CoreHeard != nil && s.CoreFault == "" && s.Table != nil
	})
	return b
}

func (b *border) path(name string) string { return filepath.Join(b.data, name) }

func (b *border) file(name, text string) string {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.path(name)
}

func (b *border) eventually(what string, is func() bool) {
	b.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s", what)
		}
	}
}

// try runs lindero shield on the border.
func (b *border) try(args ...string) (string, error) {
	b.t.Helper()
	return lindero(b.t, append([]string{"shield", "--data", b.data, "--api", b.api}, args...)...)
}

// do is try for what must work, and say all of want.
func (b *border) do(args []string, want ...string) string {
	b.t.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.t.Fatalf("%v: %v", args, err)
	}
	wantAll(b.t, strings.Join(args, " "), out, want...)
	return out
}

// refused is try for what must not work, and say all of want.
func (b *border) refused(args []string, want ...string) error {
	b.t.Helper()
	out, err := b.try(args...)
	if err == nil {
		b.t.Fatalf("%v was taken: %s", args, out)
	}
	wantAll(b.t, strings.Join(args, " "), err.Error(), want...)
	return err
}

func TestShieldPolicyGoesRound(t *testing.T) {
	b := newBorder(t)
	got := b.do([]string{"policy", "get"}, "# version 0, the built-in policy\n")
	b.do([]string{"policy", "versions"}, "none was put yet")
	b.do([]string{"policy", "put", b.file("same.yaml", got)}, "nothing is different")

	text := strings.Replace(got, "  default: allow\n", "  default: allow\n  deny: [es, FR]\n", 1) +
		"services:\n  media:\n    deny: [PT]\nallow:\n  - prefix: 198.51.100.0/24\n    note: the office\n    expires: 2099-01-31T12:00:00Z\n"
	file := b.file("new.yaml", text)
	changes := []string{"+ countries.deny[ES]", "+ countries.deny[FR]", "+ services.media.deny[PT]", `+ allow[198.51.100.0/24]`, `"the office" until 2099-01-31T12:00:00Z`}
	b.do([]string{"policy", "diff", file}, changes...)
	b.do([]string{"dry-run", file}, append(changes, "would drop", "against version 0", "note: budgets")...)
	b.do([]string{"policy", "put", file, "--note", "Iberia"}, append(changes, "version 1 is in force")...)
	b.eventually("the node has version 1", func() bool { return b.node.Status().PolicyVersion == 1 })
	b.do([]string{"explain", "192.0.2.9"}, "dropped: its country may not use this service", "country_denied", "ES Spain", "version 1", "would change it")
	b.do([]string{"explain", "198.51.100.9"}, "passed: the allow list names the source", "the office")

	// What get prints is what was put; and the file before it is of the past now.
	again := b.do([]string{"policy", "get"}, "# version 1, by ana at ", "# Iberia", "deny: [ES, FR]", "the office")
	b.do([]string{"policy", "put", b.file("again.yaml", again)}, "nothing is different")
	other := b.file("other.yaml", strings.Replace(got, "  unknown: allow", "  unknown: deny", 1))
	b.refused([]string{"policy", "put", other}, "version 1 is in force, not 0: ana changed it", "--any-base")
	b.do([]string{"policy", "put", other, "--any-base"}, "~ countries.unknown", "allow → deny", "version 2 is in force")

	b.do([]string{"policy", "diff"}, "- countries.deny[ES]", "~ countries.unknown")
	b.do([]string{"policy", "diff", "0"}, "~ countries.unknown")
	b.do([]string{"policy", "diff", "0", "1"}, changes...)
	b.do([]string{"policy", "diff", "2", "2"}, "nothing is different")
	b.do([]string{"policy", "rollback", "1", "--note", "sorry"}, "+ countries.deny[ES]", "version 3 is in force; it says what version 1 said")
	b.do([]string{"policy", "versions"}, "3 ", "sorry", "Iberia", "ana")
	b.do([]string{"policy", "get", "2"}, "# version 2", "unknown: deny")
	b.refused([]string{"policy", "rollback", "77"}, "there is no such version")

	var v policy.Version
	if err := json.Unmarshal([]byte(b.do([]string{"policy", "get", "--json"})), &v); err != nil || v.Number != 3 || len(v.Document.Countries.Deny) != 2 || v.Author != "ana" {
		t.Errorf("in JSON: %+v, %v", v, err)
	}
	inJSON := b.file("policy.json", `{"countries":{"deny":["DE"]}}`)
	b.do([]string{"policy", "put", inJSON}, "+ countries.deny[DE]", "version 4 is in force")
}

func TestShieldPolicyFilesAreReadStrictly(t *testing.T) {
	b := newBorder(t)
	file := b.file("bad.yaml", `countries:
  default: perhaps
  deny: [ES, UK]
  dney: [PT]
services:
  sip: {deny: [PT]}
  sip: {deny: [PT]}
  fax: {}
deny:
  - prefix: 203.0.113.1/24
  - 203.0.113.0/24
  - prefix: nowhere
    expires: tomorrow
budgets:
  unknown: {rate: 5, burst: 2000}
bans: {window: soon}
`)
	b.refused([]string{"policy", "put", file},
		file+":2: countries.default:", file+":3: countries.deny[1]:", "the United Kingdom is GB", file+":4: countries.dney: unknown key",
		file+":7: services.sip: here a second time; first on line 6", ":8: services.fax: is no service", ":10: deny[0].prefix:", ":11: deny[1]: wants keys and values",
		`:12: deny[2].prefix: "nowhere" is not a prefix, such as 203.0.113.0/24`, `:13: deny[2].expires: "tomorrow" is not a moment`, ":15: budgets.unknown", ":16: bans.window:")
	b.refused([]string{"dry-run", file}, ":2: countries.default:")
	b.refused([]string{"policy", "diff", b.path("none.yaml")}, "reading the policy", "none.yaml")
	b.do([]string{"policy", "versions"}, "none was put yet")
}

func TestShieldBans(t *testing.T) {
	b := newBorder(t)
	b.do([]string{"bans"}, "nobody is banned")
	b.do([]string{"ban", "203.0.113.9", "--for", "90m", "--reason", "scans all day"}, "203.0.113.9/32 is banned for 90 min")
	b.do([]string{"ban", "2001:db8::77", "--reason", "it too"}, "2001:db8::/64 is banned for 60 min")
	b.do([]string{"bans"}, "203.0.113.9/32", "scans all day", "2001:db8::/64", "it too", "ana")
	b.eventually("the node knows", func() bool { return b.node.Status().Bans == 2 })
	b.do([]string{"explain", "203.0.113.9", "--service", "web"}, "dropped: the source is banned", "for 90 min", "scans all day")
	b.do([]string{"bans", "--here"}, "203.0.113.9/32", "2001:db8::/64")
	b.do([]string{"lift", "2001:db8::1"}, "2001:db8::/64 may speak again")
	b.do([]string{"lift", "203.0.113.9/32"}, "may speak again")
	b.refused([]string{"lift", "203.0.113.9"}, "203.0.113.9/32 is not banned")
	b.eventually("the node knows", func() bool { return b.node.Status().Bans == 0 })

	b.do([]string{"ban", "203.0.113.10", "--here", "--for", "10m", "--reason", "here alone"}, "203.0.113.10/32 is banned for 10 min")
	b.do([]string{"bans", "--here"}, "203.0.113.10/32", "here alone", "operator")
	b.do([]string{"lift", "203.0.113.10", "--here"}, "may speak again")
	b.refused([]string{"lift", "203.0.113.10", "--here"}, "is not banned")

	for _, args := range [][]string{
		{"ban", "203.0.113.0/24", "--reason", "x"}, {"ban", "2001:db8::/48", "--reason", "x"}, {"ban", "somebody", "--reason", "x"}, {"ban", "203.0.113.9"}, {"lift", "203.0.113.9/31"}, {"bans", "all"}, {"ban"},
	} {
		if err := b.refused(args); !errors.As(err, new(usageError)) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
	b.refused([]string{"ban", "203.0.113.9", "--for", "-1h", "--reason", "x"}, "for:")
}

func TestShieldStatusExplainAndTop(t *testing.T) {
	b := newBorder(t)
	b.do([]string{"status"}, "edge-1 (edge)", "this process, at its listeners", "version 0, the built-in policy", "Test-Country 2026-06-17-", "120 countries in 12,002 prefixes", b.api+" answers", "0 known, 0 registered")
	var s shield.Status
	if err := json.Unmarshal([]byte(b.do([]string{"status", "--json"})), &s); err != nil || s.Node != "edge-1" || s.Mode != "user" {
		t.Errorf("%+v, %v", s, err)
	}
	for range 30 { // its budget is 20 at once
		b.node.Admit(netip.MustParseAddr("192.0.2.9"), policy.SIP, false)
	}
	b.do([]string{"explain", "192.0.2.9"}, "192.0.2.9 at sip: dropped: the source is over the budget of its class", "source_budget", "5 more each second", "on edge-1", "version 0, the built-in policy")
	b.do([]string{"explain", "192.0.2.9", "--node", "all"}, "source_budget", "on edge-1")
	b.do([]string{"explain", "2001:db8::9", "--node", "edge-1", "--service", "web"}, "FR France", "at web")
	b.refused([]string{"explain", "192.0.2.9", "--node", "edge-2"}, "there is no node edge-2")
	var all []protocol.Explanation
	if err := json.Unmarshal([]byte(b.do([]string{"explain", "192.0.2.9", "--json"})), &all); err != nil || len(all) != 1 || !all[0].Drops {
		t.Errorf("%+v, %v", all, err)
	}
	// The end of a ban is written in one way only, whoever tells of it.
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	if err := b.node.Ban(protocol.Ban{Prefix: netip.MustParsePrefix("192.0.2.77/32"), Reason: "noise", Until: until, Proven: true}); err != nil {
		t.Fatal(err)
	}
	if said, want := b.do([]string{"explain", "192.0.2.77"}, "banned by edge-1 until"), policy.When(until); strings.Count(said, want) != 2 || strings.Contains(said, until.UTC().Format(time.RFC3339)) {
		t.Errorf("the ban ends %s, and explain says\n%s", want, said)
	}
	b.do([]string{"top", "--once"}, "edge-1", "30 packets since", "VERDICT", "source_budget", "COUNTRY", "ES Spain", "SOURCE", "192.0.2.9")
	var top shield.Top
	if err := json.Unmarshal([]byte(b.do([]string{"top", "--json"})), &top); err != nil || len(top.Counters) != 2 {
		t.Errorf("%+v, %v", top, err)
	}
	for _, args := range [][]string{{"explain", "example.net"}, {"explain"}, {"explain", "192.0.2.9", "--service", "fax"}, {"detach"}, {"frobnicate"}} {
		if err := b.refused(args); !errors.As(err, new(usageError)) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

func TestShieldSaysWhyNobodyAnswers(t *testing.T) {
	data := t.TempDir()
	b := &border{t: t, data: data, api: "http://127.0.0.1:1"}
	b.refused([]string{"status"}, "no shield runs here", filepath.Join(data, "control.sock"), "--control")
	b.refused([]string{"explain", "192.0.2.9"}, "no shield runs here", "--node all")
	b.refused([]string{"bans"}, "no operator's token at "+filepath.Join(data, "operator.token"), "lindero up", "--token-file")
	b.file("operator.token", "whatever")
	b.refused([]string{"bans"}, "core's API at http://127.0.0.1:1 does not answer", "--api")
	b.refused([]string{"detach", "lo", "--pin", data}, "lo")

	for name, c := range map[string]struct {
		status int
		body   string
		want   []string
	}{
		"an unknown token": {401, `{"title":"Unauthorized","status":401,"detail":"no such token"}`, []string{"does not take this token"}},
		"a node's token":   {403, `{"status":403,"detail":"wants operator"}`, []string{"wants an operator's"}},
		"faults":           {422, `{"detail":"2 things are wrong","errors":[{"location":"body.for","message":"is long"},{"location":"body.prefix","message":"is none"}]}`, []string{"for: is long\nprefix: is none"}},
		"a web server":     {404, "<html>not here</html>", []string{"404"}},
		"not lindero":      {200, "<html>hello</html>", []string{"no answer of ours"}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer whatever" {
				t.Errorf("authorization is %q", got)
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		b.api = server.URL
		t.Run(name, func(t *testing.T) { b.refused([]string{"bans"}, c.want...) })
		server.Close()
	}
}

// What a stranger chose, such as a name, cannot command the terminal it is shown on.
func TestShieldPrintsWordsAndNothingElse(t *testing.T) {
	dir, err := os.MkdirTemp("", "lindero")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]protocol.Ban{{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Reason: "a\x1b[2Jb\nc", By: "\u009b31m"}})
	}))
	server.Listener = l
	server.Start()
	defer server.Close()
	out, err := lindero(t, "shield", "bans", "--here", "--data", dir)
	if err != nil || strings.ContainsAny(out, "\x1b\u009b") || strings.Count(out, "\n") != 2 {
		t.Errorf("%q, %v", out, err)
	}
}
