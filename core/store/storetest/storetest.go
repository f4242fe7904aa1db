// Package storetest is the suite that every database behind core/store passes,
// and a PostgreSQL server to pass it on. It is for tests only.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
)

// Run runs the suite. fresh makes an empty database and returns its URL; the
// suite opens and closes it.
func Run(t *testing.T, fresh func(t *testing.T) (url string)) {
	for name, test := range map[string]func(*testing.T, *store.Store){
		"levels are made and found":              testLevels,
		"names are unique where they must be":    testUnique,
		"a founding is whole or not at all":      testFounding,
		"settings are kept":                      testSettings,
		"a tenant never meets another's rows":    testIsolation,
		"a binding is kept as it was given":      testBindingRoundTrip,
		"bindings follow Call-ID and CSeq":       testBindingOrder,
		"bindings expire":                        testBindingExpiry,
		"a change of bindings is whole":          testBindingChange,
		"a call's record is written once":        testCDR,
		"records are read page by page":          testRecords,
		"a relay's word finds its record":        testQuality,
		"a word that no record names is dropped": testQualityPruned,
		"credentials change at once":             testCredentials,
		"broken text is neither found nor fatal": testBrokenText,
		"many write bindings at once":            testConcurrent,
		"a name asked before it exists is found": testAbsentThenMade,
		"policies are added, never changed":      testPolicies,
		"one of many changes of a policy wins":   testPoliciesAtOnce,
		"lists of documents are bounded":         testLongLists,
		"the ban list says who is banned now":    testBans,
		"bans of nodes are kept once":            testNodeBans,
		"bans are bounded":                       testBansAreBounded,
		"bans long over are forgotten":           testBansArePruned,
		"a company says from where it calls":     testAccess,
		"operators see who is behind an address": testOverview,
	} {
		t.Run(name, func(t *testing.T) {
			s := Open(t, fresh(t))
			test(t, s)
		})
	}
	t.Run("what was written is there after reopening", func(t *testing.T) { testReopen(t, fresh(t)) })
}

// Open opens the database at url and closes it with the test.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

// A Company is a tenant with one user, who has a terminal and a number.
type Company struct {
	*store.Tenant
	Company  tenancy.Company
	User     tenancy.User
	Terminal tenancy.Terminal
	Number   string
}

