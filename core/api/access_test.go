package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

func TestTokens(t *testing.T) {
	k := start(t)
	for name, row := range map[string]struct {
		method, path, token string
		headers             []string
		code                int
	}{
		"nothing":               {"GET", "/shield/policy", "", nil, 401},
		"a wrong token":         {"GET", "/shield/policy", operatorToken + "x", nil, 401},
		"half a token":          {"GET", "/shield/policy", operatorToken[:10], nil, 401},
		"an empty token":        {"GET", "/shield/policy", "", []string{"Authorization", "Bearer "}, 401},
		"another scheme":        {"GET", "/shield/policy", "", []string{"Authorization", "Basic " + operatorToken}, 401},
		"a node's":              {"GET", "/shield/policy", nodeToken, nil, 403},
		"a node's for a change": {"PUT", "/shield/policy", nodeToken, nil, 403},
		"an operator's":         {"GET", "/shield/policy", operatorToken, nil, 200},
		"an operator's at a node's call": {
			"POST", "/nodes/edge1/report", operatorToken, nil, 403},
		"nothing at a node's call": {"POST", "/nodes/edge1/watch", "", nil, 401},
		"a node's own":             {"POST", "/nodes/edge1/report", nodeToken, nil, 204},
	} {
		body := ""
		if row.method != "GET" {
			body = "{}"
		}
		a := k.call(row.token, row.method, "/api/v1"+row.path, body, row.headers...)
		if a.code != row.code {
			t.Errorf("%s: got %d, want %d\n%s", name, a.code, row.code, a.body)
		}
		if got := a.header.Get("WWW-Authenticate"); (got != "") != (a.code == 401) {
			t.Errorf("%s: %d with WWW-Authenticate %q", name, a.code, got)
		}
	}
	if token, scope := counted(t, k, "lindero_core_http_refused_total", "token"), counted(t, k, "lindero_core_http_refused_total", "scope"); token != 6 || scope != 3 {
		t.Errorf("%v refused for their token, %v for its scope", token, scope)
	}
	for _, secret := range []string{operatorToken, nodeToken, operatorToken[:10]} {
		if strings.Contains(k.log.String(), secret) {
			t.Errorf("a token is in the log:\n%s", k.log)
		}
	}
}

// Every operation wants a token: one that was forgotten would be open to the world.
func TestNothingIsOpen(t *testing.T) {
	k := start(t)
	var doc struct {
		Paths map[string]map[string]struct{}
	}
	if err := json.Unmarshal(k.call("", "GET", "/api/v1/openapi.json", "").body, &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			n++
			path := strings.NewReplacer("{node}", "x", "{n}", "1", "{id}", "1", "{prefix}", "192.0.2.1").Replace(path)
			if a := k.call("", strings.ToUpper(method), path, ""); a.code != 401 {
				t.Errorf("%s %s without a token: %d", method, path, a.code)
			}
		}
	}
	if n < 18 {
		t.Errorf("only %d operations", n)
	}
}

// A token is given and taken back by its file, without a restart.
func TestTokensAreReadAnew(t *testing.T) {
	t.Parallel()
	k := start(t)
	const next = "another-0123456789abcdefghij"
	code := func(token string) int { return k.call(token, "GET", "/api/v1/shield/policy", "").code }
	k.file("operator.token", next)
	eventually(t, "the new token opens", func() bool { return code(next) == 200 })
	if code(operatorToken) != 401 {
		t.Error("the old token opens still")
	}
	if err := os.Remove(filepath.Join(k.dir, "operator.token")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a token without a file opens nothing", func() bool { return code(next) == 401 })
	k.file("operator.token", operatorToken)
	eventually(t, "the token is back", func() bool { return code(operatorToken) == 200 })
	k.file("operator.token", "short")
	eventually(t, "a bad token opens nothing", func() bool { return code("short") == 401 && code(operatorToken) == 401 })
}

// Whose token was taken back does not look on any longer.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	k := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", k.url+"/api/v1/shield/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+operatorToken)
	resp, err := k.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	k.file("operator.token", "another-0123456789abcdefghij")
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}

func TestTokensThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", operatorToken)
	_, err := api.New(t.Context(), api.Config{Listen: "127.0.0.1:0", Tokens: []api.Token{
		{Name: "ok", File: good, Scope: api.Operator},
		{Name: "twin", File: write("twin", operatorToken+"\n"), Scope: api.Node},
		{Name: "gone", File: filepath.Join(dir, "none"), Scope: api.Node},
		{Name: "short", File: write("short", "secret"), Scope: api.Node},
		{Name: "lines", File: write("lines", operatorToken+"\n"+operatorToken), Scope: api.Node},
		{Name: "long", File: write("long", strings.Repeat("x", 1000)), Scope: api.Node},
	}})
	if err == nil {
		t.Fatal("it was made")
	}
	for i, name := range []string{"twin", "gone", "short", "lines", "long"} {
		if want := fmt.Sprintf("tokens[%d] (%s): ", i+1, name); !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), operatorToken) {
		t.Error("the error tells a token")
	}
}

