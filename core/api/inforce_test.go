package api_test

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// keep keeps a policy as another program would have, whatever it says.
func keep(t testing.TB, s *store.Store, document string) uint64 {
	t.Helper()
	v, err := s.Platform().PutPolicy(t.Context(), tenancy.PolicyVersion{Document: json.RawMessage(document), Author: "another program"}, "policy.put", nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Number
}

// What cannot be used, be it another program's or damaged, keeps core from nothing:
// the last version that can be used is in force, and people are told.
func TestAPolicyThatCannotBeUsedKeepsCoreFromNothing(t *testing.T) {
	for name, bad := range map[string]string{
		"of another program": `{"countries":"a new form"}`,
		"damaged":            `{"countries":{"de`,
		"with other rules":   `{"deny":[{"prefix":"192.0.2.1/24"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "core.db"))
			keep(t, s, `{"countries":{"deny":["FR"]}}`)
			keep(t, s, bad)
			keep(t, s, bad)
			k := startOn(t, s)

			got := do[policy.Version](k, 200, "GET", policyPath, "")
			if got.Number != 1 || len(got.Document.Countries.Deny) != 1 {
				t.Fatalf("in force: %+v, want version 1", got)
			}
			stats := do[api.Stats](k, 200, "GET", "/shield/stats", "")
			if stats.PolicyVersion != 1 || !strings.Contains(stats.PolicyFault, "version 3 cannot be used") || !strings.Contains(stats.PolicyFault, "version 1 is in force") {
				t.Errorf("stats: %d, %q", stats.PolicyVersion, stats.PolicyFault)
			}
			if n := gauge(t, k, "lindero_core_policy_unusable"); n != 1 || !strings.Contains(k.log.String(), "level=ERROR") {
				t.Errorf("metric %v, log\n%s", n, k.log)
			}
			if o := k.watch("edge1", 0, ""); o.Policy == nil || o.Policy.Number != 1 {
				t.Errorf("a new node is told %+v", o.Policy)
			}
			if o := k.watch("edge2", 3, ""); o.Policy != nil {
				t.Errorf("a node that has version 3 in force is told %+v", o.Policy)
			}
			if name != "with other rules" {
				do[problem](k, 409, "GET", policyPath+"/versions/3", "")
				do[problem](k, 409, "POST", policyPath+"/rollback", `{"version":2}`)
			}
			if all := do[[]policy.Version](k, 200, "GET", policyPath+"/versions", ""); len(all) == 0 || all[len(all)-1].Number != 1 {
				t.Errorf("versions: %+v", all)
			}
			// Who repairs it began from what is in force.
			fixed := do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["DE"]}},"base_version":1}`)
			if stats = do[api.Stats](k, 200, "GET", "/shield/stats", ""); fixed.Number != 4 || stats.PolicyVersion != 4 || stats.PolicyFault != "" {
				t.Errorf("repaired: %+v, %+v", fixed, stats)
			}
			do[[]tenancy.Audit](k, 200, "GET", "/shield/audit", "")
			if n := gauge(t, k, "lindero_core_policy_unusable"); n != 0 {
				t.Errorf("metric %v after the repair", n)
			}
		})
	}
}

// What another core put while this one runs, and this one cannot use, changes nothing here.
func TestAPolicyThatCannotBeUsedChangesNothing(t *testing.T) {
	k := start(t)
	do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["FR"]}}}`)
	keep(t, k.store, `[]`)
	eventually(t, "said", func() bool { return do[api.Stats](k, 200, "GET", "/shield/stats", "").PolicyFault != "" })
	if v := do[policy.Version](k, 200, "GET", policyPath, ""); v.Number != 1 {
		t.Errorf("in force: %+v", v)
	}
	keep(t, k.store, `{"countries":{"deny":["DE"]}}`)
	eventually(t, "in force", func() bool { return do[policy.Version](k, 200, "GET", policyPath, "").Number == 3 })
}

// With no version that can be used the built-in one is in force.
func TestInForceFallsToTheBuiltIn(t *testing.T) {
	s := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "core.db"))
	n := keep(t, s, `nonsense`)
	for _, number := range []uint64{n, n + 7} { // one that is not there at all
		v, fault, err := api.InForce(t.Context(), s, number, time.Now())
		if err != nil || fault == nil || v.Number != 0 || v.Note != "built in" {
			t.Errorf("version %d: %+v, %v, %v", number, v, fault, err)
		}
	}
}

// A row that is lost, or damaged elsewhere than in its document, is no reason either.
func TestAPolicyThatWasLostKeepsCoreFromNothing(t *testing.T) {
	for statement, want := range map[string]uint64{
		`DELETE FROM policies WHERE number = 2`:                   1,
		`UPDATE policies SET made = 'yesterday' WHERE number = 2`: 2,
		`UPDATE policies SET document = x'00ff' WHERE number = 2`: 1,
		`DELETE FROM policies`:                                    0,
	} {
		t.Run(statement, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "core.db")
			s := storetest.Open(t, "sqlite:"+path)
			keep(t, s, `{"countries":{"deny":["FR"]}}`)
			keep(t, s, `{"countries":{"deny":["DE"]}}`)
			storetest.Damage(t, path, statement)
			k := startOn(t, s)
			if v := do[policy.Version](k, 200, "GET", policyPath, ""); v.Number != want {
				t.Errorf("version %d is in force, want %d", v.Number, want)
			}
			if v := do[policy.Version](k, 200, "PUT", policyPath, `{"document":{"countries":{"deny":["ES"]}}}`); v.Number != 3 {
				t.Errorf("put as version %d", v.Number)
			}
		})
	}
}

// A ban that was damaged keeps core from nothing, and the other bans in force.
func TestADamagedBanKeepsNobodyFromTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "core.db")
	s := storetest.Open(t, "sqlite:"+path)
	for _, a := range []string{"203.0.113.9/32", "203.0.113.10/32"} {
		if _, err := s.Platform().Ban(t.Context(), tenancy.Ban{Prefix: netip.MustParsePrefix(a), Reason: "x", Until: time.Now().Add(time.Hour), By: "ana"}); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Damage(t, path, `UPDATE bans SET prefix = '203.0.113' WHERE prefix = '203.0.113.9/32'`)
	k := startOn(t, s)
	if all := do[[]protocol.Ban](k, 200, "GET", "/shield/bans", ""); len(all) != 1 || all[0].Prefix.String() != "203.0.113.10/32" {
		t.Errorf("bans: %+v", all)
	}
	if all := do[[]api.PastBan](k, 200, "GET", "/shield/ban-history", ""); len(all) != 1 {
		t.Errorf("history: %+v", all)
	}
	if o := k.watch("edge1", 0, ""); o.Bans == nil || len(*o.Bans) != 1 {
		t.Errorf("a node is told %+v", o)
	}
	if !strings.Contains(k.log.String(), "bans are kept that cannot be read") {
		t.Errorf("the log says\n%s", k.log)
	}
}
