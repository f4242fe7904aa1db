package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// countries writes a country database of documentation ranges.
func countries(t testing.TB) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range map[string]string{"192.0.2.0/24": "ES", "198.51.100.0/24": "DE", "203.0.113.0/24": "FR", "198.18.0.0/15": "FR", "2001:db8::/32": "FR"} {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "countries.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

// startPlaced is start with a country database in use.
func startPlaced(t testing.TB) *service {
	t.Helper()
	path := countries(t)
	k := start(t, func(c *api.Config) { c.Countries = path })
	eventually(t, "a country database", func() bool { return do[api.Stats](k, 200, "GET", "/shield/stats", "").TableVersion != "" })
	return k
}

// register makes a live binding of c's terminal.
func register(t testing.TB, c storetest.Company, key, source string) {
	t.Helper()
	err := c.SaveBinding(t.Context(), tenancy.Binding{Terminal: c.Terminal.ID, Key: key, Contact: "sip:x@y", CallID: key, CSeq: 1,
		Source: source, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
}

func seen(service string, addresses ...string) (all []protocol.Seen) {
	for _, a := range addresses {
		all = append(all, protocol.Seen{Address: netip.MustParseAddr(a), Country: "ZZ", Class: "unknown", Service: service, Verdict: "passed", Packets: 64})
	}
	return all
}

func TestDryRun(t *testing.T) {
	k := startPlaced(t)
	c := storetest.Make(t, k.store, "a.test", "101", "101")
	register(t, c, "in", "192.0.2.7:5060;transport=udp")
	register(t, c, "out", "203.0.113.9:5062;transport=udp;edge=e1")
	register(t, c, "six", "[2001:db8::1:7]:5062;transport=tls")
	register(t, c, "odd", "not an address")
	k.report("edge1", protocol.Report{Seen: slices.Concat(
		seen("sip", "203.0.113.9", "203.0.113.10", "203.0.113.11", "198.51.100.1", "2001:db8::"),
		seen("web", "203.0.113.10", "203.0.113.99"), seen("sip", "0.0.0.7"))})
	var many []protocol.Seen
	for i := range 1200 {
		many = append(many, seen("sip", netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String())...)
	}
	k.report("edge1", protocol.Report{Seen: many})

	d := do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{"services":{"sip":{"default":"deny","allow":["ES","DE"]}},"allow":[{"prefix":"203.0.113.11/32"}]}}`)
	// 203.0.113.9, .10, 2001:db8::/64 and 1200 more; .99 was seen at another service, .11 is allowed.
	if d.WouldDrop != 1203 || d.WouldPassAgain != 0 || d.Sources != 1208 || d.VersionChecked != 0 {
		t.Errorf("dropped %d of %d, let in %d", d.WouldDrop, d.Sources, d.WouldPassAgain)
	}
	if want := []api.DryCountry{{Country: "FR", Sources: 1203, Registered: 2}}; !slices.Equal(d.ByCountry, want) {
		t.Errorf("by country: %+v, want %+v", d.ByCountry, want)
	}
	want := "would drop 1,203 sources in 1 country, 2 of them registered: Ana of c (101 at 203.0.113.9, FR), Ana of c (101 at 2001:db8::1:7, FR)"
	if d.Summary != want {
		t.Errorf("summary\n%s, want\n%s", d.Summary, want)
	}
	if len(d.RegisteredDropped) != 2 || d.RegisteredDropped[0].Rule != "services.sip: default is deny, and no list names FR" {
		t.Errorf("registered: %+v", d.RegisteredDropped)
	}
	if !strings.Contains(strings.Join(d.Notes, "\n"), "budgets") || len(d.Changes) == 0 || d.Window == "" {
		t.Errorf("notes %q, changes %v, window %q", d.Notes, d.Changes, d.Window)
	}

	// A phone that would lose another service than SIP is named too.
	k.report("edge1", protocol.Report{Seen: seen("media", "203.0.113.9")})
	d = do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{"services":{"media":{"deny":["FR"]}}}}`)
	if d.Summary != "would drop 1 source in 1 country, 1 of them registered: Ana of c (101 at 203.0.113.9, FR)" {
		t.Errorf("another service: %+v", d)
	}

	// Put into force, the same document changes nothing more, and its opposite lets them in again.
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	d = do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{"countries":{"deny":["FR"]}}}`)
	if d.WouldDrop != 0 || d.WouldPassAgain != 0 || d.Summary != "would drop nobody who was seen or is registered" {
		t.Errorf("the same policy: %+v", d)
	}
	d = do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{"countries":{"deny":["DE"]}}}`)
	if d.WouldDrop != 1 || d.WouldPassAgain != 1205 || d.VersionChecked != 1 ||
		d.Summary != "would drop 1 source in 1 country, none of them registered; would let in 1,205 sources that are dropped today" {
		t.Errorf("the opposite: %+v", d)
	}
	p := do[problem](k, 422, "POST", "/shield/dry-run", `{"document":{"countries":{"default":"deny"}}}`)
	if p.locations() != "body.document.countries" {
		t.Errorf("a policy for nobody: %+v", p)
	}
}

