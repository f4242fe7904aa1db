package api_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// watch is one Watch of a node.
func (k *service) watch(node string, version uint64, bans string) protocol.Orders {
	k.t.Helper()
	a := k.call(nodeToken, "POST", "/api/v1/nodes/"+node+"/watch", fmt.Sprintf(`{"policy_version":%d,"bans_revision":%q}`, version, bans))
	a.want(k.t, 200)
	var o protocol.Orders
	if err := json.Unmarshal(a.body, &o); err != nil {
		k.t.Fatalf("%v\n%s", err, a.body)
	}
	return o
}

// watchAs is the first Watch of one of a node's processes.
func (k *service) watchAs(node, instance string) (o protocol.Orders) {
	k.t.Helper()
	a := k.call(nodeToken, "POST", "/api/v1/nodes/"+node+"/watch", fmt.Sprintf(`{"instance":%q}`, instance))
	a.want(k.t, 200)
	if err := json.Unmarshal(a.body, &o); err != nil {
		k.t.Fatalf("%v\n%s", err, a.body)
	}
	return o
}

func (k *service) report(node string, r protocol.Report) {
	k.t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		k.t.Fatal(err)
	}
	k.call(nodeToken, "POST", "/api/v1/nodes/"+node+"/report", string(text)).want(k.t, 204)
}

