package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/auth"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/shield/policy"
)

// guessesEvery is how often the database is asked for a newer policy.
const guessesEvery = 5 * time.Second

// followGuesses keeps what a guard lets guess at one account what the policy in
// force says, until ctx ends. What cannot be read leaves it as it was.
func followGuesses(ctx context.Context, s *store.Store, guard *auth.Guard, failed func(error)) {
	tick := time.NewTicker(guessesEvery)
	defer tick.Stop()
	for version := uint64(0); ; {
		var err error
		version, err = readGuesses(ctx, s, guard, version)
		failed(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// readGuesses tells the guard what the policy in force says, unless that is still
// the version it was told. The built-in policy, version 0, is the guard's default.
func readGuesses(ctx context.Context, s *store.Store, guard *auth.Guard, told uint64) (version uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	r, err := s.Platform().Revisions(ctx)
	if err != nil || r.Policy == told {
		return told, err
	}
	v, err := s.Platform().Policy(ctx, r.Policy)
	if err != nil {
		return told, err
	}
	var d policy.Document
	if err := json.Unmarshal(v.Document, &d); err != nil {
		return told, fmt.Errorf("core: policy %d: %w", r.Policy, err)
	}
	bans := d.Bans.Filled()
	guard.LimitGuesses(bans.Account, time.Duration(bans.Window))
	return r.Policy, nil
}