func TestHeadersAndPages(t *testing.T) {
	k := start(t, func(c *api.Config) {
		c.Web = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page of ", r.URL.Path) })
	})
	for path, code := range map[string]int{"/": 200, "/map": 200, "/api/v1/openapi.json": 200, "/api/v1/openapi.yaml": 200, "/api/v1/nothing": 404, "/api/": 404} {
		a := k.call("", "GET", path, "")
		if a.code != code {
			t.Errorf("%s: %d, want %d", path, a.code, code)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
	}
	a := k.call(operatorToken, "PATCH", "/api/v1/shield/policy", "")
	a.want(t, 405)
	if got := a.header.Get("Allow"); got != "GET, PUT" {
		t.Errorf("Allow %q", got)
	}
	if got := start(t).call("", "GET", "/", "").code; got != 404 {
		t.Errorf("/ without a page: %d", got)
	}
}

func TestCompanies(t *testing.T) {
	k := start(t)
	c := storetest.Make(t, k.store, "a.test", "101", "101")
	all := do[[]api.Company](k, 200, "GET", "/companies", "")
	if len(all) != 1 || all[0] != (api.Company{ID: c.Company.ID, Brand: "brand of a.test", Name: "c", Domain: "a.test"}) {
		t.Fatalf("companies: %+v", all)
	}
	path := fmt.Sprintf("/companies/%d/access", c.Company.ID)
	if got := do[policy.Access](k, 200, "GET", path, ""); got.RoadWarrior != 0 || got.Networks != nil {
		t.Errorf("before anything was said: %+v", got)
	}
	got := do[policy.Access](k, 200, "PUT", path, `{"countries":{"default":"deny","allow":["ES"]},"networks":[{"prefix":"192.0.2.0/24"}],"road_warrior":2}`, "If-Match", `"0"`)
	if got.RoadWarrior != 2 || len(got.Networks) != 1 || got.Countries.Allow[0].String() != "ES" {
		t.Errorf("put: %+v", got)
	}
	do[problem](k, 412, "PUT", path, `{}`, "If-Match", `"0"`)
	if a := k.call(operatorToken, "GET", "/api/v1"+path, ""); a.header.Get("ETag") != `"1"` {
		t.Errorf("ETag %q", a.header.Get("ETag"))
	}
	p := do[problem](k, 422, "PUT", path, `{"networks":[{"prefix":"192.0.2.1/24"}],"road_warrior":4,"countries":{"default":"perhaps"}}`)
	if got, want := p.locations(), "body.countries.default body.networks[0].prefix body.road_warrior"; got != want {
		t.Errorf("faults at %s, want %s", got, want)
	}
	do[problem](k, 404, "GET", "/companies/404/access", "")
	do[problem](k, 404, "PUT", "/companies/404/access", "{}")
	do[problem](k, 422, "GET", "/companies/x/access", "")
	audits := do[[]tenancy.Audit](k, 200, "GET", "/shield/audit", "")
	if len(audits) != 1 || audits[0].Action != "access.put" || !strings.Contains(string(audits[0].After), "192.0.2.0/24") {
		t.Errorf("audits: %+v", audits)
	}
}

// What cannot be meant well is answered with a problem, and nothing breaks.
func TestHostileRequests(t *testing.T) {
	k := start(t)
	deep := strings.Repeat(`{"document":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for name, row := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
	}{
		"no body":             {"PUT", "/shield/policy", "", nil, 400},
		"no JSON":             {"PUT", "/shield/policy", "{", nil, 422},
		"a list":              {"PUT", "/shield/policy", "[]", nil, 422},
		"a number":            {"PUT", "/shield/policy", "7", nil, 422},
		"two documents":       {"PUT", "/shield/policy", "{}{}", nil, 422},
		"very deep":           {"PUT", "/shield/policy", deep, nil, 422},
		"a form":              {"PUT", "/shield/policy", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"another kind":        {"PUT", "/shield/policy", "{}", []string{"Content-Type", "a;;b"}, 415},
		"too much":            {"POST", "/shield/policy/rollback", `{"note":"` + strings.Repeat("x", 70<<10) + `"}`, nil, 413},
		"a tag of another":    {"PUT", "/shield/policy", `{}`, []string{"If-Match", "W/\"x\""}, 422},
		"a limit of none":     {"GET", "/shield/policy/versions?limit=0", "", nil, 422},
		"a limit beyond":      {"GET", "/shield/audit?limit=100000", "", nil, 422},
		"a negative version":  {"GET", "/shield/policy/versions/-1", "", nil, 422},
		"a version too large": {"GET", "/shield/policy/versions/18446744073709551615", "", nil, 422},
		"no address":          {"GET", "/shield/explain", "", nil, 422},
		"a broken address":    {"GET", "/shield/explain?address=1.2.3", "", nil, 422},
		"an unknown service":  {"GET", "/shield/explain?address=192.0.2.1&service=fax", "", nil, 422},
		"an unknown node":     {"GET", "/shield/explain?address=192.0.2.1&node=moon", "", nil, 404},
		"a ban of many":       {"POST", "/shield/bans", `{"prefix":"192.0.2.0/24","reason":"x","for":"1h"}`, nil, 422},
		"a ban of no time":    {"POST", "/shield/bans", `{"prefix":"192.0.2.1","reason":"x"}`, nil, 422},
		"a ban of both":       {"POST", "/shield/bans", `{"prefix":"192.0.2.1","reason":"x","for":"1h","until":"2999-01-01T00:00:00Z"}`, nil, 422},
		"a ban that was":      {"POST", "/shield/bans", `{"prefix":"192.0.2.1","reason":"x","until":"1999-01-01T00:00:00Z"}`, nil, 422},
		"lifting nonsense":    {"DELETE", "/shield/bans/nonsense", "", nil, 422},
		"lifting of none":     {"DELETE", "/shield/bans/192.0.2.77", "", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := k.call(operatorToken, row.method, "/api/v1"+row.path, row.body, row.headers...)
			a.want(t, row.code)
		})
	}
	for name, row := range map[string]struct {
		path, body string
		code       int
	}{
		"a name with a slash":    {"/nodes/a%2Fb/report", "{}", 422},
		"a name without end":     {"/nodes/" + strings.Repeat("x", 65) + "/report", "{}", 422},
		"a ban of many":          {"/nodes/e/report", `{"banned":[{"prefix":"0.0.0.0/0","since":"2026-01-01T00:00:00Z","until":"2026-01-01T00:00:00Z"}]}`, 422},
		"a ban without end":      {"/nodes/e/report", `{"banned":[{"prefix":"192.0.2.1/32","since":"2026-01-01T00:00:00Z","until":"9999-01-01T00:00:00Z"}]}`, 422},
		"a ban from year 10000":  {"/nodes/e/report", `{"banned":[{"prefix":"192.0.2.1/32","since":"9999-12-31T23:59:59-23:00","until":"2026-12-31T00:00:00Z"}]}`, 422},
		"a ban from year -1":     {"/nodes/e/report", `{"banned":[{"prefix":"192.0.2.1/32","since":"0000-01-01T00:00:00+23:00","until":"2026-12-31T00:00:00Z"}]}`, 422},
		"counters without end":   {"/nodes/e/report", `{"counters":[` + strings.Repeat(`{"country":"ES"},`, 5000) + `{}]}`, 422},
		"counters of elsewhere":  {"/nodes/e/report", `{"counters":[{"country":"Atlantis","verdict":"sunk","packets":1}]}`, 204},
		"counters below nothing": {"/nodes/e/report", `{"counters":[{"country":"ES","verdict":"passed","packets":-1}]}`, 422},
		"words of a newer node":  {"/nodes/e/report", `{"mood":"good"}`, 204},
		"sources of nobody":      {"/nodes/e/report", `{"seen":[{"address":"","service":"sip"},{"address":"192.0.2.1","service":"fax"}]}`, 204},
		"answers nobody wants":   {"/nodes/e/report", `{"answers":[{"id":"x","address":"192.0.2.1"}]}`, 204},
	} {
		t.Run(name, func(t *testing.T) { k.call(nodeToken, "POST", "/api/v1"+row.path, row.body).want(t, row.code) })
	}
	if strings.Contains(k.log.String(), "panic") {
		t.Error(k.log)
	}
}

// Whoever begins a request and does not end it is let go, with a token or without.
func TestHalfRequests(t *testing.T) {
	t.Parallel()
	k := start(t)
	var all sync.WaitGroup
	for name, text := range map[string]string{
		"half a header":             "GET / HTTP/1.1\r\nHost: x\r\nX-",
		"half a body":               "PUT /api/v1/shield/policy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + operatorToken + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"half a body without token": "PUT /api/v1/shield/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"half a body for a page":    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"half a body for nothing":   "POST /api/v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		all.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(k.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, errWrite := conn.Write([]byte(text))
			errLimit := conn.SetReadDeadline(time.Now().Add(25 * time.Second))
			if _, err := io.ReadAll(conn); err != nil || errWrite != nil || errLimit != nil {
				t.Errorf("%s: not let go: %v", name, err)
			}
		})
	}
	all.Wait()
}

// A slow or hanging database is told as such, and soon.
func TestDatabaseIsGone(t *testing.T) {
	k := start(t)
	if err := k.store.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p := do[problem](k, 503, "PUT", "/shield/policy", `{"document":{}}`)
	if strings.Contains(p.Detail, "sql") || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %s", time.Since(began), p.Detail)
	}
	if v := do[policy.Version](k, 200, "GET", "/shield/policy", ""); v.Number != 0 {
		t.Errorf("what was in force is not: %+v", v)
	}
}
