package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/store/storetest"
)

const (
	operatorToken = "operator-0123456789abcdefghij"
	nodeToken     = "node-0123456789abcdefghijklm"
)

// A service is an API that runs, and a client of it.
type service struct {
	t     testing.TB
	url   string
	store *store.Store
	dir   string
	reg   *prometheus.Registry
	log   *buffer
	http  *http.Client
	stop  func() // ends Run and waits for it
}

// A buffer is a log that many write and one reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs an API on a fresh SQLite database until the test ends.
func start(t testing.TB, change ...func(*api.Config)) *service {
	t.Helper()
	s := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "core.db"))
	return startOn(t, s, change...)
}

func startOn(t testing.TB, s *store.Store, change ...func(*api.Config)) *service {
	t.Helper()
	k := &service{t: t, store: s, dir: t.TempDir(), reg: prometheus.NewRegistry(), log: &buffer{}}
	cfg := api.Config{
		Listen: "127.0.0.1:0", Store: s, Reg: k.reg, Log: slog.New(slog.NewTextHandler(k.log, nil)),
		Tokens: []api.Token{
			{Name: "ana", File: k.file("operator.token", operatorToken+"\n"), Scope: api.Operator},
			{Name: "nodes", File: k.file("node.token", nodeToken), Scope: api.Node},
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	a, err := api.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	k.url = "http://" + a.Addr().String()
	k.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: 60 * time.Second}
	k.stop = func() { stop(); wg.Wait() }
	t.Cleanup(func() { k.stop(); k.http.CloseIdleConnections() })
	eventually(t, "ready", func() bool { return a.Ready() == nil })
	return k
}

func (k *service) file(name, text string) string {
	k.t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never %s", what)
		}
	}
}

// An answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// call asks as the holder of token; headers come in pairs.
func (k *service) call(token, method, path, body string, headers ...string) answer {
	k.t.Helper()
	a, err := k.try(k.t.Context(), token, method, path, body, headers...)
	if err != nil {
		k.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (k *service) try(ctx context.Context, token, method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, k.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := k.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// do is call by the operator, who wants code, and reads the answer into a T.
func do[T any](k *service, code int, method, path, body string, headers ...string) (v T) {
	k.t.Helper()
	a := k.call(operatorToken, method, "/api/v1"+path, body, headers...)
	a.want(k.t, code)
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &v); err != nil {
			k.t.Fatalf("%s %s: %v\n%s", method, path, err, a.body)
		}
	}
	return v
}

func (a answer) want(t testing.TB, code int) {
	t.Helper()
	if a.code != code {
		t.Fatalf("got %d, want %d\n%s", a.code, code, a.body)
	}
	if kind := a.header.Get("Content-Type"); code >= 400 && kind != "application/problem+json" {
		t.Errorf("the error is %q, not problem+json", kind)
	}
}

// A problem is an error as it goes over the wire.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// locations are the places of all faults, in order, separated by spaces.
func (p problem) locations() string {
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Location)
	}
	return strings.Join(all, " ")
}
