package api

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/shield/policy"
)

// What decode takes without a fault is what the policy's own strict reader takes,
// and means the same; whatever comes, nothing breaks.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"countries":{"default":"deny","allow":["ES"]},"services":{"sip":{}},"deny":[{"prefix":"192.0.2.0/24","expires":"2026-01-01T00:00:00Z"}]}`,
		`{"budgets":{"unknown":{"rate":5,"burst":20}},"bans":{"window":"10m","scanners":false}}`, `{"deny":[{"prefix":null}]}`, `{"bans":{"scanners":null}}`,
		`{"deny":null}`, `{"services":{"":{}}}`, `{"budgets":{"half_open":1e3}}`, `{"note":1,"note":2}`, `{"allow":[{"note":"` + "\xff" + `"}]}`, `{"\u0000":1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return // encoding/json refuses it before decode is asked
		}
		var b body[policy.Document]
		if err := json.Unmarshal([]byte(text), &b); err != nil || b.raw == nil {
			return
		}
		var faults faults
		var got policy.Document
		// Not value: it would ask the policy's own reader first.
		decoder{f: &faults}.object("body", b.raw, reflect.ValueOf(&got).Elem())
		_ = faults.err()
		if len(faults) > 0 {
			return
		}
		want, err := policy.ParseJSON([]byte(text))
		if err != nil {
			t.Fatalf("taken, but the policy's own reader says %v\n%s", err, text)
		}
		is, errIs := got.JSON()
		should, errShould := want.JSON()
		if errIs != nil || errShould != nil || string(is) != string(should) {
			t.Fatalf("read as\n%s %v, want\n%s %v", is, errIs, should, errShould)
		}
	})
}

// The largest document there may be is read and judged in a moment.
func TestLargestDocument(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"document":{"deny":[`)
	for i := range policy.MaxEntries {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"prefix":"%v/32","note":"entry number %d"}`, netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}), i)
	}
	text.WriteString(`]}}`)
	var b body[PolicyChange]
	if err := json.Unmarshal([]byte(text.String()), &b); err != nil {
		t.Fatal(err)
	}
	var f faults
	began := time.Now()
	change := b.decode(&f)
	f.under("body.document", change.Document.Validate())
	if err := f.err(); err != nil {
		t.Fatal(err)
	}
	if n := len(change.Document.Deny); n != policy.MaxEntries {
		t.Errorf("%d entries", n)
	}
	t.Logf("%d bytes were read and validated in %v", text.Len(), time.Since(began))
}