// Make makes a company with domain in a brand of its own, whose user has the
// terminal username and is called by number.
func Make(t testing.TB, s *store.Store, domain, username, number string) Company {
	t.Helper()
	ctx := t.Context()
	b, err := s.Platform().CreateBrand(ctx, tenancy.Brand{Name: "brand of " + domain})
	ok(t, err)
	c := Company{Number: number}
	c.Company, err = s.Brand(b.ID).CreateCompany(ctx, tenancy.Company{Name: "c", Domain: domain, RingTime: 30 * time.Second})
	ok(t, err)
	c.Tenant = s.Tenant(c.Company.ID)
	c.User, err = c.CreateUser(ctx, tenancy.User{Name: "Ana"})
	ok(t, err)
	c.Terminal, err = c.CreateTerminal(ctx, tenancy.Terminal{User: c.User.ID, Username: username, HA1MD5: "m", HA1SHA: "s"})
	ok(t, err)
	_, err = c.CreateExtension(ctx, tenancy.Extension{Number: number, Kind: tenancy.ToUser, User: c.User.ID})
	ok(t, err)
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func wantErr(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func testLevels(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "Demo.Lindero.Test", "101", "101")
	want(t, "the domain is kept in lower case", c.Company.Domain, "demo.lindero.test")

	found, err := s.Domain(ctx, "DEMO.lindero.test")
	ok(t, err)
	want(t, "tenant of the domain", found.ID(), c.Company.ID)
	company, err := found.Company(ctx)
	ok(t, err)
	want(t, "company", company, c.Company)
	user, err := found.User(ctx, c.User.ID)
	ok(t, err)
	want(t, "user", user, c.User)
	terminal, err := found.Terminal(ctx, "101")
	ok(t, err)
	want(t, "terminal", terminal, c.Terminal)

	_, err = found.CreateExtension(ctx, tenancy.Extension{Number: "600", Kind: tenancy.ToEcho})
	ok(t, err)
	echo, err := found.Extension(ctx, "600")
	ok(t, err)
	want(t, "echo", echo, tenancy.Extension{ID: echo.ID, Company: company.ID, Number: "600", Kind: tenancy.ToEcho})
	number, err := found.ExtensionOf(ctx, c.User.ID)
	ok(t, err)
	want(t, "the user's number", number,
		tenancy.Extension{ID: number.ID, Company: company.ID, Number: "101", Kind: tenancy.ToUser, User: c.User.ID})

	companies, err := s.Brand(c.Company.Brand).Companies(ctx)
	ok(t, err)
	want(t, "companies of the brand", companies, []tenancy.Company{c.Company})
	brands, err := s.Platform().Brands(ctx)
	ok(t, err)
	want(t, "brands", brands, []tenancy.Brand{{ID: c.Company.Brand, Name: "brand of Demo.Lindero.Test"}})
}

func testUnique(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a := Make(t, s, "a.test", "101", "101")
	b := Make(t, s, "b.test", "101", "101") // the same names in another company are no trouble

	_, err := s.Platform().CreateBrand(ctx, tenancy.Brand{Name: "brand of a.test"})
	wantErr(t, "a brand's name again", err, tenancy.ErrExists)
	_, err = s.Brand(b.Company.Brand).CreateCompany(ctx, tenancy.Company{Name: "x", Domain: "A.test", RingTime: time.Second})
	wantErr(t, "another brand's domain", err, tenancy.ErrExists)
	_, err = a.CreateTerminal(ctx, tenancy.Terminal{User: a.User.ID, Username: "101"})
	wantErr(t, "a username again", err, tenancy.ErrExists)
	_, err = a.CreateExtension(ctx, tenancy.Extension{Number: "101", Kind: tenancy.ToEcho})
	wantErr(t, "a number again", err, tenancy.ErrExists)
	_, err = s.Brand(404).CreateCompany(ctx, tenancy.Company{Name: "x", Domain: "x.test", RingTime: time.Second})
	wantErr(t, "a company of no brand", err, tenancy.ErrNotFound)
	if _, err = a.CreateExtension(ctx, tenancy.Extension{Number: "700", Kind: "moon"}); err == nil {
		t.Error("an extension of an unknown kind was made")
	}
}

func testFounding(t *testing.T, s *store.Store) {
	ctx := t.Context()
	f := store.Founding{
		Brand:   tenancy.Brand{Name: "demo"},
		Company: tenancy.Company{Name: "demo", Domain: "demo.test", RingTime: time.Second},
		Members: []store.Member{{User: tenancy.User{Name: "Ana"}, Terminal: tenancy.Terminal{Username: "101"}, Number: "101"}},
		Others:  []tenancy.Extension{{Number: "101", Kind: tenancy.ToEcho}}, // taken by the member
	}
	_, err := s.Platform().Found(ctx, f)
	wantErr(t, "a founding with a number twice", err, tenancy.ErrExists)
	brands, err := s.Platform().Brands(ctx)
	ok(t, err)
	want(t, "brands after a failed founding", len(brands), 0)

	f.Others[0].Number = "600"
	c, err := s.Platform().Found(ctx, f)
	ok(t, err)
	e, err := s.Tenant(c.ID).Extension(ctx, "101")
	ok(t, err)
	d, err := s.Tenant(c.ID).Terminal(ctx, "101")
	ok(t, err)
	want(t, "the number leads to the terminal's user", e.User, d.User)

	f.Brand.Name, f.Company.Domain = "other", "other.test"
	_, err = s.Platform().Found(ctx, f)
	wantErr(t, "a second founding", err, tenancy.ErrExists)
}

func testSettings(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, err := s.Platform().Setting(ctx, "x")
	wantErr(t, "a setting never made", err, tenancy.ErrNotFound)
	for _, v := range []string{"one", "two"} {
		ok(t, s.Platform().SetSetting(ctx, "x", v))
		got, err := s.Platform().Setting(ctx, "x")
		ok(t, err)
		want(t, "setting", got, v)
	}
}

func testAbsentThenMade(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, err := s.Domain(ctx, "new.test")
	wantErr(t, "domain", err, tenancy.ErrNotFound)
	c := Make(t, s, "new.test", "101", "101")
	_, err = s.Domain(ctx, "new.test")
	ok(t, err)
	_, err = c.Tenant.Terminal(ctx, "102")
	wantErr(t, "terminal", err, tenancy.ErrNotFound)
	_, err = c.CreateTerminal(ctx, tenancy.Terminal{User: c.User.ID, Username: "102"})
	ok(t, err)
	_, err = c.Tenant.Terminal(ctx, "102")
	ok(t, err)
}

func testBrokenText(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	for _, name := range []string{"1\x0001", "\xff101", "\x00"} {
		_, err := s.Domain(ctx, name)
		wantErr(t, "domain", err, tenancy.ErrNotFound)
		_, err = c.Tenant.Terminal(ctx, name)
		wantErr(t, "terminal", err, tenancy.ErrNotFound)
		_, err = c.Extension(ctx, name)
		wantErr(t, "extension", err, tenancy.ErrNotFound)
		b := binding(c, name, name, 1)
		b.UserAgent, b.Params, b.Path = name, name, []string{name}
		ok(t, c.SaveBinding(ctx, b))
		b.CSeq++
		ok(t, c.DeleteBinding(ctx, b))
		r := record(name)
		r.From, r.To, r.CallID, r.Reason = name, name, name, name
		ok(t, c.WriteCDR(ctx, r))
	}
	got, err := c.Bindings(ctx, c.User.ID)
	ok(t, err)
	want(t, "bindings left", len(got), 0)
}

func testCredentials(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "101", "101"), Make(t, s, "b.test", "101", "101")
	_, err := a.Tenant.Terminal(ctx, "101") // now it is remembered
	ok(t, err)
	ok(t, a.SetCredentials(ctx, a.Terminal.ID, "m2", "s2"))
	d, err := a.Tenant.Terminal(ctx, "101")
	ok(t, err)
	want(t, "digests", d.HA1MD5+d.HA1SHA, "m2s2")
	wantErr(t, "another's terminal", a.SetCredentials(ctx, b.Terminal.ID, "x", "x"), tenancy.ErrNotFound)
}

func testReopen(t *testing.T, url string) {
	ctx := t.Context()
	s, err := store.Open(ctx, url)
	ok(t, err)
	c := Make(t, s, "a.test", "101", "101")
	b := binding(c, "k", "call", 1)
	ok(t, c.SaveBinding(ctx, b))
	ok(t, s.Close())
	if err := s.Ping(context.WithoutCancel(ctx)); err == nil {
		t.Error("a closed store answers")
	}

	s = Open(t, url)
	got, err := s.Tenant(c.Company.ID).BindingsOf(ctx, c.Terminal.ID)
	ok(t, err)
	want(t, "bindings", keys(got), []string{"k"})
}
