package b2bua

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// liveWait is how long calls have to say how they are. One that waits for the
// directory says nothing meanwhile.
const liveWait = 300 * time.Millisecond

// Live lists calls that go on, the newest first, at most limit, and says how many
// there are. A call that is too busy to tell is listed with what never changes.
func (b *B2BUA) Live(ctx context.Context, limit int) (all []tenancy.LiveCall, total int) {
	calls := b.snapshot()
	total = len(calls)
	// ID, CallID and Start of a call's record are constant.
	slices.SortFunc(calls, func(x, y *call) int {
		return cmp.Or(y.cdr.Start.Compare(x.cdr.Start), cmp.Compare(x.cdr.ID, y.cdr.ID))
	})
	return b.ask(ctx, calls[:min(len(calls), limit)]), total
}

// LiveCall is the call with the ID that its record will have.
func (b *B2BUA) LiveCall(ctx context.Context, id string) (tenancy.LiveCall, bool) {
	for _, c := range b.snapshot() {
		if c.cdr.ID == id {
			return b.ask(ctx, []*call{c})[0], true
		}
	}
	return tenancy.LiveCall{}, false
}

// ask has each call describe itself on its own goroutine.
func (b *B2BUA) ask(ctx context.Context, calls []*call) []tenancy.LiveCall {
	type said struct {
		i    int
		live tenancy.LiveCall
	}
	all := make([]tenancy.LiveCall, len(calls))
	answers := make(chan said, len(calls)) // so that no call waits for us
	asked := 0
	for i, c := range calls {
		all[i] = tenancy.LiveCall{
			ID: c.cdr.ID, Start: c.cdr.Start,
			Dialogs: []tenancy.Dialog{{CallID: c.cdr.CallID, Side: tenancy.CallerSide}},
		}
		if c.mail.offer(func() { answers <- said{i, c.live()} }) == nil {
			asked++
		}
	}
	limit := time.NewTimer(liveWait)
	defer limit.Stop()
	for range asked {
		select {
		case a := <-answers:
			all[a.i] = a.live
			continue
		case <-limit.C:
		case <-ctx.Done():
		}
		break
	}
	return all
}

// live describes the call. It runs on the call's goroutine.
func (c *call) live() tenancy.LiveCall {
	r := &c.cdr
	out := tenancy.LiveCall{
		ID: r.ID, Company: r.Company, CallerUser: r.CallerUser, CalleeUser: r.CalleeUser, From: r.From, To: r.To,
		State: tenancy.Trying, Start: r.Start, Answer: r.Answer,
	}
	switch {
	case c.over:
		out.State = tenancy.Ending
	case !r.Answer.IsZero():
		out.State = tenancy.Talking
	case c.trying != nil && c.trying.heardOf():
		out.State = tenancy.Ringing
	}
	for l := range c.legs {
		if !l.ended {
			out.Dialogs = append(out.Dialogs, c.dialogOf(l))
		}
	}
	ordered(out.Dialogs)
	return out
}

// heardOf tells whether a phone said that it rings.
func (a *attempt) heardOf() bool {
	return a.rang || slices.ContainsFunc(a.branches, func(b *branch) bool { return b.heardOf })
}

// dialogOf is how relays know the leg's audio, and whose it is.
func (c *call) dialogOf(l *leg) tenancy.Dialog {
	d := tenancy.Dialog{CallID: l.callID, Side: tenancy.CalleeSide, Tag: l.remoteTag}
	if c.sides[0] == party(l) || c.sides[1] != party(l) && l == c.caller {
		d.Side = tenancy.CallerSide
	}
	d.Edge, _ = l.hop()
	return d
}

// note keeps the dialog of a leg that had audio and leaves the call before its end.
func (c *call) note(l *leg) {
	if len(c.left) < maxLeft {
		c.left = append(c.left, c.dialogOf(l))
	}
}

// maxLeft is how many dialogs a record names of those that left the call early.
const maxLeft = 32

// dialogs are those of the call's record.
func (c *call) dialogs() []tenancy.Dialog {
	all := slices.Clone(c.left)
	for l := range c.legs {
		if l == c.caller || l.confirmed {
			all = append(all, c.dialogOf(l))
		}
	}
	ordered(all)
	return slices.CompactFunc(all, func(a, b tenancy.Dialog) bool { return a.CallID == b.CallID && a.Tag == b.Tag })
}

// ordered puts the caller's dialogs first.
func ordered(all []tenancy.Dialog) {
	slices.SortFunc(all, func(a, b tenancy.Dialog) int {
		return cmp.Or(cmp.Compare(b.Side, a.Side), cmp.Compare(a.CallID, b.CallID), cmp.Compare(a.Tag, b.Tag))
	})
}
