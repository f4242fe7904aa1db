package shield

import (
	"slices"
	"sync"

	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// Calls is a relay as the guard of its process sees it, which tells core of its calls.
type Calls interface {
	// Sessions are the relay's sessions with a Call-ID, with their history, at most limit.
	Sessions(callID string, limit int) []session.Session
	// Ended are the last words on calls that ended since it was asked last.
	Ended() []session.Session
}

// How much is told of calls: last words in one report and while core is away,
// questions that may wait for a report, sessions of one Call-ID, and of one answer.
const (
	maxEndedTold = 500
	maxEndedKept = 10_000
	maxAsked     = 16
	maxOfOne     = 8
	maxSessions  = protocol.MaxCallIDs
)

// carried is what core is told of the process beside what the guard itself sees.
type carried struct {
	// Set before Run, then constant.
	relay     string
	calls     Calls // nil: no relay is here
	anchoring *protocol.Anchoring

	asking sync.Mutex // held while reports are made: they are made one after the other
	ended  []session.Session
	lost   uint64 // last words that nobody took for too long

	mu    sync.Mutex // guards asked
	asked []protocol.CallsQuestion
}

// Carry makes the guard tell core of the calls of the relay called id. It must be
// called before Run.
func (g *Guard) Carry(id string, calls Calls) { g.calls.relay, g.calls.calls = id, calls }

// Anchor makes the guard tell core how the edge of this process chooses a relay. It
// must be called before Run.
func (g *Guard) Anchor(how protocol.Anchoring) { g.calls.anchoring = &how }

// ask keeps a question for the next report; false when it will not be answered.
func (c *carried) ask(q protocol.CallsQuestion) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil || len(c.asked) >= maxAsked {
		return false
	}
	c.asked = append(c.asked, q)
	return true
}

// tell writes into a report what there is to tell of calls. What was asked is told
// once, since nobody waits for it for long; given is how many last words are in it.
func (c *carried) tell(r *protocol.Report) (given int) {
	r.Relay, r.Anchoring = c.relay, c.anchoring
	if c.calls == nil {
		return 0
	}
	c.mu.Lock()
	asked := c.asked
	c.asked = nil
	c.mu.Unlock()
	for _, q := range asked {
		r.Calls = append(r.Calls, protocol.CallsAnswer{ID: q.ID, Sessions: c.answer(q)})
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	c.ended = append(c.ended, c.calls.Ended()...)
	if over := len(c.ended) - maxEndedKept; over > 0 {
		c.lost += uint64(over)
		c.ended = slices.Delete(c.ended, 0, over)
	}
	r.Ended = slices.Clone(c.ended[:min(len(c.ended), maxEndedTold)])
	for i := range r.Ended {
		r.Ended[i].Streams = withoutHistory(r.Ended[i].Streams)
	}
	return len(r.Ended)
}

// untold tells whether there are last words that core does not know.
func (c *carried) untold() bool {
	if c.calls == nil {
		return false
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	c.ended = append(c.ended, c.calls.Ended()...)
	return len(c.ended) > 0
}

// took forgets last words that core has taken.
func (c *carried) took(given int) {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.ended = slices.Delete(c.ended, 0, given)
}

// endedLost is how many last words nobody took for too long.
func (c *carried) endedLost() uint64 {
	c.asking.Lock()
	defer c.asking.Unlock()
	return c.lost
}

func (c *carried) answer(q protocol.CallsQuestion) []session.Session {
	most := protocol.MaxCallIDs
	if q.History {
		most = protocol.MaxHistories
	}
	all := []session.Session{}
	for _, id := range q.CallIDs[:min(len(q.CallIDs), most)] {
		for _, s := range c.calls.Sessions(id, maxOfOne) {
			if len(all) == maxSessions {
				return all
			}
			if !q.History {
				s.Streams = withoutHistory(s.Streams)
			}
			all = append(all, s)
		}
	}
	return all
}

// withoutHistory are streams without it. The relay's own are not changed.
func withoutHistory(streams []session.Stream) []session.Stream {
	out := slices.Clone(streams)
	for i := range out {
		out[i].Legs[0].History, out[i].Legs[1].History = nil, nil
	}
	return out
}
