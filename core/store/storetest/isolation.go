package storetest

import (
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
)

// testIsolation asks one company's handle for everything that belongs to another,
// by the other's own ids and names.
func testIsolation(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "alice", "101"), Make(t, s, "b.test", "bob", "202")
	ok(t, b.SaveBinding(ctx, binding(b, "k", "call", 1)))
	ok(t, b.WriteCDR(ctx, record("one")))

	_, err := a.Tenant.User(ctx, b.User.ID)
	wantErr(t, "user", err, tenancy.ErrNotFound)
	_, err = a.Tenant.Terminal(ctx, "bob")
	wantErr(t, "terminal", err, tenancy.ErrNotFound)
	_, err = a.Extension(ctx, "202")
	wantErr(t, "extension", err, tenancy.ErrNotFound)
	_, err = a.ExtensionOf(ctx, b.User.ID)
	wantErr(t, "extension of the user", err, tenancy.ErrNotFound)
	for what, list := range map[string]func() ([]tenancy.Binding, error){
		"bindings of the user":     func() ([]tenancy.Binding, error) { return a.Bindings(ctx, b.User.ID) },
		"bindings of the terminal": func() ([]tenancy.Binding, error) { return a.BindingsOf(ctx, b.Terminal.ID) },
	} {
		got, err := list()
		ok(t, err)
		want(t, what, len(got), 0)
	}
	cdrs, err := a.CDRs(ctx, 10)
	ok(t, err)
	want(t, "records", len(cdrs), 0)
	companies, err := s.Brand(a.Company.Brand).Companies(ctx)
	ok(t, err)
	want(t, "companies of a's brand", companies, []tenancy.Company{a.Company})

	// Nor can it write there, or hang its own rows on the other's.
	wantErr(t, "a binding for the other's terminal", a.SaveBinding(ctx, binding(b, "k", "call", 2)), tenancy.ErrOutOfOrder)
	ok(t, a.DeleteBinding(ctx, binding(b, "k", "call", 2)))
	ok(t, a.ChangeBindings(ctx, b.Terminal.ID, tenancy.BindingChange{Tidy: true}))
	_, err = a.CreateTerminal(ctx, tenancy.Terminal{User: b.User.ID, Username: "thief"})
	wantErr(t, "a terminal for the other's user", err, tenancy.ErrNotFound)
	_, err = a.CreateExtension(ctx, tenancy.Extension{Number: "999", Kind: tenancy.ToUser, User: b.User.ID})
	wantErr(t, "an extension for the other's user", err, tenancy.ErrNotFound)
	ok(t, a.WriteCDR(ctx, record("one"))) // the other's id does not stand in the way

	left, err := b.BindingsOf(ctx, b.Terminal.ID)
	ok(t, err)
	want(t, "the other's binding", len(left), 1)
	want(t, "the other's binding's CSeq", left[0].CSeq, uint32(1))
	for name, c := range map[string]Company{"a": a, "b": b} {
		cdrs, err := c.CDRs(ctx, 10)
		ok(t, err)
		want(t, "records of "+name, len(cdrs), 1)
	}
}

func record(id string) tenancy.CDR {
	start := time.UnixMicro(time.Now().UnixMicro())
	return tenancy.CDR{
		ID: id, CallerUser: 7, From: "101", To: "600", CallID: "abc", Start: start, Answer: start.Add(time.Second),
		End: start.Add(time.Minute), Verdict: tenancy.OK, Code: 200, HungUpBy: "caller", Reason: "hung up",
	}
}

func testCDR(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	first := record("one")
	ok(t, c.WriteCDR(ctx, first))
	again := first
	again.Reason = "another story"
	ok(t, c.WriteCDR(ctx, again))
	later := record("two")
	later.Start, later.Answer, later.Verdict, later.CalleeUser = first.Start.Add(time.Hour), time.Time{}, tenancy.Callee, 8
	ok(t, c.WriteCDR(ctx, later))

	got, err := c.CDRs(ctx, 10)
	ok(t, err)
	first.Company, later.Company = c.Company.ID, c.Company.ID
	want(t, "records, newest first", got, []tenancy.CDR{later, first})
	got, err = c.CDRs(ctx, 1)
	ok(t, err)
	want(t, "the last record", got, []tenancy.CDR{later})

	wantErr(t, "a record of no company", s.Tenant(404).WriteCDR(ctx, record("x")), tenancy.ErrNotFound)
	bad := record("bad")
	bad.Verdict = "maybe"
	if err := c.WriteCDR(ctx, bad); err == nil {
		t.Error("a record with an unknown verdict was kept")
	}
}
