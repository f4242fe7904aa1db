package call

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

const (
	// A call nobody answers is over for the phones after three minutes
	// (RFC 3261 §16.6, timer C). So is a fork.
	unanswered = 180 * time.Second
	// A call on hold may be silent for so long.
	holdIdle = time.Hour
)

// A Reason is why a call ended.
type Reason uint8

// The reasons.
const (
	Deleted    Reason = iota // by command
	Idle                     // nothing came for too long
	Unanswered               // no answer in time
	Failed                   // its first offer could not be served
	reasons
)

// Reasons lists all reasons, for metrics.
func Reasons() []Reason { return []Reason{Deleted, Idle, Unanswered, Failed} }

// String names r as metrics do.
func (r Reason) String() string {
	return [reasons]string{"deleted", "idle", "unanswered", "failed"}[r%reasons]
}

// end ends the call, which is locked: its legs are served no more, its ports rest.
func (r *Registry) end(c *Call, why Reason, now time.Time) {
	c.ended = true
	last, word := r.summary(c), r.session(c, false)
	word.Ended, word.Reason = now, why.String()
	forks := slices.Clone(c.forks)
	for _, f := range forks {
		r.drop(c, f, now)
	}
	r.unnote(c, nil, now)
	if r.cfg.Over != nil {
		r.cfg.Over(last)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, c.ID)
	r.past.add(last, why, now)
	r.remember(word)
}

// drop ends a fork of a call that is locked, which may go on with others.
func (r *Registry) drop(c *Call, f *fork, now time.Time) {
	f.ended = true
	r.sum(&c.gone, f)
	var spared, used []*half
	for h := range f.halves() {
		h.player = nil
		if r.silence(h) && !f.answered {
			spared = append(spared, h)
		} else {
			used = append(used, h)
		}
	}
	r.disown(spared, used)
	r.unnote(c, used, now)
	// Only now may another call have the pairs: its entries would be taken for ours.
	for _, h := range used {
		h.face.Pool.Return(h.pair, now)
	}
	for _, h := range spared {
		h.face.Pool.Spare(h.pair)
	}
	c.forks = slices.DeleteFunc(c.forks, func(g *fork) bool { return g == f })
	for tag := range f.tags {
		c.forget(f, tag)
	}
}

// silence takes h out of the table and tells whether nothing ever came to it.
func (r *Registry) silence(h *half) bool {
	var all uint64
	for _, local := range []netip.AddrPort{h.pair.RTP, h.pair.RTCP} {
		// Not there when the other half never came to be; then nothing came.
		counts, _ := r.table.Delete(local)
		all += counts.Packets + counts.WrongSource + counts.NotRTP + counts.STUN
	}
	return all == 0
}

// disown takes the ports of halves out of the books.
func (r *Registry) disown(halves ...[]*half) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range slices.Concat(halves...) {
		delete(r.owners, h.pair.RTP)
		delete(r.owners, h.pair.RTCP)
	}
}

// Sweep ends the calls and forks that are over though nobody said so, and those
// whose delete had a delay; and sources that may not be corrected any more are
// settled.
func (r *Registry) Sweep(now time.Time) {
	for _, c := range r.all() {
		c.mu.Lock()
		if !c.ended {
			r.sweep(c, now)
		}
		if !c.ended {
			r.settle(c, now)
			r.sample(c, now)
		}
		c.mu.Unlock()
	}
}

func (r *Registry) sweep(c *Call, now time.Time) {
	why, over := r.over(c, now)
	for _, f := range slices.Clone(c.forks) {
		dead := !f.dies.IsZero() && !now.Before(f.dies)
		switch late := c.answered && !f.answered && now.Sub(f.created) > unanswered; {
		case over || !dead && !late:
		case len(c.forks) == 1:
			if why, over = Unanswered, true; dead {
				why = Deleted
			}
		default:
			r.drop(c, f, now)
			r.note(c)
		}
	}
	if over {
		r.end(c, why, now)
		r.log.Log(context.Background(), level(c), "call ended without a word", "call", c.ID, "why", why.String())
	}
}

// level is how loud a call is. One that is not answered yet may be a stranger's,
// whom core will refuse: nobody may fill our log.
func level(c *Call) slog.Level {
	if c.answered {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (r *Registry) over(c *Call, now time.Time) (Reason, bool) {
	if !c.answered {
		return Unanswered, now.Sub(c.created) > unanswered
	}
	limit := r.cfg.Idle
	if c.onHold() {
		limit = max(limit, holdIdle)
	}
	last := c.lastSignal
	if c.resumed.After(last) {
		last = c.resumed
	}
	if now.Sub(last) <= limit {
		return Idle, false
	}
	for e := range c.ends() {
		if counts, err := r.table.Counts(e.local); err == nil && counts.LastSeen.After(last) {
			last = counts.LastSeen
		}
	}
	return Idle, now.Sub(last) > limit
}
