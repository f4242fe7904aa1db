package shield

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// An Offence is why a source may be banned.
type Offence uint8

// The offences.
const (
	BadCredentials Offence = iota
	Malformed
	Scanner
	offences = iota
)

var offenceWords = [offences]string{BadCredentials: "wrong credentials", Malformed: "malformed messages", Scanner: "scanner"}

// String is the offence in words.
func (o Offence) String() string {
	if int(o) >= offences {
		return "offence"
	}
	return offenceWords[o]
}

const (
	maxStrikes  = 1 << 16        // sources whose offences are counted at once, by each kind of evidence
	maxRepeats  = 1 << 14        // sources whose bans are counted, likewise
	maxTimes    = 32             // so often is a ban counted; it is a day long by then
	longestBan  = 24 * time.Hour // of those the edge makes
	repeatAfter = 24 * time.Hour // a ban that ended so long ago is forgotten
	maxDetail   = 120            // bytes of a reason that a stranger may have chosen
	maxReason   = 400            // bytes of one that an operator wrote
	forgedMarks = 3              // so many marked datagrams, which may be forged, make a scanner
	officeWorth = 10             // so many times the limit has a registered source: an office is behind it
)

// A strike counts a source's offences of one kind since began.
type strike struct {
	began time.Time
	n     int
}

// A strikeKey is whose, and what for.
type strikeKey struct {
	source  judge.Key
	offence Offence
}

// A repeatKey is whose bans are counted. Those of the time when somebody was
// registered there are counted apart: what a stranger at the same address did
// before makes no office's first ban longer.
type repeatKey struct {
	source     judge.Key
	registered bool
}

// A repeat counts a source's bans.
type repeat struct {
	times int
	ended time.Time
}

// A docket counts offences until they make a ban, those that may be forged apart: they
// never become evidence that cannot be, and a forger of sources takes the place of
// nobody else's. The ledger's lock guards it.
type docket struct{ forged, proven file }

func newDocket() docket { return docket{newFile(false), newFile(true)} }

// of is the file of evidence of a kind.
func (d *docket) of(proven bool) *file {
	if proven {
		return &d.proven
	}
	return &d.forged
}

func (d *docket) forget(window time.Duration, now time.Time) {
	d.forged.forget(window, now)
	d.proven.forget(window, now)
}

// A file is what is counted on one kind of evidence. Both tables are bounded; in a
// full one a newcomer takes the place of any other, whose count starts anew.
type file struct {
	proven  bool
	strikes map[strikeKey]strike
	repeats map[repeatKey]repeat
}

func newFile(proven bool) file {
	return file{proven, map[strikeKey]strike{}, map[repeatKey]repeat{}}
}

// strike counts one offence and says whether it is one too many, and why. Behind a
// registered source may be an office, where one phone with an old password must not
// silence all the others.
func (d *file) strike(k strikeKey, registered bool, rules policy.Bans, now time.Time) (reason string, guilty bool) {
	limit := 0
	switch k.offence {
	case BadCredentials:
		limit = rules.Failures
	case Malformed:
		limit = rules.Malformed
	case Scanner:
		if rules.Scanners != nil && !*rules.Scanners {
			return "", false
		}
		if d.proven {
			return "scanner", true
		}
		limit = forgedMarks // a scanner sends hundreds
	default:
		return "", false
	}
	note := ""
	if registered {
		limit *= officeWorth
		note = fmt.Sprintf(" (%d times the usual limit, as it has registrations)", officeWorth)
	}
	window := time.Duration(rules.Window)
	s, ok := d.strikes[k]
	if !ok || now.Sub(s.began) >= window {
		s = strike{began: now}
	}
	if !ok {
		evictFrom(d.strikes, maxStrikes)
	}
	s.n++
	if s.n < limit {
		d.strikes[k] = s
		return "", false
	}
	delete(d.strikes, k)
	if k.offence == Scanner {
		return fmt.Sprintf("%d datagrams of a scanner in %v", s.n, rules.Window), true
	}
	return fmt.Sprintf("%d %s in %v%s", s.n, k.offence, rules.Window, note), true
}

// sentence is how long the source is banned this time: twice as long as the time
// before, up to a day.
func (d *file) sentence(k repeatKey, first time.Duration, now time.Time) time.Duration {
	r, ok := d.repeats[k]
	if ok && now.Sub(r.ended) >= repeatAfter {
		r = repeat{}
	}
	long := min(first, longestBan)
	for range r.times {
		if long = min(2*long, longestBan); long == longestBan {
			break
		}
	}
	if !ok {
		evictFrom(d.repeats, maxRepeats)
	}
	d.repeats[k] = repeat{times: min(r.times+1, maxTimes), ended: now.Add(long)}
	return long
}

// forget takes out what no longer counts.
func (d *file) forget(window time.Duration, now time.Time) {
	for k, s := range d.strikes {
		if now.Sub(s.began) >= window {
			delete(d.strikes, k)
		}
	}
	for k, r := range d.repeats {
		if now.Sub(r.ended) >= repeatAfter {
			delete(d.repeats, k)
		}
	}
}

// evictFrom makes room for one more in m.
func evictFrom[K comparable, V any](m map[K]V, limit int) {
	if len(m) < limit {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// printable makes a stranger's words fit for a log, a terminal and a page.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, s[:min(len(s), maxDetail)])
	return strings.TrimSpace(s)
}

// tidy is at most so many bytes of a text, without what would disturb a list of such.
func tidy(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), most)])
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}
