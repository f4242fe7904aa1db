package shield

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

const testToken = "a token of scope node"

// A fakeCore is core's side of the protocol, with what a test puts into it.
type fakeCore struct {
	mu        sync.Mutex // guards the fields below
	policy    policy.Version
	bans      []protocol.Ban
	revision  int
	questions []protocol.Question
	calls     []protocol.CallsQuestion
	changed   chan struct{} // closed and replaced at every change
	down      bool
	watches   int

	reports chan protocol.Report // the last ones
}

func newFakeCore() *fakeCore {
	return &fakeCore{changed: make(chan struct{}), reports: make(chan protocol.Report, 1000), policy: builtin(), revision: 1}
}

// set changes what core says, at once to all who wait.
func (c *fakeCore) set(change func(c *fakeCore)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *fakeCore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.Header.Get("Authorization") != "Bearer "+testToken:
		http.Error(w, "who are you", http.StatusUnauthorized)
	case r.Method != http.MethodPost:
		http.Error(w, "no", http.StatusMethodNotAllowed)
	case r.URL.Path == strings.ReplaceAll(protocol.WatchPath, "{node}", "edge-1"):
		c.watch(w, r)
	case r.URL.Path == strings.ReplaceAll(protocol.ReportPath, "{node}", "edge-1"):
		c.report(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (c *fakeCore) watch(w http.ResponseWriter, r *http.Request) {
	var q protocol.Watch
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hold := time.NewTimer(protocol.Hold)
	defer hold.Stop()
	for first := true; ; first = false {
		c.mu.Lock()
		if first {
			c.watches++
		}
		o, news := c.ordersFor(q)
		changed := c.changed
		c.mu.Unlock()
		if !news {
			select {
			case <-changed:
				continue
			case <-r.Context().Done():
				return
			case <-hold.C:
			}
		}
		json.NewEncoder(w).Encode(o)
		return
	}
}

func (c *fakeCore) ordersFor(q protocol.Watch) (o protocol.Orders, news bool) {
	if q.PolicyVersion != c.policy.Number || !q.Made.Equal(c.policy.Made) {
		v := c.policy
		o.Policy, news = &v, true
	}
	if r := strconv.Itoa(c.revision); r != q.BansRevision {
		list := append([]protocol.Ban{}, c.bans...)
		o.Bans, o.BansRevision, news = &list, r, true
	}
	if len(c.questions) > 0 {
		o.Questions, news = c.questions, true
		c.questions = nil
	}
	if len(c.calls) > 0 {
		o.Calls, news = c.calls, true
		c.calls = nil
	}
	return o, news
}

func (c *fakeCore) report(w http.ResponseWriter, r *http.Request) {
	var report protocol.Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case c.reports <- report:
	default:
	}
	w.WriteHeader(http.StatusNoContent)
}

// reported waits for a report that is as wanted.
func (c *fakeCore) reported(t *testing.T, what string, wanted func(protocol.Report) bool) protocol.Report {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		select {
		case r := <-c.reports:
			if wanted(r) {
				return r
			}
		case <-deadline.C:
			t.Fatalf("no report says %s", what)
		}
	}
}

// serve makes core reachable and returns the configuration of a node that follows it.
func (c *fakeCore) serve(t *testing.T) Config {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	cfg := testConfig(t)
	cfg.Core = s.URL
	return cfg
}

// testConfig is user space with a state file and a token, and no core.
func testConfig(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.State = filepath.Join(dir, "shield.json")
	cfg.TokenFile = filepath.Join(dir, "node.token")
	if err := os.WriteFile(cfg.TokenFile, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// guard makes a Guard that is closed at the end.
func guard(t *testing.T, cfg Config) *Guard {
	t.Helper()
	g, err := New(cfg, "edge-1", "edge", quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// running makes a Guard and lets it run; stop ends it and waits.
func running(t *testing.T, cfg Config) (g *Guard, stop func()) {
	t.Helper()
	g = guard(t, cfg)
	return g, run(t, g)
}

func run(t *testing.T, g *Guard) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits for something with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// denying is a version that denies a prefix.
func denying(number uint64, prefix string) policy.Version {
	return policy.Version{Number: number, Document: policy.Document{Deny: []policy.Prefix{{Prefix: pfx(prefix), Note: "a test"}}}, Author: "tests"}
}
