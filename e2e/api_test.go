package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/shield/protocol"
)

// api asks core's HTTP as the operator. in and out may be nil. It returns the
// status and decodes what is no error into out.
func (i *instance) api(t *testing.T, method, path string, in, out any) int {
	t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	token, err := os.ReadFile(i.demo.Operator)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, i.demo.API+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		t.Logf("%s %s: %s\n%s", method, path, resp.Status, text)
	} else if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

// object is JSON in a test.
type object = map[string]any

// enforce puts a policy into force and waits until the shield has it.
func (i *instance) enforce(t *testing.T, document object) {
	t.Helper()
	var v struct {
		Version uint64 `json:"version"`
	}
	if code := i.api(t, "PUT", "/api/v1/shield/policy", object{"document": document, "note": "a test"}, &v); code != 200 {
		t.Fatalf("the policy was answered by %d", code)
	}
	if !eventually(patience, func() bool {
		all := i.explained(t, "192.0.2.1")
		for _, e := range all {
			if e.PolicyVersion != v.Version {
				return false
			}
		}
		return len(all) == max(i.nodes, 1)
	}) {
		t.Fatalf("version %d is not in force", v.Version)
	}
}

// explained is what every node says would become of an address's next datagram.
func (i *instance) explained(t *testing.T, address string) (all []protocol.Explanation) {
	t.Helper()
	if code := i.api(t, "GET", "/api/v1/shield/explain?service=sip&address="+url.QueryEscape(address), nil, &all); code != 200 {
		t.Fatalf("explain: %d", code)
	}
	return all
}

// explain is explained where there is one node.
func (i *instance) explain(t *testing.T, address string) protocol.Explanation {
	t.Helper()
	all := i.explained(t, address)
	if len(all) != 1 {
		t.Fatalf("explanations: %+v", all)
	}
	return all[0]
}

// banned waits for a ban to be listed.
func (i *instance) banned(t *testing.T, prefix string) (found protocol.Ban) {
	t.Helper()
	if !eventually(patience, func() bool {
		var all []protocol.Ban
		if i.api(t, "GET", "/api/v1/shield/bans", nil, &all) != 200 {
			return false
		}
		for _, b := range all {
			if b.Prefix.String() == prefix {
				found = b
				return true
			}
		}
		return false
	}) {
		t.Fatalf("no ban of %s is listed", prefix)
	}
	return found
}

// countries writes a country database in which addresses of loopback stand for
// those of countries.
func countries(t *testing.T, dir string, prefixes map[string]string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", IncludeReservedNetworks: true, RecordSize: 24, IPVersion: 6})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range prefixes {
		_, network, err := net.ParseCIDR(prefix)
		if err == nil {
			err = tree.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "countries.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.WriteTo(f)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		t.Fatal(err)
	}
}
