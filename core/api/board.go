package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A board shows what is in force: what this core changed at once, what another
// core on the same database changed within pollEvery. Notifying would be
// PostgreSQL's alone, and to ask for two numbers costs next to nothing.
type board struct {
	store *store.Store
	log   *slog.Logger

	refreshing sync.Mutex // one refresh at a time; never held with mu

	mu  sync.Mutex // guards the fields below
	now notice
	// changed is closed when now is another, and replaced.
	changed chan struct{}
}

// A notice is what is in force. It is constant; the bytes are what nodes are sent,
// made once for all of them.
type notice struct {
	revisions  tenancy.Revisions
	policy     policy.Version
	fault      string // why the version put last, revisions.Policy, is not the one in force; "" : it is
	policyJSON []byte
	bans       []protocol.Ban
	banOf      map[netip.Prefix]*protocol.Ban
	bansJSON   []byte
	damaged    int // bans that are kept and cannot be read
	compiled   *policy.Compiled
}

// How often the database is asked what other cores changed, how long it may take to
// answer, and how often what is over is left out of the list of bans.
const (
	pollEvery = 100 * time.Millisecond
	pollLimit = 5 * time.Second
	sortOut   = time.Minute
)

func newBoard(s *store.Store, log *slog.Logger) *board {
	return &board{store: s, log: log, changed: make(chan struct{})}
}

// look is what is in force, and what is closed when it no longer is.
func (b *board) look() (notice, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.changed
}

// run follows the database until ctx ends.
func (b *board) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	failing, looked, sorted := false, time.Time{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, _ := b.look()
		// Bans that nodes make come in storms, and each is a new list for every node:
		// the longer the list the longer they are gathered.
		patient := time.Since(looked) < time.Second+time.Duration(len(n.bans))*time.Millisecond/2
		old := time.Since(sorted) > sortOut
		news, err := b.poll(ctx, n, patient, old)
		if news {
			looked = time.Now()
		}
		if old {
			sorted = time.Now()
		}
		if err != nil && ctx.Err() == nil && !failing {
			b.log.Error("what is in force cannot be read; what was stays", "err", err)
		}
		if err == nil && failing {
			b.log.Info("what is in force can be read again")
		}
		failing = err != nil
	}
}

// poll refreshes when another core, or a node, changed something, or anyhow.
func (b *board) poll(ctx context.Context, n notice, patient, anyhow bool) (news bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	r, err := b.store.Platform().Revisions(ctx)
	if err != nil {
		return false, err
	}
	expired := n.compiled != nil && !n.compiled.Until.IsZero() && !n.compiled.Until.After(time.Now())
	news = r.Policy != n.revisions.Policy || r.Bans != n.revisions.Bans && !patient
	if news || expired || anyhow {
		err = b.refresh(ctx)
	}
	return news, err
}

// refresh reads what is in force and shows it.
func (b *board) refresh(ctx context.Context) error {
	b.refreshing.Lock()
	defer b.refreshing.Unlock()
	n, _ := b.look()
	r, err := b.store.Platform().Revisions(ctx)
	if err != nil {
		return err
	}
	if err := n.readPolicy(ctx, b, r.Policy); err != nil {
		return err
	}
	if n.bansJSON == nil || n.revisions.Bans != r.Bans || n.someOver() {
		damaged := n.damaged
		if err := n.readBans(ctx, b.store); err != nil {
			return err
		}
		if n.damaged > damaged {
			b.log.Error("bans are kept that cannot be read, so they ban nobody; ban those sources anew", "bans", n.damaged)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	news := b.now.revisions != r || b.now.policyJSON == nil || b.now.policy.Number != n.policy.Number
	n.revisions = r
	b.now = n
	if news {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	return nil
}

// readPolicy makes n tell of version number, or of what is in force while that cannot
// be used, compiled as of now.
func (n *notice) readPolicy(ctx context.Context, b *board, number uint64) error {
	if n.policyJSON == nil || n.policy.Number != number {
		v, fault, err := InForce(ctx, b.store, number, time.Now())
		if err != nil {
			return err
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("api: policy %d: %w", v.Number, err)
		}
		before := n.fault
		n.policy, n.policyJSON, n.fault = v, text, unusable(number, v, fault)
		if n.fault != "" && n.fault != before {
			b.log.Error("the policy is not the one that was put last", "err", n.fault)
		}
	}
	compiled, err := policy.Compile(n.policy.Document, n.policy.Number, time.Now())
	if err != nil {
		return fmt.Errorf("api: policy %d: %w", n.policy.Number, err) // it did a moment ago
	}
	n.compiled = compiled
	return nil
}

// someOver tells whether a ban has ended since the list was read. Nodes know when
// bans end, so that is no news.
func (n *notice) someOver() bool {
	now := time.Now()
	return slices.ContainsFunc(n.bans, func(b protocol.Ban) bool { return !b.Until.After(now) })
}

func (n *notice) readBans(ctx context.Context, s *store.Store) error {
	all, _, err := s.Platform().Bans(ctx)
	if err != nil {
		return err
	}
	n.bans = bansOf(all)
	n.damaged = len(all) - len(n.bans)
	n.banOf = make(map[netip.Prefix]*protocol.Ban, len(n.bans))
	for i, b := range n.bans {
		n.banOf[b.Prefix] = &n.bans[i]
	}
	if n.bansJSON, err = json.Marshal(n.bans); err != nil {
		return fmt.Errorf("api: bans: %w", err)
	}
	return nil
}

// readVersion is a version as it was put; version 0 is the built-in one.
func readVersion(ctx context.Context, s *store.Store, number uint64) (policy.Version, error) {
	if number == 0 {
		return policy.Version{Document: policy.Default(), Author: "lindero", Note: "built in"}, nil
	}
	v, err := s.Platform().Policy(ctx, number)
	if err != nil {
		return policy.Version{}, err
	}
	return versionOf(v)
}

func versionOf(v tenancy.PolicyVersion) (policy.Version, error) {
	out := policy.Version{Number: v.Number, Author: v.Author, Note: v.Note, Made: v.Made.UTC()}
	if err := json.Unmarshal(v.Document, &out.Document); err != nil {
		return policy.Version{}, fmt.Errorf("api: policy %d %w: %w", v.Number, errUnusable, err)
	}
	return out, nil
}

// bansOf are those of all that say whom they ban.
func bansOf(all []tenancy.Ban) []protocol.Ban {
	out := make([]protocol.Ban, 0, len(all))
	for _, b := range all {
		if b.Prefix.IsValid() {
			out = append(out, banOf(b))
		}
	}
	return out
}

func banOf(b tenancy.Ban) protocol.Ban {
	return protocol.Ban{Prefix: b.Prefix, Reason: b.Reason, Since: b.Since.UTC(), Until: b.Until.UTC(), By: b.By, Proven: b.Proven}
}
