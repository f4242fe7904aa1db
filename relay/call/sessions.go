package call

import (
	"cmp"
	"slices"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/session"
)

// Ways a packet goes, as sessions name them.
const (
	PathKernel = "kernel"
	PathUser   = "user space"
)

// maxLast is how many last words wait to be told; of more, the oldest are lost.
const maxLast = 4096

// Sessions describes at most limit live calls, the newest first; those of callID
// alone, with their history, when it is not "".
func (r *Registry) Sessions(callID string, limit int) []session.Session {
	if callID != "" {
		c := r.find(callID)
		if c == nil {
			return nil
		}
		defer c.mu.Unlock()
		return []session.Session{r.session(c, true)}
	}
	all := r.all()
	slices.SortFunc(all, func(a, b *Call) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(a.ID, b.ID))
	})
	var said []session.Session
	for _, c := range all {
		if len(said) >= limit {
			break
		}
		c.mu.Lock()
		if !c.ended {
			said = append(said, r.session(c, false))
		}
		c.mu.Unlock()
	}
	return said
}

// all are the live calls, of which some may end before they are looked at.
func (r *Registry) all() []*Call {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Call, 0, len(r.calls))
	for _, c := range r.calls {
		all = append(all, c)
	}
	return all
}

// Ended are the last words about calls that ended since Ended was asked before, the
// oldest first. They are told once.
func (r *Registry) Ended() []session.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last
	r.last = nil
	return last
}

// remember keeps the last word about a call; r.mu is held.
func (r *Registry) remember(s session.Session) {
	if len(s.Streams) == 0 {
		return // it never had a port
	}
	if len(r.last) >= maxLast {
		r.last = append(r.last[:0], r.last[maxLast/8:]...)
	}
	r.last = append(r.last, s)
}

// session describes a call that is locked. Of one that was answered it has the
// branches that were, of another all.
func (r *Registry) session(c *Call, history bool) session.Session {
	s := session.Session{
		Relay: r.cfg.Name, CallID: c.ID, Created: c.created, Answered: c.answered, Held: c.onHold(),
		Streams: []session.Stream{},
	}
	answered := c.newest(func(f *fork) bool { return f.answered }) != nil
	for _, f := range c.forks {
		if answered && !f.answered {
			continue
		}
		for i, st := range f.streams {
			if st.halves[0] == nil || st.halves[1] == nil {
				continue
			}
			said := session.Stream{Kind: st.kind}
			for x := range said.Legs {
				said.Legs[x] = r.sessionLeg(f, i, x, history)
			}
			s.Streams = append(s.Streams, said)
		}
	}
	return s
}

func (r *Registry) sessionLeg(f *fork, i, x int, history bool) session.Leg {
	st := f.streams[i]
	m, h := r.media(i, st, x), st.halves[x]
	l := session.Leg{
		Tag: f.sides[x].tag, Interface: m.Interface, Local: h.rtp.local, Remote: h.rtp.from(), Path: PathUser, Codec: m.Codec,
	}
	if r.repeated(h) {
		l.Path = PathKernel
	}
	l.Quality = qualityOf(m.Streams[0].Counts, r.roundTrip(h), m.Score.MOS)
	if m.Streams[0].Counts.Packets < rateable {
		l.MOS = 0
	}
	if history {
		l.History = h.history.all()
	}
	return l
}

func qualityOf(c forward.Counts, trip time.Duration, mos float64) session.Quality {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return session.Quality{
		Packets: c.Packets, Bytes: c.Bytes, Lost: c.Lost, Reordered: c.Reordered, Duplicate: c.Duplicate,
		Jitter: ms(c.Jitter), RoundTrip: ms(trip), MOS: mos, LastSeen: c.LastSeen,
		WrongSource: c.WrongSource, NotRTP: c.NotRTP,
	}
}
