package shield

import (
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// maxStandings bounds the sources that can be known or registered at once. Each
// answered a challenge, so no flood of forged sources fills it; the rest of what
// the filter can hold is for bans.
const maxStandings = judge.MaxSources - 2*maxBans

// knownFor is how long an answered challenge counts, and knownAgain how much of it
// must be gone before another answer is worth a write.
const (
	knownFor   = time.Hour
	knownAgain = 5 * time.Minute
)

// longestRegistration is the longest that core's max_expires may be.
const longestRegistration = 24 * time.Hour

// A standing is what a source has earned.
type standing struct {
	known      time.Time // until when
	registered time.Time // until when
	since      time.Time // known or registered without a break
}

func (s standing) class(now time.Time) (policy.Class, time.Time) {
	switch {
	case s.registered.After(now):
		return policy.Registered, s.registered
	case s.known.After(now):
		return policy.Known, s.known
	}
	return policy.Unknown, time.Time{}
}

// standings are all of them. The ledger's lock guards them.
type standings map[judge.Key]standing

// promote makes a source known for an hour, or registered until a time when that
// is not zero. It says whether there is anything new.
func (m standings) promote(k judge.Key, registered, now time.Time) (changed, full bool) {
	s, ok := m[k]
	if !ok && len(m) >= maxStandings {
		return false, true
	}
	if class, _ := s.class(now); class == policy.Unknown {
		s.since = now
	}
	switch {
	case registered.IsZero():
		if s.known.After(now.Add(knownFor - knownAgain)) {
			return false, false
		}
		s.known = now.Add(knownFor)
	case !registered.After(now) || !registered.After(s.registered):
		return false, false
	default:
		s.registered = registered
	}
	m[k] = s
	return true, false
}

// lapse takes the sources out whose class ended, and says whose class changed.
// lapsed from registered to known is a change too.
func (m standings) lapse(now time.Time) (changed []judge.Key) {
	for k, s := range m {
		class, _ := s.class(now)
		switch {
		case class == policy.Unknown:
			delete(m, k)
			changed = append(changed, k)
		case class == policy.Known && !s.registered.IsZero():
			s.registered = time.Time{}
			m[k] = s
			changed = append(changed, k)
		}
	}
	return changed
}

// count is how many sources there are by class.
func (m standings) count(now time.Time) (known, registered int) {
	for _, s := range m {
		switch class, _ := s.class(now); class {
		case policy.Known:
			known++
		case policy.Registered:
			registered++
		}
	}
	return known, registered
}