func TestWatchTellsWhatIsNew(t *testing.T) {
	k := start(t)
	o := k.watch("edge1", 0, "")
	if o.Policy != nil || o.BansRevision == "" || o.Bans == nil || len(*o.Bans) != 0 {
		t.Fatalf("to a new node: %+v", o)
	}
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}},"note":"quoted \" and ñ"}`)
	do[protocol.Ban](k, 201, "POST", "/shield/bans", `{"prefix":"2001:db8::7","reason":"scanner","for":"1h"}`)
	o = k.watch("edge1", 0, o.BansRevision)
	if o.Policy == nil || o.Policy.Number != 1 || o.Policy.Note != "quoted \" and ñ" || len(o.Policy.Document.Countries.Deny) != 1 {
		t.Fatalf("policy: %+v", o.Policy)
	}
	if o.Bans == nil || len(*o.Bans) != 1 || (*o.Bans)[0].Prefix.String() != "2001:db8::/64" || (*o.Bans)[0].By != "ana" || !(*o.Bans)[0].Proven {
		t.Fatalf("bans: %+v", o.Bans)
	}
	// A node that has the bans hears of the policy alone, and the other way round.
	if again := k.watch("edge1", 0, o.BansRevision); again.Bans != nil || again.Policy == nil {
		t.Errorf("policy alone: %+v", again)
	}
	if again := k.watch("edge1", 1, "b0"); again.Bans == nil || again.Policy != nil {
		t.Errorf("bans alone: %+v", again)
	}
}

// A database that was put back counts versions anew: the same number is then another
// policy, made at another time. A node that does not say when is believed its number.
func TestWatchTellsOfAnotherHistory(t *testing.T) {
	k := start(t)
	bans := k.watch("edge1", 0, "").BansRevision
	v := do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	for made, news := range map[time.Time]bool{v.Made: false, v.Made.Add(-time.Hour): true, {}: false} {
		w := protocol.Watch{PolicyVersion: 1, Made: made, BansRevision: bans}
		if !news {
			w.BansRevision = "" // so that it need not wait
		}
		text, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		a := k.call(nodeToken, "POST", "/api/v1/nodes/edge1/watch", string(text))
		a.want(t, 200)
		var o protocol.Orders
		if err := json.Unmarshal(a.body, &o); err != nil {
			t.Fatal(err)
		}
		if (o.Policy != nil) != news {
			t.Errorf("to a node whose policy was made %v: %+v", made, o.Policy)
		}
		if news && (o.Policy.Number != 1 || !o.Policy.Made.Equal(v.Made)) {
			t.Errorf("the policy is %+v", o.Policy)
		}
	}
}

// Hundreds of nodes wait, one change reaches them all. The figure is logged; it is
// the "policy change in force on every edge" without the edges' part.
func TestOneChangeReleasesAllNodes(t *testing.T) {
	const nodes = 200
	k := start(t)
	first := k.watch("first", 0, "")
	var all sync.WaitGroup
	at := make([]time.Time, nodes)
	for i := range nodes {
		all.Go(func() {
			a, err := k.try(t.Context(), nodeToken, "POST", fmt.Sprintf("/api/v1/nodes/edge%d/watch", i), fmt.Sprintf(`{"bans_revision":%q}`, first.BansRevision))
			at[i] = time.Now()
			if err != nil || a.code != 200 || !strings.Contains(string(a.body), `"version":1`) {
				t.Errorf("node %d: %d %v\n%s", i, a.code, err, a.body)
			}
		})
	}
	eventually(t, "all waiting", func() bool { return gauge(t, k, "lindero_core_watches") == nodes })
	began := time.Now()
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	put := time.Since(began)
	all.Wait()
	var last time.Duration
	for _, one := range at {
		last = max(last, one.Sub(began))
	}
	t.Logf("%d nodes had the new policy %v after the request to put it began, whose answer came after %v", nodes, last, put)
	if last > 5*time.Second {
		t.Errorf("the last node heard after %v", last)
	}
}

// A core that stops sends nodes away with nothing to do, and is not held up by them.
func TestStopSendsNodesAway(t *testing.T) {
	k := start(t)
	first := k.watch("edge1", 0, "")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			a, err := k.try(t.Context(), nodeToken, "POST", fmt.Sprintf("/api/v1/nodes/edge%d/watch", i), fmt.Sprintf(`{"bans_revision":%q}`, first.BansRevision))
			if err != nil || a.code != 200 || string(a.body) != "{}" {
				t.Errorf("node %d: %d %s %v", i, a.code, a.body, err)
			}
		})
	}
	eventually(t, "all waiting", func() bool { return gauge(t, k, "lindero_core_watches") == 20 })
	began := time.Now()
	k.stop()
	all.Wait()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A node is held for as long as it may be, past every limit that a request has.
func TestWatchIsHeld(t *testing.T) {
	t.Parallel()
	k := start(t)
	first := k.watch("edge1", 0, "")
	began := time.Now()
	o := k.watch("edge1", 0, first.BansRevision)
	if took := time.Since(began); took < protocol.Hold-time.Second || took > protocol.Hold+5*time.Second || o.Policy != nil || o.Bans != nil {
		t.Errorf("after %v: %+v", took, o)
	}
}

func gauge(t testing.TB, k *service, name string) float64 { return counted(t, k, name, "") }

// counted is a metric's value, for the label value given if any.
func counted(t testing.TB, k *service, name, label string) float64 {
	t.Helper()
	families, err := k.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				if label == "" || m.GetLabel()[0].GetValue() == label {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestReportsAddUp(t *testing.T) {
	k := start(t)
	counters := func(packets uint64) []protocol.Counter {
		return []protocol.Counter{{Country: "FR", Verdict: "country_denied", Packets: packets}, {Country: "ZZ", Verdict: "passed", Packets: 7}}
	}
	k.report("edge1", protocol.Report{Role: "edge", Mode: "native", Devices: []string{"eth0"}, PolicyVersion: 3, TableVersion: "t1", Counters: counters(100),
		Seen: []protocol.Seen{{Address: netip.MustParseAddr("203.0.113.9"), Country: "FR", Class: "unknown", Service: "sip", Verdict: "country_denied", Packets: 64}}})
	k.report("edge2", protocol.Report{Role: "edge", Mode: "user", Reason: "no privileges", Counters: counters(5),
		Seen: []protocol.Seen{{Address: netip.MustParseAddr("203.0.113.9"), Country: "FR", Class: "known", Service: "sip", Verdict: "passed", Packets: 1},
			{Address: netip.MustParseAddr("2001:db8::1:2"), Country: "ES", Class: "unknown", Service: "web", Verdict: "passed", Packets: 1}}})
	s := do[api.Stats](k, 200, "GET", "/shield/stats", "")
	if len(s.Nodes) != 2 || s.Nodes[0].Name != "edge1" || s.Nodes[0].Mode != "native" || s.Nodes[1].Reason != "no privileges" || s.Nodes[0].Gone || s.Nodes[0].PolicyVersion != 3 {
		t.Errorf("nodes: %+v", s.Nodes)
	}
	if len(s.Counters) != 2 || s.Counters[0].Country != "FR" || s.Counters[0].Packets != 105 || !s.Counters[0].Drops || s.Counters[1].Packets != 14 || s.Counters[1].Drops {
		t.Errorf("counters: %+v", s.Counters)
	}
	if len(s.Sources) != 2 || s.Sources[0].Packets != 65 || s.Sources[0].Verdict != "passed" || s.Sources[0].Class != "known" ||
		s.Sources[1].Address.String() != "2001:db8::" || s.SourcesKnown != 2 {
		t.Errorf("sources: %+v", s.Sources)
	}
}

// What nodes ban is kept, once, and reaches the others; what an operator lifts stays lifted.
func TestBansOfNodes(t *testing.T) {
	k := start(t)
	b := protocol.Ban{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Reason: "scanner\nof some kind", Since: time.Now(), Until: time.Now().Add(time.Hour), By: "somebody else"}
	first := k.watch("edge2", 0, "")
	k.report("edge1", protocol.Report{Banned: []protocol.Ban{b, b}})
	k.report("edge1", protocol.Report{Banned: []protocol.Ban{b}})
	o := k.watch("edge2", 0, first.BansRevision) // held until the board looks
	if o.Bans == nil || len(*o.Bans) != 1 || (*o.Bans)[0].By != "edge1" || (*o.Bans)[0].Reason != "scanner of some kind" {
		t.Fatalf("the other node: %+v", o)
	}
	if all := do[[]protocol.Ban](k, 200, "GET", "/shield/bans", ""); len(all) != 1 {
		t.Errorf("bans: %+v", all)
	}
	a := k.call(operatorToken, "DELETE", "/api/v1/shield/bans/203.0.113.9%2F32", "")
	a.want(t, 204)
	if o = k.watch("edge2", 0, o.BansRevision); o.Bans == nil || len(*o.Bans) != 0 {
		t.Errorf("after lifting it: %+v", o)
	}
	k.report("edge1", protocol.Report{Banned: []protocol.Ban{b}})
	if all := do[[]protocol.Ban](k, 200, "GET", "/shield/bans", ""); len(all) != 0 {
		t.Errorf("the lifted ban is back: %+v", all)
	}
	past := do[[]api.PastBan](k, 200, "GET", "/shield/ban-history", "")
	if len(past) != 1 || past[0].InForce || past[0].LiftedBy != "ana" || past[0].LiftedAt == nil {
		t.Errorf("history: %+v", past)
	}
}

// Two cores share a database: what one changes the nodes of the other hear too.
func TestTwoCores(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { return storetest.StartPostgres(t).Fresh(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "core.db") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := url(t)
			open := func() *store.Store { return storetest.Open(t, at) }
			one, two := startOn(t, open()), startOn(t, open())
			have := two.watch("edge2", 0, "")
			began := time.Now()
			do[policy.Version](one, 200, "PUT", policyPath, `{"document":{},"note":"x"}`)
			if o := two.watch("edge2", 0, have.BansRevision); o.Policy == nil || o.Policy.Note != "x" {
				t.Fatalf("the other core's node: %+v", o)
			}
			t.Logf("the other core's node heard after %v", time.Since(began))
			do[protocol.Ban](one, 201, "POST", "/shield/bans", `{"prefix":"192.0.2.1","reason":"x","for":"1h"}`)
			if o := two.watch("edge2", 1, have.BansRevision); o.Bans == nil || len(*o.Bans) != 1 {
				t.Fatalf("the other core's node: %+v", o)
			}
		})
	}
}

// A token that names nodes speaks for them and for no other; one that names none
// speaks for any.
func TestATokenSpeaksForItsNodes(t *testing.T) {
	const other = "node-abcdefghijklm0123456789"
	k := start(t, func(c *api.Config) {
		file := filepath.Join(t.TempDir(), "west.token")
		if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Tokens = append(c.Tokens, api.Token{Name: "west", File: file, Scope: api.Node, Nodes: []string{"edge-w1", "edge-w2"}})
	})
	for path, body := range map[string]string{"/watch": `{}`, "/report": `{}`} {
		for node, ok := range map[string]bool{"edge-w1": true, "edge-w2": true, "edge-e1": false, "EDGE-W1": false} {
			a := k.call(other, "POST", "/api/v1/nodes/"+node+path, body)
			if ok != (a.code/100 == 2) {
				t.Errorf("%s%s: %d\n%s", node, path, a.code, a.body)
			}
			var p problem
			if !ok && (json.Unmarshal(a.body, &p) != nil || a.code != 403 || p.Detail != "the token of west speaks for edge-w1, edge-w2 and not for "+node) {
				t.Errorf("%s%s: %d\n%s", node, path, a.code, a.body)
			}
		}
		k.call(nodeToken, "POST", "/api/v1/nodes/edge-e1"+path, body)
	}
	for _, n := range do[api.Stats](k, 200, "GET", "/shield/stats", "").Nodes {
		if n.Name == "EDGE-W1" {
			t.Error("who was refused is among the nodes")
		}
	}
}
