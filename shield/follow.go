package shield

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

const (
	firstWait = 250 * time.Millisecond // after core did not answer
	mostWait  = 15 * time.Second       // before it is asked again
	emptyWait = time.Second            // after an answer that came early and said nothing, or nothing that can be obeyed
	maxDue    = 256                    // questions that may wait for a report
)

// A contact is how core was last heard of.
type contact struct {
	mu    sync.Mutex // guards the fields below
	heard time.Time  // zero: never
	fault string     // "" : it answers
	due   []protocol.Explanation
	bad   uint64 // the policy that was last refused
	clock protocol.Clock
}

// follow asks core for orders and obeys them, until ctx ends. While core is away
// what is in force stays.
func (g *Guard) follow(ctx context.Context) {
	away := backoff{first: firstWait, most: mostWait}
	for revision := ""; ctx.Err() == nil; {
		asked := time.Now()
		given := g.ledger.told(asked)
		now := g.force.Load().version
		w := protocol.Watch{PolicyVersion: now.Number, Made: now.Made, BansRevision: revision, Instance: g.instance}
		orders, at, err := g.core.watch(ctx, w)
		if err != nil {
			if ctx.Err() == nil {
				g.contact.lost(err, g.log)
				pause(ctx, away.wait())
			}
			revision = "" // what comes back may be another core; and it answers at once
			continue
		}
		away.reset()
		g.contact.found(g.log)
		useful := g.obey(orders, g.contact.compare(orders.Now, at, g.log))
		if orders.Bans != nil {
			revision = orders.BansRevision
		}
		g.ledger.settle(given, time.Now())
		if !useful && time.Since(asked) < protocol.Hold/2 {
			pause(ctx, emptyWait)
		}
	}
}

// obey does what core says, by its clock, and tells whether that was anything.
func (g *Guard) obey(o protocol.Orders, clock protocol.Clock) (useful bool) {
	now := time.Now()
	if o.Policy != nil && g.obeyPolicy(*o.Policy, now) {
		useful = true
	}
	if o.Bans != nil {
		for i, b := range *o.Bans {
			(*o.Bans)[i] = clock.Ours(b)
		}
		list, odd := banMap(*o.Bans, now)
		if odd > 0 {
			g.log.Warn("shield: core's bans are not all of one source, or too many", "left_out", odd)
		}
		g.ledger.replaceBans(list, now)
		useful = true
	}
	for _, q := range o.Questions {
		g.answer(q)
		useful = true
	}
	for _, q := range o.Calls {
		if g.calls.ask(q) {
			g.hurry()
			useful = true
		}
	}
	return useful
}

// obeyPolicy puts core's policy into force, if it can be.
func (g *Guard) obeyPolicy(v policy.Version, now time.Time) bool {
	if v.Number == g.force.Load().version.Number && v.Made.Equal(g.force.Load().version.Made) {
		return false
	}
	if err := g.enforce(v, now); err != nil {
		g.tallied.notEnforced.Add(1)
		if g.contact.refuse(v.Number) {
			g.log.Error("shield: core's policy is refused, the one before stays", "err", err)
		}
		return false
	}
	g.log.Info("shield: policy in force", "policy", v.Number, "author", v.Author, "note", v.Note)
	g.save()
	return true
}

// answer explains what core asks, with the next report, which it makes due.
func (g *Guard) answer(q protocol.Question) {
	service, err := policy.ParseService(q.Service)
	if err != nil || !q.Address.IsValid() {
		return
	}
	e := g.Explain(q.Address, service)
	e.ID = q.ID
	g.contact.add(e)
	g.hurry()
}

// hurry makes a report due now.
func (g *Guard) hurry() {
	select {
	case g.answerDue <- struct{}{}:
	default:
	}
}

func (c *contact) add(e ...protocol.Explanation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = append(c.due, e[:min(len(e), maxDue-len(c.due))]...)
}

func (c *contact) takeDue() []protocol.Explanation {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.due
	c.due = nil
	return due
}

// lost notes that core does not answer; the log hears of it once.
func (c *contact) lost(err error, log *slog.Logger) {
	c.mu.Lock()
	first := c.fault == ""
	c.fault = err.Error()
	c.mu.Unlock()
	if first {
		log.Warn("shield: core is away; policy and bans stay as they are", "err", err)
	}
}

// found notes that core answered.
func (c *contact) found(log *slog.Logger) {
	c.mu.Lock()
	back := c.fault != "" || c.heard.IsZero()
	c.heard, c.fault = time.Now(), ""
	c.mu.Unlock()
	if back {
		log.Info("shield: core answers")
	}
}

// compare holds core's clock against this machine's; the log hears when they part, and
// when they are one again.
func (c *contact) compare(theirs, ours time.Time, log *slog.Logger) protocol.Clock {
	c.mu.Lock()
	wrong := c.clock.Wrong()
	c.clock.Heard(theirs, ours)
	now := c.clock
	c.mu.Unlock()
	switch {
	case now.Wrong() && !wrong:
		log.Warn("shield: this machine's clock and core's differ; the ends of bans are corrected by it, but set the clocks right, as by NTP", "core_ahead", now.Ahead())
	case wrong && !now.Wrong():
		log.Info("shield: this machine's clock and core's agree again")
	}
	return now
}

// coreAhead is by how much core's clock is ahead of this machine's.
func (c *contact) coreAhead() protocol.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock
}

// refuse notes a policy that cannot be obeyed, and says whether that is news.
func (c *contact) refuse(version uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.bad != version
	c.bad = version
	return news
}

func (c *contact) state() (heard time.Time, fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard, c.fault
}
