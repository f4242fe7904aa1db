package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

// maxBack is how many versions are looked through for one that can be used.
const maxBack = 100

// errUnusable is of a version that is kept and cannot be put into force: it is
// damaged, or another program's, from before a downgrade.
var errUnusable = errors.New("cannot be used by this program")

// InForce is version number, which was put last, or, when it cannot be used, the last
// one before it that can, at worst the built-in one: a border without its newest
// policy is better than none. fault says what is wrong then, and err that the
// database does not answer.
func InForce(ctx context.Context, s *store.Store, number uint64, now time.Time) (v policy.Version, fault, err error) {
	for n := number; n > 0 && number-n < maxBack; n-- {
		v, err = readVersion(ctx, s, n)
		if err == nil {
			if _, err = policy.Compile(v.Document, n, now); err == nil {
				return v, fault, nil
			}
			err = fmt.Errorf("%w: %w", errUnusable, err)
		}
		if !errors.Is(err, errUnusable) && !errors.Is(err, tenancy.ErrNotFound) {
			return policy.Version{}, nil, err
		}
		if fault == nil {
			fault = err
		}
	}
	v, err = readVersion(ctx, s, 0)
	return v, fault, err
}

// unusable says for a person that the version put last is not the one in force.
func unusable(last uint64, now policy.Version, fault error) string {
	if fault == nil {
		return ""
	}
	return fmt.Sprintf("version %d cannot be used, so %s is in force (%s); put a policy, roll back to a version, or run the lindero that wrote it",
		last, policy.Named(now.Number), oneLine(fault.Error()))
}
