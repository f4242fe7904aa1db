package audio

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// window is the stretch in which a frequency is looked for. 100 ms tell
	// tones 25 Hz apart from each other.
	window = Rate / 10
	// quiet is the level in dB below which a frame is silence.
	quiet = -50.0
	// enough is the part of a window's power a frequency must have to be heard
	// in it. A tone alone has nearly all of it, each of two has half, white
	// noise 0.4 %, the fundamental of a tone clipped square 81 %.
	enough = 0.25
	// shortest is how long a tone must sound in all to count as heard.
	shortest = 100 * time.Millisecond
)

// A Span is a stretch of a recording, from its beginning.
type Span struct {
	From, To time.Duration
}

// A Verdict says what was heard of one frequency.
type Verdict struct {
	Hz    float64
	Heard bool    // it sounded for at least 100 ms in all
	Span          // from when it first sounded to when it last did; precise to about 20 ms
	Share float64 // part of the whole recording in which it sounded, 0 to 1
	Level float64 // dB relative to a full-scale sine, mean while it sounded
	Gaps  []Span  // within the span, where it did not sound
}

// Judge says of each frequency whether, when and how loud it sounds in samples.
func Judge(samples []int16, hz ...float64) []Verdict {
	verdicts := make([]Verdict, len(hz))
	loud := loudFrames(samples)
	for i, f := range hz {
		verdicts[i] = judge(samples, loud, f)
	}
	return verdicts
}

func judge(samples []int16, loud []bool, hz float64) Verdict {
	v := Verdict{Hz: hz, Level: math.Inf(-1)}
	first, last, sounding, power := -1, -1, 0, 0.0
	for i := range loud {
		if !loud[i] {
			continue
		}
		tone, total := strength(around(samples, i), hz)
		if total == 0 || tone/total < enough {
			continue
		}
		if first < 0 {
			first = i
		} else if i > last+1 {
			v.Gaps = append(v.Gaps, Span{at(last + 1), at(i)})
		}
		last = i
		sounding++
		power += tone
	}
	if sounding == 0 {
		return v
	}
	v.Span = Span{at(first), at(last + 1)}
	v.Share = float64(sounding) / float64(len(loud))
	v.Level = decibel(power / float64(sounding))
	v.Heard = at(sounding) >= shortest
	return v
}

// Loud is the part of samples, 0 to 1, that is not silence.
func Loud(samples []int16) float64 {
	loud, n := loudFrames(samples), 0
	for _, l := range loud {
		if l {
			n++
		}
	}
	return float64(n) / float64(max(1, len(loud)))
}

// Dominant is the strongest frequency, to about 1 Hz, in a part of samples that is
// as loud as most of what is not silence. ok is false when there is no tone in it:
// silence, noise.
func Dominant(samples []int16) (hz float64, ok bool) {
	type frame struct {
		at    int
		power float64
	}
	var loud []frame
	for i, l := range loudFrames(samples) {
		if l {
			loud = append(loud, frame{i, power(around(samples, i))})
		}
	}
	if len(loud) == 0 {
		return 0, false
	}
	slices.SortFunc(loud, func(a, b frame) int { return cmp.Compare(a.power, b.power) })
	part := around(samples, loud[len(loud)/2].at)
	hz, _ = strongest(part, 50, Rate/2-50, 10)
	hz, share := strongest(part, hz-10, hz+10, 1)
	return hz, share >= enough
}

// strongest tries the frequencies from low to high and tells which has the
// greatest share of the power of samples.
func strongest(samples []int16, low, high, step float64) (hz, share float64) {
	for f := low; f <= high; f += step {
		tone, total := strength(samples, f)
		if s := tone / total; s > share {
			hz, share = f, s
		}
	}
	return hz, share
}

// at is the time at which frame i begins.
func at(i int) time.Duration { return time.Duration(i) * Frame * time.Second / Rate }

// around is the window in the middle of which frame i lies, cut to samples.
func around(samples []int16, i int) []int16 {
	from := i*Frame - (window-Frame)/2
	return samples[max(0, from):min(len(samples), from+window)]
}

// loudFrames tells of each whole frame whether it is more than silence.
func loudFrames(samples []int16) []bool {
	loud := make([]bool, len(samples)/Frame)
	for i := range loud {
		loud[i] = decibel(power(samples[i*Frame:(i+1)*Frame])) >= quiet
	}
	return loud
}

// power is the mean square of samples.
func power(samples []int16) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return sum / float64(max(1, len(samples)))
}

// strength is the power of the sine of hz in samples and the power of all of
// them, by Goertzel's algorithm under a Hann window, which keeps a strong tone
// nearby from being mistaken for this one.
func strength(samples []int16, hz float64) (tone, total float64) {
	coefficient := 2 * math.Cos(2*math.Pi*hz/Rate)
	step := 2 * math.Pi / float64(len(samples))
	s1, s2, sum, sum2 := 0.0, 0.0, 0.0, 0.0
	// The window's cosine by recurrence: cos(n+1) = 2 cos(1) cos(n) - cos(n-1).
	turn, c0, c1 := 2*math.Cos(step), math.Cos(step), 1.0
	for _, x := range samples {
		w := 0.5 - 0.5*c1
		c0, c1 = c1, turn*c1-c0
		y := w * float64(x)
		s1, s2 = y+coefficient*s1-s2, s1
		sum += w
		sum2 += w * w
		total += y * y
	}
	if sum == 0 {
		return 0, 0
	}
	tone = 2 * (s1*s1 + s2*s2 - coefficient*s1*s2) / (sum * sum)
	return tone, total / sum2
}

// decibel is a mean square relative to that of a full-scale sine.
func decibel(meanSquare float64) float64 {
	return 10 * math.Log10(meanSquare/(math.MaxInt16*math.MaxInt16/2))
}