// A banned source stays out whatever a country rule says.
func TestDryRunKnowsBans(t *testing.T) {
	k := startPlaced(t)
	k.report("edge1", protocol.Report{Seen: seen("sip", "203.0.113.9", "203.0.113.10")})
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	do[protocol.Ban](k, 201, "POST", "/shield/bans", `{"prefix":"203.0.113.9","reason":"x","for":"1h"}`)
	if d := do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{}}`); d.WouldPassAgain != 1 {
		t.Errorf("%d would pass again, want the one that is not banned", d.WouldPassAgain)
	}
}

func TestExplainWithoutNodes(t *testing.T) {
	k := startPlaced(t)
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]},"allow":[{"prefix":"203.0.113.0/28","note":"office"}],
		"deny":[{"prefix":"192.0.2.128/25","note":"noisy"}],"carriers":[{"prefix":"203.0.113.64/28"}],"services":{"web":{"default":"allow"}}}}`)
	do[protocol.Ban](k, 201, "POST", "/shield/bans", `{"prefix":"192.0.2.1","reason":"guessed passwords","for":"1h"}`)
	for query, want := range map[string]struct{ verdict, country, rule, change, class string }{
		"203.0.113.99":             {"country_denied", "FR", "countries: deny names FR", "take FR out of deny in countries", "unknown"},
		"203.0.113.99&service=web": {"passed", "FR", "services.web: default is allow, and no list names FR", "", "unknown"},
		"203.0.113.1":              {"allowed", "FR", "allow 203.0.113.0/28 (office)", "", "unknown"},
		"203.0.113.65":             {"passed", "FR", "carriers 203.0.113.64/28", "", "carrier"},
		"192.0.2.200":              {"denied", "ES", "deny 192.0.2.128/25 (noisy)", "take 192.0.2.128/25 out of deny", "unknown"},
		"192.0.2.1":                {"banned", "ES", "banned by ana: guessed passwords", "lift the ban of 192.0.2.1/32", "banned"},
		"::ffff:192.0.2.1":         {"banned", "ES", "banned by ana: guessed passwords", "lift the ban of 192.0.2.1/32", "banned"},
		"192.0.2.2":                {"passed", "ES", "countries: default is allow", "", "unknown"},
		"2001:db8:1::7":            {"country_denied", "FR", "countries: deny names FR", "take FR out of deny", "unknown"},
		"224.0.0.1":                {"malformed", "ZZ", "no packet can come from this address", "", "unknown"},
	} {
		all := do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address="+query, "")
		if len(all) != 1 {
			t.Fatalf("%s: %+v", query, all)
		}
		e := all[0]
		if e.Verdict != want.verdict || e.Country != want.country || !strings.HasPrefix(e.Rule, want.rule) || e.Class != want.class ||
			!strings.Contains(strings.Join(e.Change, "|"), want.change) || e.PolicyVersion != 1 || e.TableVersion == "" {
			t.Errorf("%s: %+v, want %+v", query, e, want)
		}
		if e.Node != "core" || !strings.Contains(e.Rule, "no node answered") || e.Drops != (len(e.Change) > 0 || e.Verdict == "malformed") {
			t.Errorf("%s: %+v", query, e)
		}
	}
}

// Nodes that are there are asked, and the person has an answer soon.
func TestExplainAsksNodes(t *testing.T) {
	k := start(t)
	first := k.watch("edge1", 0, "")
	var all sync.WaitGroup
	for _, node := range []string{"edge1", "edge2"} {
		all.Go(func() { // a node: waits, answers, waits again
			for {
				o := k.watch(node, 0, first.BansRevision)
				if len(o.Questions) == 0 {
					continue // somebody else's news
				}
				q := o.Questions[0]
				k.report(node, protocol.Report{Answers: []protocol.Explanation{{ID: q.ID, Node: "a liar", Address: q.Address, Service: q.Service, Verdict: "passed", Rule: "rule of " + node}}})
				// Again, as after an answer that was lost.
				k.report(node, protocol.Report{Answers: []protocol.Explanation{{ID: q.ID, Address: q.Address, Verdict: "denied"}}})
				return
			}
		})
	}
	eventually(t, "both waiting", func() bool { return gauge(t, k, "lindero_core_watches") == 2 })
	began := time.Now()
	got := do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address=192.0.2.1", "")
	all.Wait()
	if len(got) != 2 || got[0].Node != "edge1" || got[1].Rule != "rule of edge2" || got[1].Verdict != "passed" || got[0].ID != "" || got[0].Change == nil {
		t.Errorf("answers: %+v", got)
	}
	t.Logf("two nodes answered within %v", time.Since(began))

	// Nobody waits now, but both were heard a moment ago: they are asked, and do not answer.
	began = time.Now()
	got = do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address=192.0.2.1&node=edge1", "")
	if took := time.Since(began); len(got) != 1 || got[0].Node != "core" || took > 2*time.Second {
		t.Errorf("after %v: %+v", took, got)
	}
}

