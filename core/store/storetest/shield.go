package storetest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
)

// testLongLists asks for more than one answer should carry.
func testLongLists(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	long := `{"a":"` + strings.Repeat("x", store.MaxListBytes/4) + `"}`
	for range 6 {
		_, err := p.PutPolicy(ctx, version(long, "ana"), "policy.put", nil)
		ok(t, err)
	}
	versions, err := p.Policies(ctx, 100)
	ok(t, err)
	if len(versions) < 3 || len(versions) > 5 || versions[0].Number != 6 {
		t.Errorf("%d versions, the first is %d", len(versions), versions[0].Number)
	}
	audits, err := p.Audits(ctx, 0, 100)
	ok(t, err)
	if len(audits) < 2 || len(audits) > 3 {
		t.Errorf("%d audits", len(audits))
	}
	older, err := p.Audits(ctx, audits[len(audits)-1].ID, 1)
	ok(t, err)
	want(t, "the next page", len(older), 1)
}

func version(document, author string) tenancy.PolicyVersion {
	return tenancy.PolicyVersion{Document: json.RawMessage(document), Author: author, Note: "why"}
}

func testPolicies(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	_, err := p.Policy(ctx, 1)
	wantErr(t, "a version never put", err, tenancy.ErrNotFound)
	none := uint64(0)
	one, err := p.PutPolicy(ctx, version(`{"a":1}`, "ana"), "policy.put", &none)
	ok(t, err)
	want(t, "the first number", one.Number, uint64(1))
	two, err := p.PutPolicy(ctx, version(`{"a":2}`, "bob"), "policy.rollback", nil)
	ok(t, err)

	current, err := p.PutPolicy(ctx, version(`{"a":3}`, "ana"), "policy.put", &one.Number)
	wantErr(t, "a change of what is no more", err, tenancy.ErrConflict)
	want(t, "what is in force instead", current, two)
	r, err := p.Revisions(ctx)
	ok(t, err)
	want(t, "the revision", r.Policy, uint64(2))
	got, err := p.Policy(ctx, 1)
	ok(t, err)
	want(t, "the first version", got, one)
	all, err := p.Policies(ctx, 10)
	ok(t, err)
	want(t, "all versions, newest first", all, []tenancy.PolicyVersion{two, one})

	audits, err := p.Audits(ctx, 0, 10)
	ok(t, err)
	want(t, "audits", len(audits), 2) // none of what did not happen
	want(t, "who and what", fmt.Sprint(audits[0].Who, " ", audits[0].Action, " ", audits[0].Object), "bob policy.rollback policy")
	want(t, "before and after", string(audits[0].Before)+string(audits[0].After), `{"a":1}{"a":2}`)
	want(t, "before the first", string(audits[1].Before), "null")
	older, err := p.Audits(ctx, audits[0].ID, 10)
	ok(t, err)
	want(t, "the next page", older, audits[1:])
}

// Of many who change the same version one wins, and the versions have no gap.
func testPoliciesAtOnce(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			base := uint64(0)
			_, err := p.PutPolicy(ctx, version(fmt.Sprintf(`{"a":%d}`, i), "x"), "policy.put", &base)
			if err == nil {
				won.Add(1)
			} else {
				wantErr(t, "the others", err, tenancy.ErrConflict)
			}
			_, err = p.PutPolicy(ctx, version(`{}`, "x"), "policy.put", nil)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() > 1 {
		t.Errorf("%d changed the same version", won.Load())
	}
	versions, err := p.Policies(ctx, 100)
	ok(t, err)
	for i, v := range versions {
		want(t, "number", v.Number, uint64(len(versions)-i))
	}
}

func ban(prefix, by string, long time.Duration) tenancy.Ban {
	at := time.UnixMicro(time.Now().UnixMicro())
	return tenancy.Ban{Prefix: netip.MustParsePrefix(prefix), Reason: "scanner", Since: at, Until: at.Add(long), By: by}
}

