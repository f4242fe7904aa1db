package shield

import (
	"cmp"
	"slices"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/protocol"
)

// maxBans bounds the bans of core's list and those of this node, each.
const maxBans = 1 << 14

// crowded is how many bans there may be, here and in core's list, before none is
// taken any more that a node made on evidence which could be forged (store.MaxForged).
const crowded = maxBans * 3 / 4

// settleAfter is how long core may take from taking a ban to having it in its list:
// it gathers those of a storm for some seconds.
const settleAfter = 15 * time.Second

// An origin is who made a ban, which says who may end it.
type origin uint8

const (
	untold origin = iota // this node, and core does not know of it yet
	told                 // this node, and core took it, but its list may not have it yet
	local                // an operator, for this node alone
	found                // the kernel had it when the process began; nobody knows why
)

// A ban of this node.
type ban struct {
	protocol.Ban
	origin origin
	toldAt time.Time // when core took it; zero: not in this process
}

// A banlist is every ban in force, and the only place where they are put together.
// What core says is the truth; beside it stand the bans of this node that core
// has not taken, and what operators did here. The ledger's lock guards it.
type banlist struct {
	core   map[judge.Key]protocol.Ban // core's list
	here   map[judge.Key]ban
	lifted map[judge.Key]time.Time // core's bans up to then do not count here: an operator lifted them on this node
}

func newBanlist() banlist {
	return banlist{core: map[judge.Key]protocol.Ban{}, here: map[judge.Key]ban{}, lifted: map[judge.Key]time.Time{}}
}

// of is the ban of a source that is in force: of several one on evidence that could
// not be forged, else the one that ends last.
func (l *banlist) of(k judge.Key, now time.Time) (protocol.Ban, bool) {
	c, ok := l.core[k]
	ok = ok && c.Until.After(now)
	if lift, lifted := l.lifted[k]; ok && lifted && !c.Since.After(lift) {
		ok = false
	}
	h, here := l.here[k]
	if !here || !h.Until.After(now) {
		return c, ok
	}
	if ok && (c.Proven && !h.Proven || c.Proven == h.Proven && c.Until.After(h.Until)) {
		return c, ok
	}
	return h.Ban, true
}

// keys are all sources that may be banned.
func (l *banlist) keys() map[judge.Key]struct{} {
	out := make(map[judge.Key]struct{}, len(l.core)+len(l.here))
	for k := range l.core {
		out[k] = struct{}{}
	}
	for k := range l.here {
		out[k] = struct{}{}
	}
	return out
}

// list is every ban in force, the newest first.
func (l *banlist) list(now time.Time) []protocol.Ban {
	out := []protocol.Ban{}
	for k := range l.keys() {
		if b, ok := l.of(k, now); ok {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b protocol.Ban) int {
		return cmp.Or(b.Since.Compare(a.Since), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
	return out
}

// put adds a ban of this node; it says no when there are too many.
func (l *banlist) put(k judge.Key, b ban) bool {
	old, ok := l.here[k]
	room := maxBans // forged sources must not take the place of who earned it, nor of an operator's
	switch {
	case b.origin == local:
	case b.Proven:
		room = maxBans * 7 / 8
	default:
		room = crowded
	}
	if !ok && len(l.here) >= room {
		return false
	}
	if b.origin != local && old.Until.After(b.Until) {
		b.Until = old.Until // a new reason makes no ban shorter
	}
	l.here[k] = b
	delete(l.lifted, k)
	return true
}

// lift ends a ban on this node.
func (l *banlist) lift(k judge.Key, now time.Time) bool {
	_, was := l.of(k, now)
	delete(l.here, k)
	if c, ok := l.core[k]; ok {
		l.lifted[k] = now
		if c.Since.After(now) { // core's clock is ahead of ours
			l.lifted[k] = c.Since
		}
	}
	return was
}

// replace takes core's list and says which sources it may have changed.
func (l *banlist) replace(list map[judge.Key]protocol.Ban) (touched []judge.Key) {
	for k, old := range l.core {
		if b, ok := list[k]; !ok || !b.Until.Equal(old.Until) || b.Proven != old.Proven || !b.Since.Equal(old.Since) {
			touched = append(touched, k)
		}
	}
	for k, b := range list {
		h, ours := l.here[k]
		ours = ours && h.origin != local && !(h.origin == untold && h.Until.After(b.Until))
		if ours {
			delete(l.here, k) // core has it now
		}
		if _, ok := l.core[k]; !ok || ours {
			touched = append(touched, k)
		}
	}
	l.core = list
	for k := range l.lifted {
		if _, ok := list[k]; !ok {
			delete(l.lifted, k)
		}
	}
	return touched
}

// settle is called when core answered a question that was asked well after it took
// the bans in given: if its list does not have one by now, somebody lifted it, or it
// had no room, in which case the ban stays where it was made. Bans that the kernel
// had and core's list does not have are over too.
func (l *banlist) settle(given map[judge.Key]time.Time) (touched []judge.Key) {
	room := len(l.core) < crowded
	for k, h := range l.here {
		since, ok := given[k]
		if h.origin == found || h.origin == told && ok && room && since.Equal(h.Since) {
			delete(l.here, k)
			touched = append(touched, k)
		}
	}
	return touched
}

// told are the bans that core took long enough ago to have them in its list, and
// whose fate is not settled.
func (l *banlist) told(now time.Time) map[judge.Key]time.Time {
	out := map[judge.Key]time.Time{}
	for k, h := range l.here {
		if h.origin == told && now.Sub(h.toldAt) >= settleAfter {
			out[k] = h.Since
		}
	}
	return out
}

// untold are up to n bans that core should hear of.
func (l *banlist) untold(n int, now time.Time) []protocol.Ban {
	var out []protocol.Ban
	for k, h := range l.here {
		if h.origin == untold && h.Until.After(now) {
			if out = append(out, l.here[k].Ban); len(out) == n {
				break
			}
		}
	}
	return out
}

// took notes that core has these.
func (l *banlist) took(bans []protocol.Ban, now time.Time) {
	for _, b := range bans {
		k := judge.KeyOf(b.Prefix.Addr())
		if h, ok := l.here[k]; ok && h.origin == untold && h.Since.Equal(b.Since) {
			h.origin, h.toldAt = told, now
			l.here[k] = h
		}
	}
}

// lapse takes out what ended and says whose.
func (l *banlist) lapse(now time.Time) (ended []judge.Key) {
	for k, b := range l.core {
		if !b.Until.After(now) {
			delete(l.core, k)
			delete(l.lifted, k)
			ended = append(ended, k)
		}
	}
	for k, b := range l.here {
		if !b.Until.After(now) {
			delete(l.here, k)
			ended = append(ended, k)
		}
	}
	return ended
}
