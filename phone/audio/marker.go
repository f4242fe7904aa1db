package audio

import (
	"math"
	"time"
)

const (
	markerLength = Rate * 80 / 1000
	markerFirst  = Rate / 5 // after 200 ms: relays have learnt their sources by then
	markerEvery  = Rate * 5
	markerMatch  = 0.6 // correlation that cannot be an accident
)

// A Marked is a Source in which a short chirp replaces the sound at known places,
// so that whoever hears it come back can say how long it was away.
type Marked struct {
	sound Source
	chirp []int16
	at    int
}

// NewMarked puts the marker into sound: after 200 ms, then every 5 s.
func NewMarked(sound Source) *Marked { return &Marked{sound: sound, chirp: chirp()} }

// Fill writes the next samples.
func (m *Marked) Fill(frame []int16) {
	m.sound.Fill(frame)
	for i := range frame {
		if n := m.at - markerFirst; n >= 0 && n%markerEvery < len(m.chirp) {
			frame[i] = m.chirp[n%markerEvery]
		}
		m.at++
	}
}

// Delay finds the marker in heard, a recording whose first sample was heard begin
// after the first sample of a Marked was sent, and returns how long after being
// sent it was heard. ok is false when the marker did not come back within 2 s.
func Delay(heard []int16, begin time.Duration) (d time.Duration, ok bool) {
	offset := int(begin * Rate / time.Second)
	chirp := chirp()
	for first := markerFirst; first-offset+len(chirp) <= len(heard); first += markerEvery {
		from := max(0, first-offset)
		to := min(len(heard), from+2*Rate)
		if i, match := correlate(heard[from:to], chirp); match >= markerMatch {
			return time.Duration(from+i+offset-first) * time.Second / Rate, true
		}
	}
	return 0, false
}

// chirp is a sweep from 400 to 2800 Hz with soft ends: its correlation with
// itself has one narrow peak.
func chirp() []int16 {
	c := make([]int16, markerLength)
	for i := range c {
		t, n := float64(i)/Rate, float64(len(c))/Rate
		soft := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(c)))
		c[i] = clip(0.5 * math.MaxInt16 * soft * math.Sin(2*math.Pi*(400*t+(2800-400)/(2*n)*t*t)))
	}
	return c
}

// correlate returns where in x the pattern fits best, and how well (1 is exactly).
func correlate(x, pattern []int16) (at int, match float64) {
	norm := math.Sqrt(power(pattern) * float64(len(pattern)))
	energy := 0.0
	for i, s := range x {
		energy += float64(s) * float64(s)
		if i >= len(pattern) {
			old := float64(x[i-len(pattern)])
			energy -= old * old
		}
		start := i - len(pattern) + 1
		if start < 0 || energy < 1 {
			continue
		}
		sum := 0.0
		for k, p := range pattern {
			sum += float64(p) * float64(x[start+k])
		}
		if m := sum / (norm * math.Sqrt(energy)); m > match {
			at, match = start, m
		}
	}
	return at, match
}
