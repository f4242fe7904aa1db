package call

import (
	"slices"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp/quality"
)

const (
	listenEvery = 5 * time.Second // as often as telephones report by RTCP
	maxSources  = 4               // of one half that are remembered
	maxProgress = 12              // opinions of one source that are; then every other is forgotten
)

// An Opinion is how a source sounded for a while, some seconds as a rule.
type Opinion struct {
	At           time.Time // when the while was over
	MOS          float64
	Loss         float64       // share of the packets that did not come, 0 to 1
	Jitter       time.Duration // at the end of it
	RoundTrip    time.Duration // from one end of the call to the other and back; 0: not known
	RoundTripLeg time.Duration // from us to the source and back; 0: not known
}

// A Source is one SSRC, and how it sounded.
type Source struct {
	SSRC            uint32
	Samples         int     // how many opinions there were; 0: nothing is known
	Lowest, Highest Opinion // the first of those with that MOS
	Average         Opinion // its At is not set
	Progress        []Opinion
	Every           time.Duration // between two of Progress, unless nothing came
}

// opinions are what was thought of the sources of a half.
type opinions struct {
	sources []Source
	since   forward.Counts // when the last opinion was formed
}

// listen forms opinions of what c, which is locked, has sent lately.
func (r *Registry) listen(c *Call, now time.Time) {
	if c.heard.IsZero() {
		c.heard = c.created
	}
	if now.Sub(c.heard) < listenEvery {
		return
	}
	c.heard = now
	for _, f := range c.forks {
		for _, s := range f.streams {
			for x, h := range s.halves {
				if h != nil {
					r.opine(&h.opinions, h, s.halves[1-x], now, rateable)
				}
			}
		}
	}
}

// heardOf is what is known of the sources of h by now.
func (r *Registry) heardOf(h, other *half, now time.Time) []Source {
	o := h.opinions
	o.sources = slices.Clone(o.sources)
	for i := range o.sources {
		o.sources[i].Progress = slices.Clone(o.sources[i].Progress)
	}
	least := uint64(rateable)
	if len(o.sources) == 0 {
		least = 1 // better than nothing
	}
	r.opine(&o, h, other, now, least)
	return o.sources
}

// opine adds an opinion to o on what came to h since the last one, if that were enough
// packets.
func (r *Registry) opine(o *opinions, h, other *half, now time.Time, enough uint64) {
	c := r.counts(&h.rtp)
	expected := c.Expected - min(o.since.Expected, c.Expected)
	if h.any || expected < enough {
		return
	}
	lost := min(c.Lost-min(o.since.Lost, c.Lost), expected)
	way := r.roundTrip(h)
	a := Opinion{At: now, Loss: float64(lost) / float64(expected), Jitter: c.Jitter, RoundTrip: way, RoundTripLeg: way}
	if other != nil {
		a.RoundTrip += r.roundTrip(other)
	}
	a.MOS = quality.Rate(quality.Input{Codec: h.codec, Loss: a.Loss, Jitter: a.Jitter, RoundTrip: a.RoundTrip}).MOS
	o.since = c
	if n := len(o.sources); n == 0 || o.sources[n-1].SSRC != c.SSRC {
		if n == maxSources {
			o.sources = slices.Delete(o.sources, 0, 1)
		}
		o.sources = append(o.sources, Source{SSRC: c.SSRC, Every: listenEvery})
	}
	o.sources[len(o.sources)-1].add(a)
}

func (s *Source) add(a Opinion) {
	if s.Samples == 0 || a.MOS < s.Lowest.MOS {
		s.Lowest = a
	}
	if s.Samples == 0 || a.MOS > s.Highest.MOS {
		s.Highest = a
	}
	n := s.Samples
	s.Samples++
	mean := func(was, now float64) float64 { return was + (now-was)/float64(n+1) }
	span := func(was, now time.Duration) time.Duration { return was + (now-was)/time.Duration(n+1) }
	s.Average = Opinion{
		MOS: mean(s.Average.MOS, a.MOS), Loss: mean(s.Average.Loss, a.Loss), Jitter: span(s.Average.Jitter, a.Jitter),
		RoundTrip: span(s.Average.RoundTrip, a.RoundTrip), RoundTripLeg: span(s.Average.RoundTripLeg, a.RoundTripLeg),
	}
	if p := s.Progress; len(p) > 0 && a.At.Sub(p[len(p)-1].At) < s.Every*9/10 {
		return
	}
	if s.Progress = append(s.Progress, a); len(s.Progress) < maxProgress {
		return
	}
	s.Every *= 2
	for i := range maxProgress / 2 {
		s.Progress[i] = s.Progress[2*i]
	}
	s.Progress = s.Progress[:maxProgress/2]
}
