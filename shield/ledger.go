package shield

import (
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A ledger is what the guard knows of single sources, for better or worse, and
// the one place that writes them into the filter. A source that is banned and has
// earned something has both here; the filter gets what counts.
//
// Its lock is held while the filter's table is written, a system call of some
// microseconds, so that the filter's order of events is the ledger's. Nothing on
// the way of a packet takes it.
type ledger struct {
	node string
	log  *slog.Logger

	mu        sync.Mutex // guards the fields below
	filter    filter
	standings standings
	bans      banlist
	docket    docket
	full      uint64 // sources that found no room
	failed    uint64 // writes that the filter refused
	fault     error  // the last of them that nobody was told of
	made      int    // bans nobody was told of
	revision  uint64 // counts changes of bans, for who saves them
}

func newLedger(f filter, node string, log *slog.Logger) *ledger {
	return &ledger{filter: f, node: node, log: log, standings: standings{}, bans: newBanlist(), docket: newDocket()}
}

// A moment is one time on the wall and on the filter's clock.
type moment struct {
	wall  time.Time
	clock judge.Millis
}

func (l *ledger) at(now time.Time) moment { return moment{now, l.filter.now()} }

// second is when t is on the filter's clock, rounded up. Zero would mean never.
func (m moment) second(t time.Time) uint32 {
	left := max(t.Sub(m.wall), 0)
	s := (uint64(m.clock) + uint64(left.Milliseconds()) + 999) / 1000
	return uint32(min(max(s, 1), math.MaxUint32))
}

// effective is what the filter should know of a source; nothing if it is unknown.
func (l *ledger) effective(k judge.Key, now moment) (judge.Source, bool) {
	s := l.standings[k]
	class, until := s.class(now.wall)
	if b, ok := l.bans.of(k, now.wall); ok {
		if b.Holds(class, s.since, false) { // the filter knows connections by itself
			return judge.Source{Class: policy.Ban, Proven: b.Proven, Until: now.second(b.Until)}, true
		}
	}
	if class == policy.Unknown {
		return judge.Source{}, false
	}
	return judge.Source{Class: class, Until: now.second(until)}, true
}

// enforce writes what counts of a source into the filter. It never makes a
// promotion less that another process gave.
func (l *ledger) enforce(k judge.Key, now moment) {
	s, ok := l.effective(k, now)
	if s.Class != policy.Ban && l.filter.outdoes(k, s) {
		return
	}
	var err error
	if ok {
		err = l.filter.put(k, s)
	} else {
		err = l.filter.drop(k)
	}
	if err != nil {
		l.failed++
		l.fault = err
	}
}

// promote makes a source known, or registered until a time that is not zero.
func (l *ledger) promote(a netip.Addr, registered, now time.Time) {
	k := judge.KeyOf(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, full := l.standings.promote(k, registered, now)
	if full {
		l.full++
	}
	if changed {
		l.enforce(k, l.at(now))
	}
}

// offended counts an offence and bans the source when it is one too many.
func (l *ledger) offended(e event, rules policy.Bans, now time.Time) {
	k := judge.KeyOf(e.source)
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, banned := l.bans.of(k, now); banned && (b.Proven || !e.proven) {
		return // what still comes of it came before the ban, or adds nothing to it
	}
	class, _ := l.standings[k].class(now)
	if !e.proven && class != policy.Unknown {
		return // one datagram with its address would silence who answered a challenge
	}
	registered := class == policy.Registered
	file := l.docket.of(e.proven)
	reason, guilty := file.strike(strikeKey{k, e.offence}, registered, rules, now)
	if !guilty {
		return
	}
	if e.detail != "" {
		reason += ": " + printable(e.detail)
	}
	long := file.sentence(repeatKey{k, registered}, time.Duration(rules.Duration), now)
	b := protocol.Ban{Prefix: prefixOf(k), Reason: reason, Since: now, Until: now.Add(long), By: l.node, Proven: e.proven}
	l.add(k, ban{Ban: b, origin: untold}, now)
	l.made++
}

// add puts a ban of this node into force.
func (l *ledger) add(k judge.Key, b ban, now time.Time) bool {
	if !l.bans.put(k, b) {
		l.full++
		return false
	}
	l.revision++
	l.enforce(k, l.at(now))
	return true
}

// replaceBans takes core's list.
func (l *ledger) replaceBans(list map[judge.Key]protocol.Ban, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enforceAll(l.bans.replace(list), now)
}

// settle ends the bans that core took and does not have any more.
func (l *ledger) settle(given map[judge.Key]time.Time, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enforceAll(l.bans.settle(given), now)
}

func (l *ledger) enforceAll(touched []judge.Key, now time.Time) {
	if len(touched) == 0 {
		return
	}
	l.revision++
	at := l.at(now)
	for _, k := range touched {
		l.enforce(k, at)
	}
}

// lapse lets go of what ended. The filter knows the ends by itself; this makes
// room in it and in the ledger.
func (l *ledger) lapse(window time.Duration, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.bans.lapse(now)
	if len(ended) > 0 {
		l.revision++
	}
	if ended = append(ended, l.standings.lapse(now)...); len(ended) > 0 {
		at := l.at(now)
		for _, k := range ended {
			l.enforce(k, at)
		}
	}
	l.docket.forget(window, now)
}

// complain logs what the ledger did and could not do since it was last asked: one
// line, however many sources a stranger makes up.
func (l *ledger) complain() {
	l.mu.Lock()
	fault, failed, made := l.fault, l.failed, l.made
	l.fault, l.made = nil, 0
	l.mu.Unlock()
	if made > 0 {
		l.log.Info("shield: sources banned", "sources", made)
	}
	if fault != nil {
		l.log.Warn("shield: the filter did not take a source", "err", fault, "failed_since_start", failed)
	}
}

// changes counts the changes of the list of bans.
func (l *ledger) changes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.revision
}
