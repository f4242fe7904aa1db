package call_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/journal"
)

// kept is a registry whose calls are kept in dir, and goes on with those that are.
func kept(t *testing.T, dir string, change ...func(*call.Config)) (r *call.Registry, b *table, lost []error, end func()) {
	t.Helper()
	j, known, notes, err := journal.Open(dir, call.StateVersion)
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	b = newTable()
	r, _ = newRegistry(t, b, append([]func(*call.Config){func(c *call.Config) { c.Journal = j }}, change...)...)
	_, lost = r.Restore(known, time.Now())
	if err := r.Rewrite(); err != nil {
		t.Fatal(err)
	}
	end = func() { j.Close() }
	t.Cleanup(end)
	return r, b, lost, end
}

// legs are what the table was told, with treatments only said to be there.
func legs(b *table) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, l := range b.legs {
		treated := l.Treat != nil
		l.Treat = nil
		all = append(all, fmt.Sprintf("%+v %v", l, treated))
	}
	slices.Sort(all)
	return all
}

// talked is a conversation with everything that a restart must not forget, and says
// which of our ports the learned source came to.
func talked(t *testing.T, r *call.Registry) (local, source netip.AddrPort) {
	t.Helper()
	l := &lab{t: t, Registry: r}
	m := offer("192.168.1.4", natted)
	m.Branch, m.Label = "one", "caller"
	l.offer(m)
	m.Branch = "two"
	l.offer(m) // another branch, that rings on
	m = answer()
	m.Branch = "one"
	l.answer(m)
	source = netip.AddrPortFrom(netip.MustParseAddr(natted), 40123)
	if !r.Learn(l.atOut, source) {
		t.Fatal("not learned")
	}
	if _, err := r.Rule(call.Selection{CallID: "c", From: "b"}, func(r *call.Rules) { r.NoEvents = true }); err != nil {
		t.Fatal(err)
	}
	other := offer(natted, natted)
	other.CallID, other.SDP = "other", append(body(natted, 4000), "a=sendonly\na=rtcp-mux\n"...)
	l.must(r.Offer(other))
	if _, _, err := r.Delete(call.Deletion{CallID: "other", Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	over := offer(natted, natted)
	over.CallID = "over"
	l.must(r.Offer(over))
	if _, _, err := r.Delete(call.Deletion{CallID: "over"}); err != nil {
		t.Fatal(err)
	}
	return l.atOut, source
}

func TestRestoredCallsAreTheSame(t *testing.T) {
	dir := t.TempDir()
	before, was, _, end := kept(t, dir)
	local, source := talked(t, before)
	before.Sweep(time.Now())
	end()
	after, is, lost, _ := kept(t, dir)
	if len(lost) > 0 {
		t.Error(lost)
	}
	if a, b := legs(was), legs(is); !slices.Equal(a, b) {
		t.Errorf("legs were\n%s\nand are\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	if got := is.leg(local); got.From != source {
		t.Errorf("the learned source is %v", got.From)
	}
	maps.DeleteFunc(was.open, func(a netip.AddrPort, _ bool) bool { return !is.open[a] })
	if len(is.open) != 12 || len(was.open) != 12 { // two branches, and another call
		t.Errorf("%v are open, of which were %v", is.open, was.open)
	}
	if ids := after.List(9); !slices.Equal(ids, []string{"c", "other"}) {
		t.Fatalf("calls %v", ids)
	}
	for _, id := range after.List(9) {
		a, err := before.Query(id)
		b, err2 := after.Query(id)
		if err != nil || err2 != nil || fmt.Sprint(utc(a)) != fmt.Sprint(utc(b)) {
			t.Errorf("%s was\n%+v\nand is\n%+v (%v %v)", id, a, b, err, err2)
		}
	}
	after.Sweep(time.Now().Add(2 * time.Minute))
	if ids := after.List(9); slices.Contains(ids, "other") {
		t.Errorf("a delete with a delay is forgotten: %v", ids)
	}
}

// utc makes times comparable as text: one of them has lost its monotonic clock.
func utc(s call.Summary) call.Summary {
	s.Created, s.LastSignal = s.Created.Round(0).UTC(), s.LastSignal.Round(0).UTC()
	for i := range s.Tags {
		s.Tags[i].Created = s.Tags[i].Created.Round(0).UTC()
	}
	return s
}

// What was learned in the last moment before the end proves itself once more.
func TestAForgottenSourceProvesItselfAnew(t *testing.T) {
	dir := t.TempDir()
	before, _, _, end := kept(t, dir)
	local, source := talked(t, before)
	r, err := before.Query("c")
	if err != nil || len(r.Tags) == 0 {
		t.Fatal(err)
	}
	end() // and no Sweep
	after, is, _, _ := kept(t, dir)
	if !is.leg(local).From.IsValid() && !after.Learn(local, source) {
		t.Error("it is refused")
	}
	if got := is.leg(local).From; got != source {
		t.Errorf("from %v", got)
	}
}

// An interface that is gone, or a leg that cannot be had, ends its calls and says so.
func TestWhatCannotBeHadIsLost(t *testing.T) {
	for name, change := range map[string]func(*call.Config){
		"interface external": func(c *call.Config) { c.Interfaces = c.Interfaces[1:] },
		"no leg": func(c *call.Config) {
			c.Resume = func(forward.Leg) error { return fmt.Errorf("no leg") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before, _, _, end := kept(t, dir)
			talked(t, before)
			end()
			after, is, lost, _ := kept(t, dir, change)
			if len(lost) != 2 || !strings.Contains(lost[0].Error(), name) || !strings.Contains(fmt.Sprint(lost), "call other") {
				t.Errorf("lost: %v", lost)
			}
			if calls, ports, _ := after.Counts(); calls+ports != 0 || len(is.legs) != 0 {
				t.Errorf("%d calls, %d ports, legs %v", calls, ports, is.legs)
			}
		})
	}
}

// Calls that are joined here are so again, whichever of them is restored first.
func TestJoinedCallsAreRestored(t *testing.T) {
	dir := t.TempDir()
	before, was, _, end := kept(t, dir)
	l := &lab{t: t, Registry: before}
	for i := range 8 {
		m := offer(natted, natted)
		m.CallID = fmt.Sprint(i)
		l.offer(m)
		m = answer()
		m.CallID = fmt.Sprint(i)
		if i > 0 {
			m.SDP = body("10.1.0.1", int(l.atOut.Port())) // of the call before
		}
		l.answer(m)
	}
	end()
	_, is, lost, _ := kept(t, dir)
	if a, b := legs(was), legs(is); len(lost) > 0 || !slices.Equal(a, b) {
		t.Errorf("legs were\n%s\nand are\n%s\n%v", strings.Join(a, "\n"), strings.Join(b, "\n"), lost)
	}
}
