package call

import (
	"fmt"
	"iter"
	"time"
)

// A fork is one branch of a call: two sides and the streams between them. Forks of
// a call share nothing but the caller's tag, so each branch that rings has ports
// of its own, and its early media comes to the caller from its own port.
//
// A fork begins with an offer that has a Via branch no other offer of the call
// had. Several answers to one offer, from different tags without a branch to tell
// them apart, are one fork whose side the last of them has.
type fork struct {
	branch   string // of the offer it began with
	created  time.Time
	answered bool
	ended    bool
	dies     time.Time // when its delete with a delay takes effect; zero: it was not deleted
	sides    [2]side   // the first is that of who made the first offer
	tags     map[string]int
	streams  []*stream // by index of the m= line
}

// halves yields the halves that were lent ports.
func (f *fork) halves() iter.Seq[*half] {
	return func(yield func(*half) bool) {
		for _, s := range f.streams {
			for _, h := range s.halves {
				if h != nil && !yield(h) {
					return
				}
			}
		}
	}
}

// has says whether tag spoke in the fork.
func (f *fork) has(tag string) bool {
	_, ok := f.tags[tag]
	return ok
}

// between says whether the tags stand on either side of the fork.
func (f *fork) between(a, b string) bool {
	x, ok := f.tags[a]
	y, ok2 := f.tags[b]
	return ok && ok2 && x != y
}

// newest returns the fork that came last of those that are fit, or nil.
func (c *Call) newest(fit func(f *fork) bool) *fork {
	for i := len(c.forks) - 1; i >= 0; i-- {
		if fit(c.forks[i]) {
			return c.forks[i]
		}
	}
	return nil
}

// offered finds the fork an offer belongs to and the side that makes it; nil is a
// new one.
func (c *Call) offered(m Message) (f *fork, x int) {
	if m.ToTag != "" { // inside a dialogue
		if f = c.newest(func(f *fork) bool { return f.between(m.FromTag, m.ToTag) }); f != nil {
			return f, f.tags[m.FromTag]
		}
		if f = c.newest(func(f *fork) bool { return f.has(m.FromTag) && !f.answered }); f == nil {
			f = c.newest(func(f *fork) bool { return f.has(m.FromTag) })
		}
		if f != nil {
			return f, f.tags[m.FromTag]
		}
		if f = c.newest(func(f *fork) bool { return f.has(m.ToTag) }); f != nil {
			return f, 1 - f.tags[m.ToTag]
		}
		return nil, 0 // somebody else's dialogue by the same Call-ID
	}
	mine := func(f *fork) bool {
		return f.has(m.FromTag) && (f.branch == m.Branch || f.branch == "" || m.Branch == "")
	}
	if f = c.newest(func(f *fork) bool { return mine(f) && f.branch == m.Branch }); f == nil {
		f = c.newest(mine)
	}
	if f == nil {
		return nil, 0
	}
	return f, f.tags[m.FromTag]
}

// answeredBy finds the fork an answer belongs to.
func (c *Call) answeredBy(m Message) (*fork, error) {
	asked := func(f *fork) bool { return f.has(m.FromTag) }
	if c.newest(asked) == nil {
		return nil, fmt.Errorf("%w: from-tag of no offer", ErrUnknownTag)
	}
	for _, fit := range []func(f *fork) bool{
		func(f *fork) bool { return f.between(m.FromTag, m.ToTag) },
		func(f *fork) bool { return asked(f) && f.branch == m.Branch && m.Branch != "" },
		func(f *fork) bool { return asked(f) && !f.answered },
		asked,
	} {
		if f := c.newest(fit); f != nil {
			return f, nil
		}
	}
	return nil, ErrUnknownTag
}

// fork adds one.
func (c *Call) fork(m Message, now time.Time) (*fork, error) {
	if len(c.forks) >= maxForks {
		return nil, fmt.Errorf("more than %d branches in one call", maxForks)
	}
	f := &fork{branch: m.Branch, created: now, tags: make(map[string]int)}
	c.forks = append(c.forks, f)
	return f, nil
}

// speak makes tag the voice of side x of f.
func (c *Call) speak(f *fork, tag string, x int, label string, now time.Time) error {
	who := c.tags[tag]
	if who == nil {
		if len(c.tags) >= maxTags {
			return fmt.Errorf("more than %d tags in one call", maxTags)
		}
		who = &monologue{created: now}
		c.tags[tag] = who
	}
	if label != "" {
		who.label = label
	}
	f.tags[tag] = x
	f.sides[x].tag = tag
	f.dies = time.Time{} // who speaks again is not gone
	c.lastSignal = now
	return nil
}

// forget takes a tag out of f, and of the call when no fork has it.
func (c *Call) forget(f *fork, tag string) {
	delete(f.tags, tag)
	if c.newest(func(f *fork) bool { return f.has(tag) }) == nil {
		delete(c.tags, tag)
	}
}