// Whoever looks on is told at once and then every second.
func TestStream(t *testing.T) {
	k := start(t)
	k.report("edge1", protocol.Report{Role: "edge", Counters: []protocol.Counter{{Country: "ES", Verdict: "passed", Packets: 1000}}})
	r, err := http.NewRequestWithContext(t.Context(), "GET", k.url+"/api/v1/shield/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+operatorToken)
	resp, err := k.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" || resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	lines, events := bufio.NewScanner(resp.Body), 0
	var speed float64
	for events < 4 && lines.Scan() {
		switch data, ok := strings.CutPrefix(lines.Text(), "data: "); {
		case ok:
			var s api.Stats
			if err := json.Unmarshal([]byte(data), &s); err != nil || len(s.Nodes) != 1 {
				t.Fatalf("%v\n%s", err, data)
			}
			events++
			if speed = s.Counters[0].PerSecond; speed > 0 {
				events = 4
			}
			packets := s.Counters[0].Packets + 500
			k.report("edge1", protocol.Report{Role: "edge", Counters: []protocol.Counter{{Country: "ES", Verdict: "passed", Packets: packets}}})
		case lines.Text() != "" && lines.Text() != "event: stats":
			t.Fatalf("an unknown line %q", lines.Text())
		}
	}
	if speed < 100 || speed > 2000 {
		t.Errorf("%v packets a second were counted of about 500", speed)
	}
}

// The API's description is what clients are made of: a change of it is seen here.
// Write the file anew with UPDATE_GOLDEN=1.
func TestOpenAPI(t *testing.T) {
	k := start(t)
	got := k.call("", "GET", "/api/v1/openapi.yaml", "")
	got.want(t, 200)
	const golden = "testdata/openapi.yaml"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, got.body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.body) != string(want) {
		a, b := strings.Split(string(got.body), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d is %q, was %q", i+1, a[i], b[i])
			}
		}
		t.Fatalf("%d lines, were %d", len(a), len(b))
	}
	var doc struct{ OpenAPI string }
	if err := json.Unmarshal(k.call("", "GET", "/api/v1/openapi.json", "").body, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %q %v", doc.OpenAPI, err)
	}
	if !strings.Contains(string(want), fmt.Sprintf("%q", "operator")) && !strings.Contains(string(want), "operator:") {
		t.Error("no word of what a token is for")
	}
}

// A ban on evidence that could be forged takes nothing from who is registered, nor
// from a connection: what core says of them is what a node does.
func TestAnUnprovenBanTakesNothingFromWhoEarnedTrust(t *testing.T) {
	k := startPlaced(t)
	c := storetest.Make(t, k.store, "a.test", "101", "101")
	register(t, c, "phone", "203.0.113.9:5062;transport=udp")
	now := time.Now()
	var bans []tenancy.Ban
	for _, a := range []string{"203.0.113.9/32", "203.0.113.10/32", "203.0.113.11/32"} {
		bans = append(bans, tenancy.Ban{Prefix: netip.MustParsePrefix(a), Reason: "3 datagrams of a scanner", Since: now, Until: now.Add(time.Hour), By: "edge1"})
	}
	if _, err := k.store.Platform().TakeBans(t.Context(), bans); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bans are known", func() bool { return do[api.Stats](k, 200, "GET", "/shield/stats", "").Bans == len(bans) })
	for query, want := range map[string]string{
		"203.0.113.9": "passed", "203.0.113.9&service=web": "passed", "203.0.113.10": "banned", "203.0.113.10&service=web": "passed",
	} {
		if all := do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address="+query, ""); all[0].Verdict != want {
			t.Errorf("%s: %+v, want %s", query, all[0], want)
		}
	}
	if e := do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address=203.0.113.9", "")[0]; e.Class != "registered" ||
		!strings.Contains(strings.Join(e.Change, "|"), "counts for nothing against a registered source") || e.BanEnds == nil {
		t.Errorf("the registered source: %+v", e)
	}

	k.report("edge1", protocol.Report{Seen: slices.Concat(seen("sip", "203.0.113.10"), seen("web", "203.0.113.11"))})
	d := do[api.DryRun](k, 200, "POST", "/shield/dry-run", `{"document":{"countries":{"deny":["FR"]}}}`)
	if d.WouldDrop != 2 || len(d.RegisteredDropped) != 1 {
		t.Errorf("the registered source and the one that connects pass today, the third is banned: %+v", d)
	}
}
