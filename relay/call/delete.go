package call

import (
	"context"
	"time"
)

// A Deletion says what is over. With a branch it is the fork that began with an
// offer of that branch, and no other: a delete that was lost and comes again must
// not end the call that the same phone made meanwhile, with the same Call-ID, after
// it was asked for its password. Otherwise tags say which; without any it is the
// whole call.
type Deletion struct {
	CallID, From, To, Branch string

	// Delay is how long media goes on. An offer or answer in that time takes the
	// delete back.
	Delay time.Duration
}

// Delete ends a call, or forks of it, and returns what the call saw and how many
// forks that were. The call ends with its last fork. None ends when the tags name
// one that lost its side to another, or nobody.
func (r *Registry) Delete(d Deletion) (s Summary, forks int, err error) {
	c := r.find(d.CallID)
	if c == nil {
		return Summary{}, 0, ErrUnknownCall
	}
	defer c.mu.Unlock()
	s = r.summary(c)
	now := time.Now()
	over := c.over(d)
	if d.Delay > 0 {
		for _, f := range over {
			f.dies = now.Add(min(d.Delay, maxDelay))
		}
		r.note(c)
		return s, len(over), nil
	}
	if len(over) == len(c.forks) && len(over) > 0 {
		r.end(c, Deleted, now)
		r.log.Log(context.Background(), level(c), "call ended", "call", c.ID, "packets", s.RTP.Packets, "lost", s.RTP.Lost)
		return s, len(over), nil
	}
	for _, f := range over {
		r.drop(c, f, now)
	}
	r.note(c)
	return s, len(over), nil
}

// over is the forks that d ends.
func (c *Call) over(d Deletion) (forks []*fork) {
	branched := d.Branch != "" && c.newest(func(f *fork) bool { return f.branch != "" }) != nil
	for _, f := range append([]*fork(nil), c.forks...) {
		if branched && f.branch == d.Branch || !branched && c.goesWith(f, d.From, d.To) {
			forks = append(forks, f)
		}
	}
	return forks
}

// goesWith says whether f ends when the dialogue between these tags does. A tag
// that lost its side to another is forgotten.
func (c *Call) goesWith(f *fork, from, to string) bool {
	if from == "" && to == "" {
		return true
	}
	known := 0
	for _, tag := range []string{from, to} {
		x, ok := f.tags[tag]
		if !ok {
			continue
		}
		known++
		if f.sides[x].tag != tag {
			c.forget(f, tag)
			return false
		}
	}
	// A fork that never spoke has a tag we do not know; it takes the call along
	// only when nobody else has answered.
	return known == 2 || known == 1 && (from == "" || to == "" || !c.answered)
}
