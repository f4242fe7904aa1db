package shield

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// Ban and Lift are what operators do on this node alone; core's API does it for all.
// A ban without a Since begins now; one without a By is this node's.
func (g *Guard) Ban(b protocol.Ban) error {
	now := time.Now()
	k, p, err := one(b.Prefix)
	if err != nil {
		return err
	}
	b.Prefix, b.By, b.Reason = p, cmp.Or(b.By, g.node), tidy(b.Reason, maxReason)
	if b.Since.IsZero() {
		b.Since = now
	}
	if !b.Until.After(now) {
		return fmt.Errorf("shield: a ban until %s is over already", policy.When(b.Until))
	}
	if !g.ledger.banHere(k, b, now) {
		return errors.New("shield: there are too many bans; networks belong into the deny list of the policy")
	}
	g.save()
	return nil
}

// Lift ends the ban of a source on this node, and says whether there was one.
func (g *Guard) Lift(p netip.Prefix) (bool, error) {
	k, _, err := one(p)
	if err != nil {
		return false, err
	}
	was := g.ledger.lift(k, time.Now())
	if was {
		g.save()
	}
	return was, nil
}

// Bans are the bans in force, the newest first.
func (g *Guard) Bans() []protocol.Ban {
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	return g.ledger.bans.list(time.Now())
}

// banHere puts an operator's ban into force on this node.
func (l *ledger) banHere(k judge.Key, b protocol.Ban, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(k, ban{Ban: b, origin: local}, now)
}

func (l *ledger) lift(k judge.Key, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.bans.lift(k, now)
	l.revision++
	l.enforce(k, l.at(now))
	return was
}

// untold, told and took are the banlist's, for who talks to core.
func (l *ledger) untold(n int, now time.Time) []protocol.Ban {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bans.untold(n, now)
}

func (l *ledger) told(now time.Time) map[judge.Key]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bans.told(now)
}

func (l *ledger) took(bans []protocol.Ban, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bans.took(bans, now)
}
