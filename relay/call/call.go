// Package call keeps the calls of a relay: which tags they have, which ports
// each side was lent, where each side says it is and where it proved to be. It
// rewrites the SDP of offers and answers and tells the forwarding table what
// follows. It moves no packet (relay/forward does) and reads no NG message
// (package relay does).
//
//	Call → forks (branches of an INVITE; most calls have one)
//	     → 2 sides, each with the tags that spoke for it → streams (m= lines)
//	     → a half for each side: a lent pair of ports → ends (RTP, RTCP) → forward.Leg
//
// Locks: Registry.mu and Call.mu. Whoever holds Call.mu may take Registry.mu,
// never the other way. Both are held over calls to the table and to pools, and
// neither over a wait for packets.
package call

import (
	"iter"
	"sync"
	"time"
)

// A Call is what goes by one Call-ID.
type Call struct {
	ID      string
	created time.Time

	mu         sync.Mutex // guards the fields below
	ended      bool
	answered   bool
	dropped    bool // nothing is forwarded, by command
	lastSignal time.Time
	forks      []*fork // the oldest first
	gone       Summary // sums of forks that ended before the call
	tags       map[string]*monologue
	noted      bool      // the journal knows it
	resumed    time.Time // from a process before this one; zero: begun here
	sampled    time.Time // when histories had their last point
}

// A monologue is what one SIP tag said (rtpengine's word).
type monologue struct {
	created time.Time
	label   string // by command, "" is none
}

// A side is one of the two parties of a fork, whoever speaks for it now.
type side struct {
	face  *Interface
	tag   string // of the monologue heard last; it has the side's ports
	rules Rules  // for what comes from this side
	said  memory
}

// ends yields every end of the call.
func (c *Call) ends() iter.Seq[*end] {
	return func(yield func(*end) bool) {
		for _, f := range c.forks {
			for h := range f.halves() {
				if !yield(&h.rtp) || !yield(&h.rtcp) {
					return
				}
			}
		}
	}
}

// onHold says whether any stream is silent by agreement.
func (c *Call) onHold() bool {
	for _, f := range c.forks {
		for h := range f.halves() {
			if !h.refused && h.quiet {
				return true
			}
		}
	}
	return false
}