func testBans(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	first, err := p.Ban(ctx, ban("192.0.2.1/32", "ana", time.Hour))
	ok(t, err)
	_, err = p.Ban(ctx, ban("2001:db8::/64", "ana", time.Hour))
	ok(t, err)
	shorter, err := p.Ban(ctx, ban("192.0.2.1/32", "bob", time.Minute))
	ok(t, err)
	over := ban("192.0.2.9/32", "ana", -time.Second)
	_, err = p.Ban(ctx, over)
	ok(t, err)

	in, revision, err := p.Bans(ctx)
	ok(t, err)
	want(t, "revision", revision, uint64(4))
	want(t, "how many are banned", len(in), 2)
	want(t, "the operator's word replaces the one before", in[0], shorter)

	lifted, err := p.Lift(ctx, first.Prefix, "eva")
	ok(t, err)
	want(t, "who lifted it", lifted.LiftedBy, "eva")
	_, err = p.Lift(ctx, first.Prefix, "eva")
	wantErr(t, "lifting what is not banned", err, tenancy.ErrNotFound)
	in, _, err = p.Bans(ctx)
	ok(t, err)
	want(t, "how many are banned still", len(in), 1)
	past, err := p.PastBans(ctx, 10)
	ok(t, err)
	want(t, "the history", len(past), 4)
	for _, b := range past {
		if b.Prefix == first.Prefix && (b.LiftedAt.IsZero() || b.InForce(time.Now())) {
			t.Errorf("in the history as in force: %+v", b)
		}
	}
	audits, err := p.Audits(ctx, 0, 10)
	ok(t, err)
	want(t, "audits", len(audits), 5)
	want(t, "the last", audits[0].Who+" "+audits[0].Action+" "+audits[0].Object+" "+string(audits[0].After), "eva ban.lift bans/192.0.2.1/32 null")
}

func testNodeBans(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	b := ban("192.0.2.1/32", "edge1", time.Hour)
	take := func(want int, bans ...tenancy.Ban) {
		t.Helper()
		n, err := p.TakeBans(ctx, bans)
		ok(t, err)
		if n != want {
			t.Errorf("%d were news, want %d", n, want)
		}
	}
	take(1, b, b)
	before, _ := p.Revisions(ctx)
	take(0, b)
	take(0, ban("192.0.2.1/32", "edge2", time.Minute)) // shorter
	take(0, ban("192.0.2.7/32", "edge2", -time.Minute))
	after, err := p.Revisions(ctx)
	ok(t, err)
	want(t, "revision without a change", after, before)

	longer := ban("192.0.2.1/32", "edge2", 2*time.Hour)
	take(1, longer)
	proven := ban("192.0.2.1/32", "edge3", time.Minute)
	proven.Proven = true
	take(1, proven)
	in, _, err := p.Bans(ctx)
	ok(t, err)
	want(t, "bans", len(in), 1)
	if in[0].Until != longer.Until || !in[0].Proven {
		t.Errorf("the ban is neither the longest nor proven: %+v", in[0])
	}

	// What an operator lifted stays lifted when the node tells of it again.
	_, err = p.Lift(ctx, b.Prefix, "eva")
	ok(t, err)
	take(0, b, longer, proven)
	audits, err := p.Audits(ctx, 0, 10)
	ok(t, err)
	want(t, "audits", len(audits), 1)
}

func testBansAreBounded(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	many := func(first byte, n int, proven bool) (all []tenancy.Ban) {
		for i := range n {
			b := ban("192.0.2.0/24", "edge1", time.Hour)
			b.Prefix, b.Proven = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, first, byte(i >> 8), byte(i)}), 32), proven
			all = append(all, b)
		}
		return all
	}
	take := func(what string, bans []tenancy.Ban, taken int) {
		t.Helper()
		n, err := p.TakeBans(ctx, bans)
		wantErr(t, what, err, tenancy.ErrFull)
		want(t, what, n, taken)
	}
	// Of one batch those that could be forged leave room for those that could not.
	take("forged, and some that are not", append(many(18, store.MaxForged+10, false), many(19, 10, true)...), store.MaxForged+10)
	take("proven", many(19, store.MaxNodes, true), store.MaxNodes-store.MaxForged) // ten of them longer than before
	longer := many(18, 1, true)
	longer[0].Until = longer[0].Until.Add(time.Hour)
	n, err := p.TakeBans(ctx, longer) // takes the place of another, so there is room
	ok(t, err)
	want(t, "a longer ban", n, 1)
	in, _, err := p.Bans(ctx)
	ok(t, err)
	want(t, "in force", len(in), store.MaxNodes)

	// The rest is for operators.
	_, err = p.Ban(ctx, tenancy.Ban{Prefix: in[0].Prefix, Reason: "again", Until: time.Now().Add(time.Hour), By: "ana"})
	ok(t, err) // in the place of another
	_, err = p.Ban(ctx, ban("192.0.2.1/32", "ana", time.Hour))
	ok(t, err)
}

