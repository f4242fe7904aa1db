package call

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp/quality"
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

	// Streams that were answered and in which nothing came from either side, or only
	// from one.
	ZeroWay, OneWay int
}

// A Tag is what a relay knows of one SIP tag. Only the tag that spoke last for
// its side has media.
type Tag struct {
	Tag     string
	Label   string
	Branch  string // of the fork it spoke in last
	Created time.Time
	With    string   // the other side's tag, if it has one yet
	Others  []string // those of all forks, With among them
	Rules   Rules
	Media   []Media
}

// Media is one side's part of an m= line.
type Media struct {
	Index       int // from 1, as NG counts
	Kind, Proto string
	Codec       string
	Interface   string
	Mux         bool          // RTP and RTCP on one port
	Quiet       bool          // on hold, or one way
	Streams     [2]Stream     // RTP, RTCP
	Sources     []Source      // that RTP came from, at most maxSources, the last one last
	Score       quality.Score // of what came from this side; zero: nothing did
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

func (r *Registry) summary(c *Call) Summary {
	s := Summary{
		ID: c.ID, Created: c.created, LastSignal: c.lastSignal, Answered: c.answered, OnHold: c.onHold(),
		RTP: c.gone.RTP, RTCP: c.gone.RTCP, ZeroWay: c.gone.ZeroWay, OneWay: c.gone.OneWay,
	}
	for name, m := range c.tags {
		s.Tags = append(s.Tags, r.tag(c, name, m))
	}
	slices.SortFunc(s.Tags, func(a, b Tag) int { return cmp.Compare(a.Tag, b.Tag) })
	for _, f := range c.forks {
		r.sum(&s, f)
	}
	return s
}

// tag is what is known of a tag: in the fork it spoke in last, and with whom in all.
func (r *Registry) tag(c *Call, name string, m *monologue) Tag {
	t := Tag{Tag: name, Label: m.label, Created: m.created}
	for _, f := range c.forks {
		x, ok := f.tags[name]
		if !ok {
			continue
		}
		t.Branch, t.With, t.Rules, t.Media = f.branch, f.sides[1-x].tag, f.sides[x].rules, nil
		if t.With != "" && !slices.Contains(t.Others, t.With) {
			t.Others = append(t.Others, t.With)
		}
		if f.sides[x].tag != name {
			continue
		}
		for i, st := range f.streams {
			if h := st.halves[x]; h != nil {
				t.Media = append(t.Media, r.media(i, st, x))
			}
		}
	}
	return t
}

// sum adds what f counted to s.
func (r *Registry) sum(s *Summary, f *fork) {
	for _, st := range f.streams {
		silent, known := 0, true
		for _, h := range st.halves {
			if h == nil {
				known = false
				continue
			}
			rtp := r.counts(&h.rtp)
			add(&s.RTP, rtp)
			add(&s.RTCP, r.counts(&h.rtcp))
			if rtp.Packets == 0 {
				silent++
			}
		}
		switch {
		case !known || !f.answered:
		case silent == 2:
			s.ZeroWay++
		case silent == 1:
			s.OneWay++
		}
	}
}

func (r *Registry) media(i int, st *stream, x int) Media {
	h := st.halves[x]
	m := Media{
		Index: i + 1, Kind: st.kind, Proto: st.proto, Codec: h.codec,
		Interface: h.face.Name, Mux: h.mux.agreed, Quiet: h.quiet,
	}
	for j, e := range []*end{&h.rtp, &h.rtcp} {
		m.Streams[j] = Stream{
			Local: e.local, Remote: e.to(), Signalled: e.signalled,
			Confirmed: e.from().IsValid(), Counts: r.counts(e),
		}
	}
	if c := m.Streams[0].Counts; c.Expected > 0 && !h.any {
		// There and back again on both sides is from mouth to ear and back.
		way := r.roundTrip(h)
		if other := st.halves[1-x]; other != nil {
			way += r.roundTrip(other)
		}
		m.Score = quality.Rate(quality.Input{
			Codec: h.codec, Loss: float64(c.Lost) / float64(c.Expected), Jitter: c.Jitter, RoundTrip: way,
		})
	}
	m.Sources = r.heardOf(h, st.halves[1-x], time.Now())
	return m
}

// roundTrip is that between us and the peer of h, by its RTCP; 0 when not known.
func (r *Registry) roundTrip(h *half) time.Duration {
	if h.mux.agreed {
		return r.counts(&h.rtp).RoundTrip
	}
	return r.counts(&h.rtcp).RoundTrip
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
		{&sum.Expected, c.Expected},
		{&sum.Lost, c.Lost},
		{&sum.Reordered, c.Reordered},
		{&sum.Duplicate, c.Duplicate},
		{&sum.WrongSource, c.WrongSource},
		{&sum.NotRTP, c.NotRTP},
		{&sum.STUN, c.STUN},
		{&sum.Held, c.Held},
		{&sum.Failed, c.Failed},
		{&sum.Blocked, c.Blocked},
	} {
		*f.sum += f.n
	}
	sum.Jitter = max(sum.Jitter, c.Jitter)
	sum.RoundTrip = max(sum.RoundTrip, c.RoundTrip)
	if c.LastSeen.After(sum.LastSeen) {
		sum.LastSeen = c.LastSeen
	}
}
