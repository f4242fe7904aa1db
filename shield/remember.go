package shield

import (
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// save adds what the ledger knows to a state.
func (l *ledger) save(s *state, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.bans.core {
		s.Core = append(s.Core, b)
	}
	for _, b := range l.bans.here {
		s.Bans = append(s.Bans, savedBan{b.Ban, b.origin})
	}
	for k, at := range l.bans.lifted {
		s.Lifted = append(s.Lifted, savedLift{prefixOf(k), at})
	}
	for _, f := range []file{l.docket.forged, l.docket.proven} {
		for k, r := range f.repeats {
			s.Repeats = append(s.Repeats, savedRepeat{prefixOf(k.source), r.times, r.ended, k.registered, f.proven})
		}
	}
	for k, st := range l.standings {
		if class, _ := st.class(now); class != policy.Unknown {
			s.Sources = append(s.Sources, savedSource{prefixOf(k), seconds(st.known), seconds(st.registered), seconds(st.since)})
		}
	}
}

// load takes what an earlier process saved, as far as it is still of worth, and
// says how many entries made no sense.
func (l *ledger) load(s state, now time.Time) (odd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	core, odd := banMap(s.Core, now)
	l.bans.core = core
	for _, b := range s.Bans {
		k, p, err := one(b.Prefix)
		if err != nil || b.Origin > found {
			odd++
			continue
		}
		b.Prefix = p
		if ahead := b.Since.Sub(now); ahead > 0 { // the machine's clock was set back
			b.Since, b.Until = now, b.Until.Add(-ahead)
		}
		if b.Until.After(now) {
			l.bans.put(k, ban{Ban: b.Ban, origin: b.Origin})
		}
	}
	for _, x := range s.Lifted {
		if k, _, err := one(x.Prefix); err == nil && len(l.bans.lifted) < maxBans {
			l.bans.lifted[k] = x.At
		}
	}
	for _, r := range s.Repeats {
		repeats := l.docket.of(r.Proven).repeats
		if k, _, err := one(r.Prefix); err == nil && r.Times > 0 && len(repeats) < maxRepeats {
			repeats[repeatKey{k, r.Registered}] = repeat{min(r.Times, maxTimes), earlier(r.Ended, now.Add(longestBan))}
		}
	}
	for _, x := range s.Sources {
		k, _, err := one(x.Prefix)
		if err != nil {
			odd++
			continue
		}
		st := standing{ // no longer than it could be, had it begun now
			known: earlier(wall(x.Known), now.Add(knownFor)), registered: earlier(wall(x.Registered), now.Add(longestRegistration)),
			since: earlier(wall(x.Since), now),
		}
		if class, _ := st.class(now); class != policy.Unknown && len(l.standings) < maxStandings {
			l.standings[k] = st
		}
	}
	return odd
}

// adopt takes what the filter already has and the ledger does not know of, since
// the state was saved before or was lost, and then makes both say the same.
func (l *ledger) adopt(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at(now)
	err := l.filter.sources(func(k judge.Key, s judge.Source) {
		if s.Until > at.clock.Seconds() {
			l.adoptOne(k, s, now, now.Add(time.Duration(uint64(s.Until)*1000-uint64(at.clock))*time.Millisecond))
		}
	})
	for k := range l.bans.keys() {
		l.enforce(k, at)
	}
	for k := range l.standings {
		l.enforce(k, at)
	}
	return err
}

func (l *ledger) adoptOne(k judge.Key, s judge.Source, now, until time.Time) {
	st, ok := l.standings[k]
	if s.Class == policy.Ban {
		if _, known := l.bans.of(k, now); !known {
			l.bans.put(k, ban{Ban: protocol.Ban{Prefix: prefixOf(k), Reason: "banned before the last start; the reason is lost",
				Since: now, Until: until, By: l.node, Proven: s.Proven}, origin: found})
		}
		return
	}
	if class, _ := st.class(now); class == policy.Unknown {
		st.since = time.Time{} // before any ban
	}
	switch {
	case !ok && len(l.standings) >= maxStandings:
		return
	case s.Class == policy.Known && until.After(st.known):
		st.known = until
	case s.Class == policy.Registered && until.After(st.registered):
		st.registered = until
	default:
		return
	}
	l.standings[k] = st
}

// reconcile makes the filter say what the ledger does, whatever became of it: a
// clock that stood still while the machine slept, a write that found no room.
// Sources that the ledger does not know are let be while they last: another
// process may guard the same device.
func (l *ledger) reconcile(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at(now)
	var over []judge.Key
	right := map[judge.Key]int{} // on how many devices
	err := l.filter.sources(func(k judge.Key, s judge.Source) {
		want, ok := l.effective(k, at)
		switch {
		case s.Until != 0 && s.Until <= at.clock.Seconds():
			over = append(over, k)
		case ok && enough(s, want):
			right[k]++
		}
	})
	if err != nil {
		l.failed++
		l.fault = err
		return
	}
	width := l.filter.width()
	check := func(k judge.Key) {
		if _, ok := l.effective(k, at); ok && right[k] < width {
			l.enforce(k, at)
		}
	}
	for _, k := range over {
		l.enforce(k, at)
	}
	for k := range l.bans.keys() {
		check(k)
	}
	for k := range l.standings {
		check(k)
	}
}

// slack is by how many seconds two clocks may differ, of which one is rounded.
const slack = 2

// enough tells whether the filter's source says what the ledger wants, but for the
// rounding of clocks; of a promotion it may say more.
func enough(got, want judge.Source) bool {
	apart := int64(got.Until) - int64(want.Until)
	if want.Class == policy.Ban {
		return got.Class == policy.Ban && got.Proven == want.Proven && -slack <= apart && apart <= slack
	}
	return got.Class != policy.Ban && (got.Class > want.Class || got.Class == want.Class && apart >= -slack)
}

// banMap sorts a list by source and leaves out what is over or is no ban.
func banMap(list []protocol.Ban, now time.Time) (m map[judge.Key]protocol.Ban, odd int) {
	m = map[judge.Key]protocol.Ban{}
	for _, b := range list {
		k, p, err := one(b.Prefix)
		if err != nil || len(m) >= maxBans {
			odd++
			continue
		}
		b.Prefix = p
		if old, twice := m[k]; b.Until.After(now) && (!twice || b.Until.After(old.Until)) {
			m[k] = b
		}
	}
	return m, odd
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// seconds and wall are times as seconds, where 0 is the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func wall(s int64) time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
