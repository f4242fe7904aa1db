package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
)

// What a security team does from morning to evening, over plain HTTP. Any client
// made from /api/v1/openapi.json does the same.
func Example() {
	ask, done := exampleService()
	defer done()

	// What is in force? Nothing was ever put, so it is the built-in policy.
	fmt.Println(ask("GET", "/policy", "", "version", "author"))

	// What would happen if we let in Spain alone?
	fmt.Println(ask("POST", "/dry-run", `{"document": {"countries": {"default": "deny", "allow": ["ES"]}}}`, "summary"))

	// A policy with faults names all of them.
	fmt.Println(ask("PUT", "/policy", `{"document": {"countries": {"default": "no"}, "deny": [{"prefix": "192.0.2.1/24"}]}}`, "detail", "errors"))

	// Put it into force, but only if nobody else was faster.
	fmt.Println(ask("PUT", "/policy", `{"document": {"deny": [{"prefix": "192.0.2.0/24", "note": "scans"}]}, "note": "too many scans", "base_version": 0}`, "version", "author", "note"))
	fmt.Println(ask("PUT", "/policy", `{"document": {}, "base_version": 0}`, "status"))

	// Why does this customer not get in?
	fmt.Println(ask("GET", "/explain?address=192.0.2.7", "", "verdict", "change"))

	// Ban a source for a while, and lift the ban again.
	fmt.Println(ask("POST", "/bans", `{"prefix": "203.0.113.9", "reason": "guesses passwords", "for": "1h"}`, "prefix", "reason", "by"))
	fmt.Println(ask("DELETE", "/bans/203.0.113.9%2F32", ""))

	// That was a mistake: back to the built-in policy. And who did all that?
	fmt.Println(ask("POST", "/policy/rollback", `{"version": 0}`, "version", "note"))
	fmt.Println(ask("GET", "/audit", "", "who", "action", "object"))

	// Output:
	// 200 version=0 author=lindero
	// 200 summary=would drop nobody who was seen or is registered
	// 422 detail=2 things are wrong errors=[{"message":"\"no\"; allow or deny","location":"body.document.countries.default"},{"message":"192.0.2.1/24 has bits beyond its length; 192.0.2.0/24 or 192.0.2.1/32?","location":"body.document.deny[0].prefix"}]
	// 200 version=1 author=ana note=too many scans
	// 409 status=409
	// 200 verdict=denied change=["take 192.0.2.0/24 out of deny, or add a longer prefix to allow"]
	// 201 prefix=203.0.113.9/32 reason=guesses passwords by=ana
	// 204
	// 200 version=2 note=back to version 0
	// 200 who=ana action=policy.rollback object=policy; who=ana action=ban.lift object=bans/203.0.113.9/32; who=ana action=ban.put object=bans/203.0.113.9/32; who=ana action=policy.put object=policy
}

// exampleService runs an API, and returns how to ask it for some fields of an
// answer, and how to end it.
func exampleService() (ask func(method, path, body string, fields ...string) string, done func()) {
	dir := must(os.MkdirTemp("", "lindero-api-"))
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(operatorToken), 0o600); err != nil {
		panic(err)
	}
	s := must(store.Open(context.Background(), "sqlite:"+filepath.Join(dir, "core.db")))
	a := must(api.New(context.Background(), api.Config{
		Listen: "127.0.0.1:0", Store: s, Tokens: []api.Token{{Name: "ana", File: file, Scope: api.Operator}},
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()

	ask = func(method, path, body string, fields ...string) string {
		r := must(http.NewRequest(method, fmt.Sprintf("http://%v/api/v1/shield%s", a.Addr(), path), strings.NewReader(body)))
		r.Header.Set("Authorization", "Bearer "+operatorToken)
		resp := must(http.DefaultClient.Do(r))
		defer resp.Body.Close()
		return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", pick(must(io.ReadAll(resp.Body)), fields)))
	}
	return ask, func() {
		stop()
		err := <-ended
		_, _, _ = err, s.Close(), os.RemoveAll(dir)
	}
}

// pick takes fields out of an object, or out of each object of a list.
func pick(text []byte, fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	var list []map[string]json.RawMessage
	if text[0] != '[' {
		text = []byte("[" + string(text) + "]")
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err.Error()
	}
	var all []string
	for _, one := range list {
		var words []string
		for _, f := range fields {
			value := string(bytes.TrimSpace(one[f]))
			if s := ""; json.Unmarshal(one[f], &s) == nil {
				value = s
			}
			words = append(words, f+"="+value)
		}
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, "; ")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