func testBansArePruned(t *testing.T, s *store.Store) {
	ctx, p := t.Context(), s.Platform()
	old := ban("192.0.2.1/32", "ana", -91*24*time.Hour)
	_, err := p.Ban(ctx, old)
	ok(t, err)
	_, err = p.Ban(ctx, ban("192.0.2.2/32", "ana", -89*24*time.Hour))
	ok(t, err)
	n, err := p.PruneBans(ctx, 100)
	ok(t, err)
	want(t, "forgotten", n, int64(1))
	left, err := p.PastBans(ctx, 10)
	ok(t, err)
	want(t, "left", len(left), 1)

	// Beyond so many only those in force are kept.
	for range 10 {
		_, err := p.Ban(ctx, ban("192.0.2.3/32", "ana", time.Hour))
		ok(t, err)
	}
	first, err := p.Ban(ctx, ban("192.0.2.4/32", "ana", time.Hour))
	ok(t, err)
	for range 5 {
		_, err := p.Ban(ctx, ban("192.0.2.5/32", "ana", time.Hour))
		ok(t, err)
	}
	_, err = p.PruneBans(ctx, 3)
	ok(t, err)
	left, err = p.PastBans(ctx, 100)
	ok(t, err)
	want(t, "left of many", len(left), 5) // three of the last, and the two in force before them
	in, _, err := p.Bans(ctx)
	ok(t, err)
	want(t, "in force", len(in), 3)
	want(t, "the oldest of them", in[1], first)
}

func testAccess(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "101", "101"), Make(t, s, "b.test", "101", "101")
	got, err := a.Access(ctx)
	ok(t, err)
	want(t, "before anything was said", got, tenancy.Access{Document: json.RawMessage("{}")})
	_, err = s.Tenant(404).Access(ctx)
	wantErr(t, "a company that is not", err, tenancy.ErrNotFound)

	none := uint64(0)
	set, err := a.SetAccess(ctx, "ana", json.RawMessage(`{"road_warrior":1}`), &none)
	ok(t, err)
	want(t, "revision", set.Revision, uint64(1))
	got, err = a.Access(ctx)
	ok(t, err)
	want(t, "at once", got, set)
	now, err := a.SetAccess(ctx, "ana", json.RawMessage(`{"road_warrior":2}`), &none)
	wantErr(t, "a change of what is no more", err, tenancy.ErrConflict)
	want(t, "what there is instead", now, set)
	_, err = s.Tenant(404).SetAccess(ctx, "ana", json.RawMessage(`{}`), nil)
	wantErr(t, "setting it for a company that is not", err, tenancy.ErrNotFound)
	got, err = b.Access(ctx)
	ok(t, err)
	want(t, "the other company's", got.Revision, uint64(0))

	audits, err := s.Platform().Audits(ctx, 0, 10)
	ok(t, err)
	want(t, "audits", len(audits), 1)
	want(t, "of which", audits[0].Object, fmt.Sprintf("companies/%d/access", a.Company.ID))
}

func testOverview(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "101", "101"), Make(t, s, "b.test", "bob", "101")
	ok(t, a.SaveBinding(ctx, binding(a, "k", "call", 1)))
	dead := binding(b, "k", "call", 1)
	dead.Expires = time.Now().Add(-time.Second)
	ok(t, b.SaveBinding(ctx, dead))
	var all []tenancy.Registration
	ok(t, s.Platform().Registrations(ctx, func(r tenancy.Registration) error { all = append(all, r); return nil }))
	want(t, "live registrations", all, []tenancy.Registration{
		{Company: "c", User: "Ana", Terminal: "101", Source: "203.0.113.9:5062;transport=udp"},
	})
	companies, err := s.Platform().Companies(ctx)
	ok(t, err)
	want(t, "companies of all brands", companies, []tenancy.Company{a.Company, b.Company})
}
