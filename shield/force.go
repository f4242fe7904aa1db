package shield

import (
	"fmt"
	"time"

	"github.com/lindero/lindero/shield/policy"
)

// A force is the policy in force: as people wrote it and as it is enforced.
type force struct {
	version  policy.Version
	compiled *policy.Compiled
}

// builtin is the policy of a node that never heard of another.
func builtin() policy.Version {
	return policy.Version{Document: policy.Default(), Author: "lindero", Note: "built in"}
}

func compile(v policy.Version, now time.Time) (*force, error) {
	c, err := policy.Compile(v.Document, v.Number, now)
	if err != nil {
		return nil, fmt.Errorf("shield: policy %d: %w", v.Number, err)
	}
	return &force{v, c}, nil
}

// enforce puts a policy into force. One that does not compile, or that the filter
// does not take, changes nothing.
func (g *Guard) enforce(v policy.Version, now time.Time) error {
	f, err := compile(v, now)
	if err != nil {
		return err
	}
	g.turnover.Lock()
	defer g.turnover.Unlock()
	return g.enforceLocked(f)
}

func (g *Guard) enforceLocked(f *force) error {
	if err := g.post.Load().setPolicy(f.compiled); err != nil {
		return fmt.Errorf("shield: policy %d: %w", f.version.Number, err)
	}
	g.force.Store(f)
	return nil
}

// recompile takes entries that are over out of the policy in force.
func (g *Guard) recompile(now time.Time) {
	until := g.force.Load().compiled.Until
	if until.IsZero() || now.Before(until) {
		return
	}
	g.turnover.Lock()
	defer g.turnover.Unlock()
	f := g.force.Load()
	if f.compiled.Until.After(now) || f.compiled.Until.IsZero() {
		return // another policy came meanwhile
	}
	next, err := compile(f.version, now)
	if err == nil {
		err = g.enforceLocked(next)
	}
	if err != nil {
		g.tallied.notEnforced.Add(1)
		if now.Sub(until) < sampleEvery {
			g.log.Error("shield: an entry of the policy is over but stays in force", "err", err)
		}
		return
	}
	g.log.Info("shield: entries of the policy are over", "policy", f.version.Number)
}
