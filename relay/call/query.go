package call

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// A Summary is what a relay knows of a call.
type Summary struct {
	ID         string
	Created    time.Time
	LastSignal time.Time
	Answered   bool
	OnHold     bool
	Tags       []Tag // by name
	RTP, RTCP  forward.Counts
}

// A Tag is what a relay knows of one SIP tag. Only the tag that spoke last for
// its side has media.
type Tag struct {
	Tag     string
	Created time.Time
	With    string // the other side's tag, if it has one yet
	Media   []Media
}

// Media is one side's part of an m= line.
type Media struct {
	Index       int // from 1, as NG counts
	Kind, Proto string
	Codec       string
	Streams     [2]Stream // RTP, RTCP
}

// A Stream is one leg.
type Stream struct {
	Local     netip.AddrPort
	Remote    netip.AddrPort // where packets are sent, zero: nowhere yet
	Signalled netip.AddrPort // by SDP
	Confirmed bool           // Remote has proven itself, or needs not
	Counts    forward.Counts
}

// Query says what is known of a call.
func (r *Registry) Query(id string) (Summary, error) {
	c := r.find(id)
	if c == nil {
		return Summary{}, ErrUnknownCall
	}
	defer c.mu.Unlock()
	return r.summary(c), nil
}

// Delete ends a call and returns what it saw. With tags, the call ends unless
// they name a fork that lost, or nobody: then ended is false and the call goes on.
//
// With a branch it ends only the call that began with an offer of that branch: a
// delete that was lost and comes again must not end the call that the same phone
// made meanwhile, with the same Call-ID, after it was asked for its password.
func (r *Registry) Delete(id, from, to, branch string) (s Summary, ended bool, err error) {
	c := r.find(id)
	if c == nil {
		return Summary{}, false, ErrUnknownCall
	}
	defer c.mu.Unlock()
	s = r.summary(c)
	if branch != "" && c.branch != "" && branch != c.branch || !c.goesWith(from, to) {
		return s, false, nil
	}
	r.end(c, Deleted, time.Now())
	r.log.Log(context.Background(), level(c), "call ended", "call", c.ID, "packets", s.RTP.Packets, "lost", s.RTP.Lost)
	return s, true, nil
}

// goesWith says whether the call ends when the dialogue between these tags does.
// A tag that lost its side to another fork is forgotten.
func (c *Call) goesWith(from, to string) bool {
	if from == "" && to == "" {
		return true
	}
	known := 0
	for _, tag := range []string{from, to} {
		m := c.tags[tag]
		if m == nil {
			continue
		}
		known++
		if c.sides[m.side].tag != tag {
			delete(c.tags, tag)
			return false
		}
	}
	// A fork that never spoke has a tag we do not know; it takes the call along
	// only when nobody else has answered.
	return known == 2 || known == 1 && (from == "" || to == "" || !c.answered)
}

func (r *Registry) summary(c *Call) Summary {
	s := Summary{ID: c.ID, Created: c.created, LastSignal: c.lastSignal, Answered: c.answered, OnHold: c.onHold()}
	for name, m := range c.tags {
		t := Tag{Tag: name, Created: m.created, With: c.sides[1-m.side].tag}
		if c.sides[m.side].tag == name {
			for i, st := range c.streams {
				if h := st.halves[m.side]; h != nil {
					t.Media = append(t.Media, r.media(i, st, h))
				}
			}
		}
		s.Tags = append(s.Tags, t)
	}
	slices.SortFunc(s.Tags, func(a, b Tag) int { return cmp.Compare(a.Tag, b.Tag) })
	for _, st := range c.streams {
		for _, h := range st.halves {
			if h != nil {
				add(&s.RTP, r.counts(&h.rtp))
				add(&s.RTCP, r.counts(&h.rtcp))
			}
		}
	}
	return s
}

func (r *Registry) media(i int, st *stream, h *half) Media {
	m := Media{Index: i + 1, Kind: st.kind, Proto: st.proto, Codec: h.codec}
	for j, e := range []*end{&h.rtp, &h.rtcp} {
		m.Streams[j] = Stream{
			Local: e.local, Remote: e.to(), Signalled: e.signalled,
			Confirmed: e.from().IsValid(), Counts: r.counts(e),
		}
	}
	return m
}

// counts of an end that has no leg yet are zero.
func (r *Registry) counts(e *end) forward.Counts {
	c, _ := r.table.Counts(e.local)
	return c
}

// add sums up what can be summed up; of the jitters the worst counts.
func add(sum *forward.Counts, c forward.Counts) {
	for _, f := range []struct {
		sum *uint64
		n   uint64
	}{
		{&sum.Packets, c.Packets},
		{&sum.Bytes, c.Bytes},
		{&sum.Lost, c.Lost},
		{&sum.Reordered, c.Reordered},
		{&sum.Duplicate, c.Duplicate},
		{&sum.WrongSource, c.WrongSource},
		{&sum.NotRTP, c.NotRTP},
		{&sum.STUN, c.STUN},
		{&sum.Held, c.Held},
		{&sum.Failed, c.Failed},
	} {
		*f.sum += f.n
	}
	sum.Jitter = max(sum.Jitter, c.Jitter)
	if c.LastSeen.After(sum.LastSeen) {
		sum.LastSeen = c.LastSeen
	}
}
