package shield

import (
	"context"
	"time"

	"github.com/lindero/lindero/shield/protocol"
)

const (
	reportEvery    = time.Second
	reportMostWait = 5 * time.Second // between tries while core is away
	maxBanned      = 1000            // bans told in one report
)

// reportOn tells core every second what the node sees, and at once when it asked
// something, until ctx ends.
func (g *Guard) reportOn(ctx context.Context) {
	away := backoff{first: reportEvery, most: reportMostWait}
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	for {
		if err := g.report(ctx); err != nil && ctx.Err() == nil {
			g.tallied.reportFaults.Add(1)
			pause(ctx, away.wait())
		} else {
			away.reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-g.answerDue:
		}
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
		Instance: g.instance, Now: time.Now(), Role: g.role, Mode: at.mode, Reason: at.reason, Devices: g.cfg.Devices,
		PolicyVersion: g.force.Load().version.Number, TableVersion: g.table.Load().Info().Version,
		Counters: counters, Banned: banned, Answers: due,
	}
	for _, s := range seen {
		r.Seen = append(r.Seen, s)
	}
	if err := g.core.report(ctx, r); err != nil {
		g.notes.giveBack(seen)
		g.contact.add(due...)
		return err
	}
	if len(banned) > 0 {
		g.ledger.took(banned, time.Now())
		g.save()
	}
	return nil
}
