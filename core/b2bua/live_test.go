package b2bua_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// only is the one call that goes on.
func (w *world) only() tenancy.LiveCall {
	w.t.Helper()
	all, total := w.b.Live(w.t.Context(), 10)
	if len(all) != 1 || total != 1 {
		w.t.Fatalf("live calls: %d of %d: %+v", len(all), total, all)
	}
	return all[0]
}

// dialogs of a call as texts, without the edges.
func dialogsOf(all []tenancy.Dialog) (out []string) {
	for _, d := range all {
		out = append(out, string(d.Side)+" "+d.CallID+" "+d.Tag)
	}
	return out
}

// TestLive follows a call in the list of live ones, and its dialogs into its record.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		if all, total := w.b.Live(t.Context(), 10); len(all) != 0 || total != 0 {
			t.Fatalf("before any call: %+v", all)
		}
		da := a.call("102", describe("alice", 1, "sendrecv"))
		db := b.incoming()
		synctest.Wait()
		if c := w.only(); c.State != tenancy.Trying || c.Company != 1 || c.From != "101" || c.To != "102" || !c.Answer.IsZero() {
			t.Errorf("while it is tried: %+v", c)
		}
		db.answer(db.in, 180, "")
		da.expect(180)
		if c := w.only(); c.State != tenancy.Ringing {
			t.Errorf("while it rings: %+v", c)
		}
		db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
		b.expect("ACK")
		da.expect(200)
		da.ack("")
		synctest.Wait()
		c := w.only()
		wanted := []string{"caller " + da.callID + " " + tag(da.local), "callee " + db.callID + " " + tag(db.local)}
		if c.State != tenancy.Talking || c.Answer.IsZero() || !slices.Equal(dialogsOf(c.Dialogs), wanted) {
			t.Errorf("while they talk: %+v, dialogs wanted %v", c, wanted)
		}
		if c.Dialogs[0].Edge != a.addr || c.Dialogs[1].Edge != b.addr {
			t.Errorf("edges are %v and %v, want %v and %v", c.Dialogs[0].Edge, c.Dialogs[1].Edge, a.addr, b.addr)
		}
		if same, ok := w.b.LiveCall(t.Context(), c.ID); !ok || same.ID != c.ID || same.State != tenancy.Talking {
			t.Errorf("asked for by its id: %+v %v", same, ok)
		}
		if _, ok := w.b.LiveCall(t.Context(), "no such"); ok {
			t.Error("a call that is not was found")
		}
		da.request("BYE", "", "")
		a.expect("200 BYE")
		b.ok(b.expect("BYE"))
		if cdr := w.cdr(tenancy.OK, 200, "caller"); cdr.ID != c.ID || !slices.Equal(dialogsOf(cdr.Dialogs), wanted) {
			t.Errorf("the record is %+v, dialogs wanted %v", cdr, wanted)
		}
		w.ended()
		if all, _ := w.b.Live(t.Context(), 10); len(all) != 0 {
			t.Errorf("after it: %+v", all)
		}
	})
}

// A stuck tenant answers when it is let.
type stuck struct {
	b2bua.Tenant
	let <-chan struct{}
}

func (s stuck) Company(ctx context.Context) (tenancy.Company, error) {
	select {
	case <-s.let:
	case <-ctx.Done():
	}
	return s.Tenant.Company(ctx)
}

// TestLiveWaitsForNoDirectory lists a call that is held up with what is known of it.
func TestLiveWaitsForNoDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		w := newWorld(t, func(c *b2bua.Config) {
			directory := c.Directory
			c.Directory = func(id tenancy.CompanyID) b2bua.Tenant { return stuck{directory(id), let} }
		})
		a := w.phone("alice", 1)
		d := a.call("102", "")
		synctest.Wait()
		began := time.Now()
		c := w.only()
		if took := time.Since(began); c.ID == "" || c.State != "" || c.Dialogs[0].CallID != d.callID || took > time.Second {
			t.Errorf("after %v: %+v", took, c)
		}
		close(let)
		d.expect(480)
		d.ackFailure()
	})
}

// TestDialogsOfATransfer has every dialog in the record of the call that it was of.
func TestDialogsOfATransfer(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
	da, db := talk(t, a, b)
	db2, dc := talk(t, b, c)
	db.refer(replaces(db2))
	dc.answer(c.expect("INVITE"), 200, describe("carol", 2, "sendrecv"))
	c.expect("ACK")
	da.swapped("carol", "bob")
	b.notified("200", "terminated")
	b.ok(b.expect("BYE"))
	b.ok(b.expect("BYE"))
	da.request("BYE", "", "")
	a.expect("200 BYE")
	c.ok(c.expect("BYE"))
	for _, cdr := range w.cdrs(2) {
		got, want := []string{}, []string{da.callID, db.callID, dc.callID}
		if cdr.CallID == db2.callID {
			want = []string{db2.callID, dc.callID}
		}
		for _, d := range cdr.Dialogs {
			got = append(got, d.CallID)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the record of %s to %s names %v, want %v", cdr.From, cdr.To, got, want)
		}
	}
	w.ended()
}
