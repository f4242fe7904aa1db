package audio

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	markerStep   = Rate / 100 // 10 ms of one frequency …
	markerSteps  = 8          // … so often
	markerTones  = 16
	markerLength = markerStep * markerSteps
	markerFirst  = Rate / 5 // after 200 ms: relays have learnt their sources by then
	markerEvery  = Rate * 5
	markerMatch  = 0.6 // correlation that cannot be an accident, nor another's marker
)

// A Marked is a Source in which a short call of notes is mixed into the sound at known
// places, so that it can say when they come back. The notes are random: two phones
// that hear each other do not take the other's marker for an echo of their own.
type Marked struct {
	sound Source
	notes []int16
	at    int
}

// NewMarked puts a marker into sound: after 200 ms, then every 5 s.
func NewMarked(sound Source) *Marked { return &Marked{sound: sound, notes: notes()} }

// Fill writes the next samples.
func (m *Marked) Fill(frame []int16) {
	m.sound.Fill(frame)
	for i := range frame {
		if n := m.at - markerFirst; n >= 0 && n%markerEvery < len(m.notes) {
			// Loud enough to be found beside the sound, not so loud as to hide a tone.
			frame[i] = clip(float64(frame[i]) + float64(m.notes[n%markerEvery]))
		}
		m.at++
	}
}

// Delay finds the marker in heard, a recording whose first sample was heard begin
// after the first sample of m was sent, and returns how long after being sent it
// was heard. ok is false when the marker did not come back within 2 s. Delay may
// be called while another goroutine calls Fill.
func (m *Marked) Delay(heard []int16, begin time.Duration) (d time.Duration, ok bool) {
	offset := int(begin * Rate / time.Second)
	for first := markerFirst; first-offset+len(m.notes) <= len(heard); first += markerEvery {
		from := max(0, first-offset)
		to := min(len(heard), from+2*Rate)
		if i, match := correlate(heard[from:to], m.notes); match >= markerMatch {
			return time.Duration(from+i+offset-first) * time.Second / Rate, true
		}
	}
	return 0, false
}

// notes is a random melody of 80 ms between 400 and 2650 Hz with soft ends. Its
// correlation with itself has one narrow peak, that with another melody none.
func notes() []int16 {
	n, phase, hz := make([]int16, markerLength), 0.0, 0.0
	for i := range n {
		if i%markerStep == 0 {
			before := hz
			for hz == before {
				hz = 400 + 150*float64(rand.IntN(markerTones))
			}
		}
		soft := min(1, float64(min(i, len(n)-i))/(markerStep/2))
		n[i] = clip(0.35 * math.MaxInt16 * soft * math.Sin(2*math.Pi*phase))
		phase += hz / Rate
	}
	return n
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
