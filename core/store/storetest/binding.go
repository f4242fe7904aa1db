package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
)

// binding is a binding of c's terminal, live for an hour, with times cut to what
// every database keeps.
func binding(c Company, key, callID string, cseq uint32) tenancy.Binding {
	now := time.UnixMicro(time.Now().UnixMicro())
	return tenancy.Binding{
		Company: c.Company.ID, Terminal: c.Terminal.ID, User: c.User.ID, Key: key,
		Contact: "sip:101@192.0.2.1:5062;transport=udp", Params: `;q=0.5;+sip.instance="<urn:uuid:1>"`,
		Path:   []string{"<sip:tok,en@198.51.100.1:5065;transport=tcp;lr;ob>", "<sip:second@198.51.100.2;lr>"},
		CallID: callID, CSeq: cseq, UserAgent: "phone/1 (ñ)", Source: "203.0.113.9:5062;transport=udp",
		Expires: now.Add(time.Hour), Updated: now,
	}
}

func keys(all []tenancy.Binding) (ks []string) {
	for _, b := range all {
		ks = append(ks, b.Key)
	}
	return ks
}

func testBindingRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	b := binding(c, "k", "call", 4294967295)
	given := b
	given.Company, given.User = 0, 0 // the store knows better
	ok(t, c.SaveBinding(ctx, given))
	got, err := c.Bindings(ctx, c.User.ID)
	ok(t, err)
	want(t, "bindings of the user", got, []tenancy.Binding{b})

	old := binding(c, "none", "other", 1)
	old.Path, old.Updated = nil, b.Updated.Add(-time.Minute)
	ok(t, c.SaveBinding(ctx, old))
	got, err = c.BindingsOf(ctx, c.Terminal.ID)
	ok(t, err)
	want(t, "bindings of the terminal, newest first", got, []tenancy.Binding{b, old})
}

func testBindingOrder(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	ok(t, c.SaveBinding(ctx, binding(c, "k", "call", 5)))
	wantErr(t, "the same CSeq", c.SaveBinding(ctx, binding(c, "k", "call", 5)), tenancy.ErrOutOfOrder)
	wantErr(t, "a lower CSeq", c.SaveBinding(ctx, binding(c, "k", "call", 4)), tenancy.ErrOutOfOrder)
	wantErr(t, "removal by the same CSeq", c.DeleteBinding(ctx, binding(c, "k", "call", 5)), tenancy.ErrOutOfOrder)
	ok(t, c.SaveBinding(ctx, binding(c, "k", "call", 6)))
	ok(t, c.SaveBinding(ctx, binding(c, "k", "rebooted", 1)))
	ok(t, c.DeleteBinding(ctx, binding(c, "k", "rebooted", 2)))
	ok(t, c.DeleteBinding(ctx, binding(c, "k", "rebooted", 3))) // nothing there is fine
	got, err := c.BindingsOf(ctx, c.Terminal.ID)
	ok(t, err)
	want(t, "bindings", len(got), 0)

	nobody := binding(c, "k", "call", 1)
	nobody.Terminal = 404
	wantErr(t, "a terminal that does not exist", c.SaveBinding(ctx, nobody), tenancy.ErrOutOfOrder)
}

func testBindingExpiry(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	dead := binding(c, "k", "call", 9)
	dead.Expires = time.Now().Add(-time.Second)
	ok(t, c.SaveBinding(ctx, dead))
	got, err := c.Bindings(ctx, c.User.ID)
	ok(t, err)
	want(t, "live bindings", len(got), 0)
	ok(t, c.SaveBinding(ctx, binding(c, "k", "call", 1))) // a dead one holds nobody up

	dead.Key = "dead"
	ok(t, c.SaveBinding(ctx, dead))
	ok(t, c.ChangeBindings(ctx, c.Terminal.ID, tenancy.BindingChange{Tidy: true}))
	dead.CSeq, dead.Expires = 10, time.Now().Add(time.Hour)
	ok(t, c.DeleteBinding(ctx, binding(c, "dead", "call", 1))) // lower, but it is gone
	got, err = c.Bindings(ctx, c.User.ID)
	ok(t, err)
	want(t, "live bindings", keys(got), []string{"k"})
}

func testBindingChange(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	ok(t, c.ChangeBindings(ctx, c.Terminal.ID, tenancy.BindingChange{
		Put: []tenancy.Binding{binding(c, "a", "call", 1), binding(c, "b", "call", 1)},
	}))
	err := c.ChangeBindings(ctx, c.Terminal.ID, tenancy.BindingChange{
		Put:  []tenancy.Binding{binding(c, "new", "call", 1), binding(c, "b", "call", 1)}, // b is out of order
		Drop: []tenancy.Binding{binding(c, "a", "call", 2)},
	})
	wantErr(t, "a change with one part out of order", err, tenancy.ErrOutOfOrder)
	got, err := c.BindingsOf(ctx, c.Terminal.ID)
	ok(t, err)
	want(t, "how many bindings after it", len(got), 2)

	ok(t, c.ChangeBindings(ctx, c.Terminal.ID, tenancy.BindingChange{
		Put:  []tenancy.Binding{binding(c, "new", "call", 2)},
		Drop: []tenancy.Binding{binding(c, "a", "call", 2), binding(c, "b", "call", 2)},
	}))
	got, err = c.BindingsOf(ctx, c.Terminal.ID)
	ok(t, err)
	want(t, "bindings", keys(got), []string{"new"})
}

func testConcurrent(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range uint32(each) {
				b := binding(c, fmt.Sprint(w), fmt.Sprint(w), i+1)
				if err := c.SaveBinding(ctx, b); err != nil {
					t.Errorf("writer %d, CSeq %d: %v", w, i+1, err)
					return
				}
				if _, err := c.Bindings(ctx, c.User.ID); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := c.Bindings(ctx, c.User.ID)
	ok(t, err)
	want(t, "how many bindings", len(got), writers)
	for _, b := range got {
		want(t, "last CSeq of "+b.Key, b.CSeq, uint32(each))
	}
}
