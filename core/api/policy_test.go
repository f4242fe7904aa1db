package api_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

const policyPath = "/shield/policy"

func TestPolicyLife(t *testing.T) {
	k := start(t)
	got := do[policy.Version](k, 200, "GET", policyPath, "")
	if got.Number != 0 || got.Document.Countries.Default != policy.Allow {
		t.Fatalf("before any was put: %+v", got)
	}
	one := do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}},"note":"one","base_version":0}`)
	if one.Number != 1 || one.Author != "ana" || one.Note != "one" || one.Made.IsZero() || one.Document.Countries.Deny[0].String() != "FR" {
		t.Fatalf("put: %+v", one)
	}
	// Somebody else began from version 0 too.
	do[problem](k, 409, "PUT", policyPath, `{"document":{},"base_version":0}`)
	do[problem](k, 412, "PUT", policyPath, `{"document":{}}`, "If-Match", `"0"`)
	do[problem](k, 422, "PUT", policyPath, `{"document":{},"base_version":1}`, "If-Match", `"0"`)
	two := do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"deny":[{"prefix":"192.0.2.0/24","note":"x"}]}}`, "If-Match", `"1"`)
	if a := k.call(operatorToken, "GET", "/api/v1"+policyPath, ""); a.header.Get("ETag") != `"2"` {
		t.Errorf("ETag %q", a.header.Get("ETag"))
	}

	back := do[policy.Version](k, 200, "POST", policyPath+"/rollback", `{"version":1}`)
	if back.Number != 3 || back.Note != "back to version 1" || len(back.Document.Countries.Deny) != 1 {
		t.Errorf("rollback: %+v", back)
	}
	do[problem](k, 404, "POST", policyPath+"/rollback", `{"version":77}`)
	if v := do[policy.Version](k, 200, "GET", policyPath+"/versions/2", ""); v.Number != two.Number || v.Document.Deny[0].Note != "x" {
		t.Errorf("version 2: %+v", v)
	}
	do[problem](k, 404, "GET", policyPath+"/versions/99", "")
	if all := do[[]policy.Version](k, 200, "GET", policyPath+"/versions?limit=2", ""); len(all) != 2 || all[0].Number != 3 {
		t.Errorf("versions: %+v", all)
	}

	audits := do[[]tenancy.Audit](k, 200, "GET", "/shield/audit", "")
	if len(audits) != 3 || audits[0].Action != "policy.rollback" || audits[2].Who != "ana" || string(audits[2].Before) != "null" ||
		!strings.Contains(string(audits[1].Before), `"FR"`) || !strings.Contains(string(audits[1].After), `192.0.2.0/24`) {
		t.Errorf("audits: %+v", audits)
	}
	if page := do[[]tenancy.Audit](k, 200, "GET", fmt.Sprintf("/shield/audit?limit=1&before=%d", audits[0].ID), ""); len(page) != 1 || page[0].ID != audits[1].ID {
		t.Errorf("the next page of audits: %+v", page)
	}
}

func TestPolicyDiff(t *testing.T) {
	k := start(t)
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	type diff struct {
		Changes  []policy.Change
		Warnings []string
	}
	d := do[diff](k, 200, "POST", policyPath+"/diff", `{"document":{"countries":{"deny":["DE"],"allow":["ES"]}}}`)
	var paths []string
	for _, c := range d.Changes {
		paths = append(paths, c.Path)
	}
	if got, want := strings.Join(paths, " "), "countries.allow[ES] countries.deny[DE] countries.deny[FR]"; got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
	if len(d.Warnings) == 0 {
		t.Error("no word of an allow list that has no effect")
	}
	if d := do[diff](k, 200, "POST", policyPath+"/diff", `{"from":1,"to":0}`); len(d.Changes) != 1 {
		t.Errorf("back to the built-in one: %+v", d)
	}
	do[problem](k, 422, "POST", policyPath+"/diff", `{}`)
	do[problem](k, 422, "POST", policyPath+"/diff", `{"to":0,"document":{}}`)
	do[problem](k, 404, "POST", policyPath+"/diff", `{"to":9}`)
}

