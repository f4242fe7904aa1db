package call

import (
	"iter"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// Totals are sums over calls since the relay began.
type Totals struct {
	Ended     [reasons]uint64
	Answered  uint64         // of those that ended
	RTP, RTCP forward.Counts // sums; jitter, round trip and last seen mean nothing

	ZeroWay, OneWay uint64 // streams, see Summary

	Talk        time.Duration // of answered calls, from the first offer to the end
	TalkSquared float64       // s², for the deviation

	// Opinions of the sides whose packets were rated, when their calls ended.
	MOS, MOSSquared float64
	Rated           uint64
}

// rateable is how many packets it takes to say what a call sounded like.
const rateable = 50

// add counts a call that ended.
func (t *Totals) add(s Summary, why Reason, now time.Time) {
	t.Ended[why]++
	add(&t.RTP, s.RTP)
	add(&t.RTCP, s.RTCP)
	if !s.Answered {
		return
	}
	t.Answered++
	t.ZeroWay += uint64(s.ZeroWay)
	t.OneWay += uint64(s.OneWay)
	talk := now.Sub(s.Created)
	t.Talk += talk
	t.TalkSquared += talk.Seconds() * talk.Seconds()
	for m := range s.Rated() {
		t.MOS += m.Score.MOS
		t.MOSSquared += m.Score.MOS * m.Score.MOS
		t.Rated++
	}
}

// Rated yields the media that are worth an opinion.
func (s Summary) Rated() iter.Seq[*Media] {
	return func(yield func(*Media) bool) {
		for i := range s.Tags {
			for j := range s.Tags[i].Media {
				m := &s.Tags[i].Media[j]
				if m.Score.MOS > 0 && m.Streams[0].Counts.Packets >= rateable && !yield(m) {
					return
				}
			}
		}
	}
}

// A State is how much there is of calls now.
type State struct {
	Calls, Answered int
	Legs            int // ports lent
	Streams         int // m= lines with ports
	Live            Totals

	// Calls by how their RTP goes: all of it by the kernel, some, none.
	Kernel, Mixed, User int
}

// Counts is how many calls and lent legs there are, and how many calls ended why.
func (r *Registry) Counts() (calls, legs int, ended [reasons]uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.calls), len(r.owners), r.past.Ended
}

// Totals are those of calls that have ended, and the state of those that live. It
// looks at every call, one after the other.
func (r *Registry) Totals() (past Totals, now State) {
	r.mu.RLock()
	past = r.past
	now.Calls, now.Legs = len(r.calls), len(r.owners)
	r.mu.RUnlock()
	for _, c := range r.all() {
		c.mu.Lock()
		if !c.ended {
			r.state(c, &now)
		}
		c.mu.Unlock()
	}
	return past, now
}

// repeated says whether the kernel repeats what comes to h.
func (r *Registry) repeated(h *half) bool {
	return r.cfg.Repeated != nil && r.cfg.Repeated(h.rtp.local)
}

func (r *Registry) state(c *Call, now *State) {
	if c.answered {
		now.Answered++
	}
	kernel, legs := 0, 0
	defer func() {
		switch {
		case legs > 0 && kernel == legs:
			now.Kernel++
		case kernel > 0:
			now.Mixed++
		default:
			now.User++
		}
	}()
	for _, f := range c.forks {
		for _, s := range f.streams {
			if s.halves[0] == nil {
				continue
			}
			now.Streams++
			for _, h := range s.halves {
				if h != nil {
					if legs++; r.repeated(h) {
						kernel++
					}
					add(&now.Live.RTP, r.counts(&h.rtp))
					add(&now.Live.RTCP, r.counts(&h.rtcp))
				}
			}
		}
	}
}
