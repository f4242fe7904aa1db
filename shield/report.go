package shield

import (
	"context"
	"errors"
	"time"

	"github.com/lindero/lindero/shield/protocol"
)

const (
	reportEvery    = time.Second
	reportMostWait = 5 * time.Second // between tries while core is away
	partingLimit   = time.Second     // for the last one
	maxBanned      = 1000            // bans told in one report
	maxPhrase      = 300             // bytes of a reason that core takes; a kernel's may be pages
)

// reportOn tells core every second what the node sees, and at once when it asked
// something, until ctx ends.
func (g *Guard) reportOn(ctx context.Context) {
	away := backoff{first: reportEvery, most: reportMostWait}
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	for refused := false; ; {
		err := g.report(ctx)
		if err != nil && ctx.Err() == nil {
			// That core is away follow says; that it will not hear this node, nobody else.
			if !refused && errors.As(err, new(*refusalError)) {
				refused = true
				g.log.Warn("shield: core takes no report of this node: it knows neither its bans nor its counters", "err", err)
			}
			g.tallied.reportFaults.Add(1)
			pause(ctx, away.wait())
		} else {
			refused = false
			away.reset()
		}
		select {
		case <-ctx.Done():
			g.partingReport(ctx)
			return
		case <-t.C:
		case <-g.answerDue:
		}
	}
}

// partingReport tells what the relay said last: it ends before its guard does, and
// its calls with it.
func (g *Guard) partingReport(ctx context.Context) {
	if !g.calls.untold() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingLimit)
	defer cancel()
	if err := g.report(ctx); err != nil {
		g.tallied.reportFaults.Add(1)
	}
}

// report makes one report. What core did not take is told again.
func (g *Guard) report(ctx context.Context) error {
	counters, err := g.countersNow()
	if err != nil {
		return err
	}
	seen := g.notes.take()
	due := g.contact.takeDue()
	banned := g.ledger.untold(maxBanned, time.Now())
	at := g.post.Load()
	r := protocol.Report{
		Instance: g.instance, Now: time.Now(), Role: g.role, Mode: at.mode, Reason: tidy(at.reason, maxPhrase), Devices: g.cfg.Devices,
		PolicyVersion: g.force.Load().version.Number, TableVersion: g.table.Load().Info().Version,
		Counters: counters, Banned: banned, Answers: due,
	}
	for _, s := range seen {
		r.Seen = append(r.Seen, s)
	}
	given := g.calls.tell(&r)
	if err := g.core.report(ctx, r); err != nil {
		g.notes.giveBack(seen)
		g.contact.add(due...)
		return err
	}
	g.calls.took(given)
	if len(banned) > 0 {
		g.ledger.took(banned, time.Now())
		g.save()
	}
	return nil
}