// Everything that is wrong is told at once, each with its place.
func TestPolicyFaults(t *testing.T) {
	k := start(t)
	p := do[problem](k, 422, "PUT", policyPath, `{
		"note": "two\nlines", "base_version": -1, "notes": "misspelt",
		"document": {
			"countries": {"default": "maybe", "allow": ["XX", 7, "ES", "ES"], "deny": "FR"},
			"services": {"sip": {"alow": []}, "fax": {}},
			"deny": [{"prefix": "192.0.2.1/24"}, {"prefix": "nonsense"}, {}, {"prefix": "192.0.2.0/24", "expires": "soon"}],
			"budgets": {"unknown": {"rate": "5"}, "known": {"rate": 1, "rate": 2}, "half_open": -1},
			"bans": {"window": "10"}
		}}`)
	want := "body.base_version body.document.bans.window body.document.budgets.half_open body.document.budgets.known.burst body.document.budgets.known.rate " +
		"body.document.budgets.unknown.rate body.document.countries.allow[0] body.document.countries.allow[1] body.document.countries.allow[3] " +
		"body.document.countries.default body.document.countries.deny body.document.deny[0].prefix body.document.deny[1].prefix body.document.deny[2].prefix " +
		"body.document.deny[3].expires body.document.deny[3].prefix body.document.services.fax body.document.services.sip.alow body.note body.notes"
	if got := p.locations(); got != want {
		t.Errorf("faults at\n%s, want\n%s", strings.ReplaceAll(got, " ", "\n"), strings.ReplaceAll(want, " ", "\n"))
	}
	for _, e := range p.Errors {
		if e.Message == "" {
			t.Errorf("no message at %s", e.Location)
		}
	}
	// Nor is a service of which nothing is said.
	if p := do[problem](k, 422, "PUT", policyPath, `{"document":{"services":{"sip":null,"web":{}}}}`); p.locations() != "body.document.services.sip" {
		t.Errorf("a service of null: faults at %s", p.locations())
	}
	// A body that says nothing is not a policy that lets everybody in.
	for path, want := range map[string]string{"": "body.document", "/rollback": "body.version"} {
		for _, body := range []string{`{}`, `{"document":null,"version":null}`, `null`} {
			method := map[bool]string{true: "PUT", false: "POST"}[path == ""]
			want := map[bool]string{true: "body", false: want}[body == `null`]
			if p := do[problem](k, 422, method, policyPath+path, body); !strings.Contains(p.locations(), want) {
				t.Errorf("%s %s: faults at %s", path, body, p.locations())
			}
		}
	}
	if v := do[policy.Version](k, 200, "GET", policyPath, ""); v.Number != 0 {
		t.Errorf("version %d is in force", v.Number)
	}
}

// A document for whose lists no filter has room, so that every node would refuse
// it, does not come into force.
func TestPolicyWithoutRoom(t *testing.T) {
	k := start(t)
	var list strings.Builder
	for i := range policy.MaxListWords / 16 { // far apart and unlike in the end, so that each needs records of its own
		end := uint32(i) * 2654435761
		fmt.Fprintf(&list, `,{"prefix":"2001:db8:%x:%x:%x:%x::/128"}`, end>>16, i, end&0xffff, end>>8&0xffff)
	}
	document := `{"document":{"deny":[` + list.String()[1:] + `]}}`
	for path, method := range map[string]string{policyPath: "PUT", "/shield/dry-run": "POST"} {
		p := do[problem](k, 422, method, path, document)
		if !strings.Contains(p.locations(), "body.document") || !strings.Contains(fmt.Sprint(p.Errors), "words") {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if v := do[policy.Version](k, 200, "GET", policyPath, ""); v.Number != 0 {
		t.Errorf("version %d is in force", v.Number)
	}
}

// Of many who change the same version one wins and the others are told so.
func TestConcurrentPuts(t *testing.T) {
	k := start(t)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for base := range 4 {
				a, err := k.try(t.Context(), operatorToken, "PUT", "/api/v1"+policyPath, fmt.Sprintf(`{"document":{},"base_version":%d}`, base))
				switch {
				case err != nil:
					t.Error(err)
				case a.code == 200:
					won.Add(1)
				case a.code == 409:
					lost.Add(1)
				default:
					t.Errorf("got %d %s", a.code, a.body)
				}
			}
		})
	}
	wg.Wait()
	v := do[policy.Version](k, 200, "GET", policyPath, "")
	if v.Number != uint64(won.Load()) || won.Load() > 4 || won.Load()+lost.Load() != 64 {
		t.Errorf("version %d, %d won, %d lost", v.Number, won.Load(), lost.Load())
	}
	if all := do[[]policy.Version](k, 200, "GET", policyPath+"/versions", ""); len(all) != int(v.Number) {
		t.Errorf("%d versions", len(all))
	}
}
