package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
)

func testRecords(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "101", "101"), Make(t, s, "b.test", "101", "101")
	start := time.UnixMicro(time.Now().UnixMicro())
	var newest []string // of all companies
	for i := range 7 {
		r := record(fmt.Sprint("r", i))
		r.Start = start.Add(time.Duration(i/2) * time.Second) // two begin at once
		c := a
		if i%3 == 0 {
			c = b
		}
		ok(t, c.WriteCDR(ctx, r))
		newest = append([]string{r.ID}, newest...)
	}
	pages := func(f tenancy.CDRFilter, read func(tenancy.CDRFilter) []tenancy.CDR) (ids []string) {
		for f.Limit = 2; ; {
			page := read(f)
			for _, r := range page {
				ids = append(ids, r.ID)
				f.Before = tenancy.Place{Start: r.Start, ID: r.ID}
			}
			if len(page) < f.Limit {
				return ids
			}
		}
	}
	all := func(f tenancy.CDRFilter) (page []tenancy.CDR) {
		ok(t, s.Platform().Records(ctx, f, func(c tenancy.CDR) error { page = append(page, c); return nil }))
		return page
	}
	one := func(f tenancy.CDRFilter) []tenancy.CDR {
		page, err := b.Records(ctx, f)
		ok(t, err)
		return page
	}
	want(t, "records of all, by pages", pages(tenancy.CDRFilter{}, all), newest)
	want(t, "records of one company, by pages", pages(tenancy.CDRFilter{}, one), []string{"r6", "r3", "r0"})
	between := tenancy.CDRFilter{From: start.Add(time.Second), To: start.Add(3 * time.Second)}
	want(t, "records of two seconds", pages(between, all), []string{"r5", "r4", "r3", "r2"})
	want(t, "records of two seconds, of one company", pages(between, one), []string{"r3"})
}

// word is the last word of a relay on one leg of a dialog.
func word(callID string, leg int, created time.Time) tenancy.Quality {
	return tenancy.Quality{
		CallID: callID, Relay: "relay-1", Created: created, Ended: created.Add(time.Minute), Leg: leg, Kind: "audio", Tag: fmt.Sprint("tag", leg),
		Path: "kernel", Codec: "PCMU", Packets: 3000, Lost: 30, Jitter: 1500 * time.Microsecond, RoundTrip: 42 * time.Millisecond, MOS: 4.25, EndReason: "deleted",
	}
}

func testQuality(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Make(t, s, "a.test", "101", "101"), Make(t, s, "b.test", "101", "101")
	r := record("one")
	r.Dialogs = []tenancy.Dialog{
		{CallID: "in", Side: tenancy.CallerSide, Tag: "tag0"},
		{CallID: "out", Side: tenancy.CalleeSide, Tag: "tag1"},
	}
	first, second := word("in", 0, r.Start), word("out", 1, r.Start)
	second.RoundTrip, second.MOS = 0, 0 // not known
	other := word("stranger", 0, r.Start)
	earlier := word("in", 0, r.Start.Add(-time.Hour)) // a phone that uses its Call-ID again

	ok(t, s.Platform().TakeQualities(ctx, []tenancy.Quality{first, other, earlier})) // before the record
	ok(t, a.WriteCDR(ctx, r))
	ok(t, a.WriteCDR(ctx, r))
	ok(t, b.WriteCDR(ctx, record("one")))
	ok(t, s.Platform().TakeQualities(ctx, []tenancy.Quality{second})) // and after it
	first.Lost = 31
	ok(t, s.Platform().TakeQualities(ctx, []tenancy.Quality{first})) // told again

	first.Dialog, second.Dialog = r.Dialogs[0], r.Dialogs[1]
	wanted := []tenancy.Quality{first, second}
	for i := range wanted {
		wanted[i].CDR, wanted[i].CDRCompany = "one", a.Company.ID
	}
	got, err := a.Qualities(ctx, r.Start, r.Start)
	ok(t, err)
	want(t, "of the company", got, wanted)
	var all []tenancy.Quality
	ok(t, s.Platform().Qualities(ctx, r.Start, r.Start, func(q tenancy.Quality) error { all = append(all, q); return nil }))
	want(t, "of all companies", all, wanted)
	for what, list := range map[string]func() ([]tenancy.Quality, error){
		"another company's": func() ([]tenancy.Quality, error) { return b.Qualities(ctx, r.Start, r.Start) },
		"of another time":   func() ([]tenancy.Quality, error) { return a.Qualities(ctx, r.End, r.End) },
	} {
		got, err := list()
		ok(t, err)
		want(t, what, len(got), 0)
	}
}

func testQualityPruned(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Make(t, s, "a.test", "101", "101")
	r := record("one")
	r.Dialogs = []tenancy.Dialog{{CallID: "in", Side: tenancy.CallerSide, Tag: "tag0"}}
	ok(t, c.WriteCDR(ctx, r))
	ok(t, s.Platform().TakeQualities(ctx, []tenancy.Quality{word("in", 0, r.Start), word("x", 0, r.Start), word("x", 1, r.Start)}))
	for _, step := range []struct {
		before    time.Duration
		forgotten int64
	}{{-time.Hour, 0}, {time.Hour, 2}, {time.Hour, 0}} {
		n, err := s.Platform().PruneQualities(ctx, time.Now().Add(step.before))
		ok(t, err)
		want(t, "words forgotten", n, step.forgotten)
	}
	got, err := c.Qualities(ctx, r.Start, r.Start)
	ok(t, err)
	want(t, "words of the record", len(got), 1)
}
