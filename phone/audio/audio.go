// Package audio is what the project's own phone plays and how it judges what it
// hears: tones, recordings, a delay marker, a Goertzel judge and an estimate of
// quality. It works on 8 kHz mono samples in memory or in a WAV file. It knows no
// packet and no clock; sockets and pacing live in phone.
package audio

import "math"

// Rate is the sampling rate of every sample in this package, per second.
const Rate = 8000

// Frame is the number of samples of one packet: 20 ms.
const Frame = Rate / 50

// A Source is a sound that goes on for ever: Fill writes the next len(frame)
// samples. It is used by one goroutine at a time.
type Source interface {
	Fill(frame []int16)
}

// Silence is the Source of nothing.
type Silence struct{}

// Fill writes zeroes.
func (Silence) Fill(frame []int16) { clear(frame) }

// A Tone is a Source of one or more sines of equal level that together stay
// within full scale. Make one with NewTone.
type Tone struct {
	hz    []float64
	phase []float64
	peak  float64 // of each sine
}

// DefaultLevel is the level of a tone in dB below a full-scale sine: loud, with
// room for two.
const DefaultLevel = -12.0

// NewTone is a tone of the given frequencies in Hz, each at level dB relative to
// a full-scale sine (negative). Frequencies must be below Rate/2.
func NewTone(level float64, hz ...float64) *Tone {
	return &Tone{hz: hz, phase: make([]float64, len(hz)), peak: math.MaxInt16 * math.Pow(10, level/20)}
}

// Fill writes the next samples of the tone; its phase goes on from frame to
// frame, so there is no click between packets.
func (t *Tone) Fill(frame []int16) {
	for i := range frame {
		sum := 0.0
		for k := range t.hz {
			sum += t.peak * math.Sin(2*math.Pi*t.phase[k])
			_, t.phase[k] = math.Modf(t.phase[k] + t.hz[k]/Rate)
		}
		frame[i] = clip(sum)
	}
}

// A Loop is a Source that plays samples again and again. Without samples it is
// silent.
type Loop struct {
	samples []int16
	at      int
}

// NewLoop plays samples for ever. It keeps the slice.
func NewLoop(samples []int16) *Loop { return &Loop{samples: samples} }

// Fill writes the next samples of the recording.
func (l *Loop) Fill(frame []int16) {
	clear(frame)
	if len(l.samples) == 0 {
		return
	}
	for n := 0; n < len(frame); {
		k := copy(frame[n:], l.samples[l.at:])
		n += k
		l.at = (l.at + k) % len(l.samples)
	}
}

// clip rounds v to a sample.
func clip(v float64) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(v))))
}
