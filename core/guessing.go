package core

import (
	"context"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/auth"
	"github.com/lindero/lindero/core/store"
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
// the version it was told. The built-in policy, version 0, is the guard's default. An
// error about a version that cannot be used comes once: an older one is told then.
func readGuesses(ctx context.Context, s *store.Store, guard *auth.Guard, told uint64) (version uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	r, err := s.Platform().Revisions(ctx)
	if err != nil || r.Policy == told {
		return told, err
	}
	v, fault, err := api.InForce(ctx, s, r.Policy, time.Now())
	if err != nil {
		return told, err
	}
	bans := v.Document.Bans.Filled()
	guard.LimitGuesses(bans.Account, time.Duration(bans.Window))
	if fault != nil {
		fault = fmt.Errorf("core: guesses at accounts are limited by policy %d: %w", v.Number, fault)
	}
	return r.Policy, fault
}
