package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lindero/lindero"

// policy says which of our folders each folder may import, besides itself and
// what lies below it. The longest entry that holds a folder decides for it. It is
// a decision, not a description: whoever needs another arrow changes this table
// first, and says why in that commit. Tests obey it too.
var policy = map[string][]string{
	".":     {"wire", "mesh", "geo", "bpf", "shield", "relay", "edge", "core", "phone"},
	"wire":  {},
	"geo":   {},
	"bpf":   {},
	"mesh":  {"geo"},
	"relay": {"wire", "mesh", "geo", "bpf"},
	"edge":  {"wire", "mesh", "geo", "bpf"},
	"core":  {"wire", "mesh", "geo", "shield/policy", "shield/protocol"},
	"phone": {"wire"}, // the tests' own phone must not share the roles' mistakes
	"e2e":   {"wire", "mesh", "geo", "bpf", "shield", "relay", "edge", "core", "phone"},

	// What the border thinks and who enforces it. Core, the edge's user space and
	// the kernel judge by one policy, so it stands outside all of them; core never
	// loads a program, so it gets the words and not the guard.
	// It carries what a relay says of calls to core, in the words of wire/session.
	"shield":          {"geo", "bpf", "wire/session"},
	"shield/policy":   {"geo"},
	"shield/judge":    {"geo", "shield/policy"},
	"shield/protocol": {"shield/policy", "wire/session"},

	// Inside wire each protocol stands alone.
	"wire/sip":           {},
	"wire/sip/transport": {"wire/sip"},
	"wire/sip/digest":    {"wire/sip"},
	"wire/sdp":           {},
	"wire/rtp":           {},
	"wire/ng":            {},

	// The words of the domain know nothing; the store knows only them.
	"core/tenancy": {},
	"core/store":   {"core/tenancy"},

	"terraform": {"core/api/client"},
}

// A door is the only place where a third party may come in.
type door struct {
	folders []string // nil: anywhere
	tests   bool     // tests of every folder may use it too
}

// doors lists every third party we link, by module path. What is not here may not
// be imported: a new dependency begins with a row and its reason in README.md.
var doors = map[string]door{
	"github.com/emiago/sipgo":              {folders: []string{"core/b2bua"}, tests: true},
	"github.com/jackc/pgx":                 {folders: []string{"core/store"}},
	"modernc.org/sqlite":                   {folders: []string{"core/store"}},
	"github.com/pressly/goose":             {folders: []string{"core/store"}},
	"github.com/spf13/cobra":               {folders: []string{"."}},
	"go.yaml.in/yaml/v3":                   {folders: []string{"."}},
	"github.com/prometheus/client_golang":  {},
	"github.com/cilium/ebpf":               {folders: []string{"bpf", "bpf/livegen"}},
	"github.com/coder/websocket":           {folders: []string{"wire/ng"}, tests: true},
	"github.com/oschwald/maxminddb-golang": {folders: []string{"geo"}},
	"github.com/maxmind/mmdbwriter":        {folders: []string{}, tests: true}, // small country databases for tests
	"github.com/danielgtaylor/huma":        {folders: []string{"core/api"}},
	"github.com/chromedp/chromedp":         {folders: []string{}, tests: true}, // drives a real browser
	"github.com/chromedp/cdproto":          {folders: []string{}, tests: true},
	"golang.org/x/net":                     {},
	"golang.org/x/sync":                    {},
	"golang.org/x/sys":                     {},
	"github.com/icholy/digest":             {folders: []string{}, tests: true}, // a second opinion on our digest
}

func TestNoFolderImportsWhatThePolicyForbids(t *testing.T) {
	for _, f := range source(t) {
		for _, spec := range f.File.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			where := f.Path + ":" + strconv.Itoa(f.line(spec.Pos()))
			if path == "C" {
				t.Errorf("%s: cgo: the binary is static", where)
				continue
			}
			if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				if why := forbidden(f.Folder, ours); why != "" {
					t.Errorf("%s: imports %s: %s", where, ours, why)
				}
				continue
			}
			if path == module || !strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				continue // the root (for its version) cannot be imported; the standard library may
			}
			if why := outsideDoor(f, path); why != "" {
				t.Errorf("%s: imports %s: %s", where, path, why)
			}
		}
	}
}

// forbidden says why folder may not import target, or nothing.
func forbidden(folder, target string) string {
	if within(target, folder) && folder != "." {
		return ""
	}
	entry, rule := ruleOf(folder)
	if rule == nil {
		return "no row in the policy for this folder"
	}
	for _, allowed := range rule {
		if within(target, allowed) {
			return ""
		}
	}
	// Folders that share a row are one part, whichever holds the other.
	if entry != "." && within(target, entry) {
		return ""
	}
	return "the policy for " + entry + " allows only " + strings.Join(rule, ", ")
}

// ruleOf finds the longest row that holds folder.
func ruleOf(folder string) (entry string, allowed []string) {
	for row, rule := range policy {
		if len(row) >= len(entry) && within(folder, row) && (row != "." || folder == ".") {
			entry, allowed = row, rule
		}
	}
	return entry, allowed
}

func outsideDoor(f sourceFile, path string) string {
	for third, d := range doors {
		if !within(path, third) {
			continue
		}
		if d.folders == nil || (d.tests && f.Test) || slices.Contains(d.folders, f.Folder) {
			return ""
		}
		return "its only door is " + strings.Join(d.folders, ", ")
	}
	return "no door for this third party"
}

// within tells whether path is folder or lies below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
