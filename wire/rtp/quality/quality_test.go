package quality_test

import (
	"math"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/rtp/quality"
)

func near(got, want, by float64) bool { return math.Abs(got-want) <= by }

// The pairs of G.107 Annex B, table B.1.
func TestMOSOfRating(t *testing.T) {
	for r, want := range map[float64]float64{90: 4.34, 80: 4.03, 70: 3.60, 60: 3.10, 50: 2.58, 93.2: 4.41, -1: 1, 0: 1, 3: 1, 100: 4.5, 120: 4.5} {
		if got := quality.MOS(r); !near(got, want, 0.01) {
			t.Errorf("R %v: MOS %.3f, want %v", r, got, want)
		}
	}
	for r := 0.0; r < 100; r++ {
		if quality.MOS(r+1) < quality.MOS(r) {
			t.Errorf("MOS falls after R %v", r)
		}
	}
}

func TestRate(t *testing.T) {
	for name, c := range map[string]struct {
		in   quality.Input
		r, d float64 // the rating, and by how much it may differ
	}{
		"nothing wrong":                      {quality.Input{Codec: "PCMA"}, 92.4, 0.5},
		"G.729, nothing wrong":               {quality.Input{Codec: "g729"}, 92.4 - 11, 0.5},
		"one in a hundred lost":              {quality.Input{Codec: "PCMU", Loss: 0.01}, 92.4 - 95*1/26.1, 0.5},
		"one in ten lost":                    {quality.Input{Codec: "PCMU", Loss: 0.1}, 92.4 - 95*10/35.1, 0.5},
		"one in a hundred lost with G.729":   {quality.Input{Codec: "G729", Loss: 0.01}, 92.4 - 11 - 84*1/20., 0.5},
		"far away: 300 ms from mouth to ear": {quality.Input{Codec: "PCMU", RoundTrip: 520 * time.Millisecond}, 74, 3},
		"everything lost":                    {quality.Input{Loss: 1}, 92.4 - 95*100/125.1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quality.Rate(c.in); !near(got.R, c.r, c.d) || got.MOS != quality.MOS(got.R) {
				t.Errorf("%+v, want R %.1f", got, c.r)
			}
		})
	}
}

// What is worse must not be rated better, whatever comes in.
func TestWorseIsNotBetter(t *testing.T) {
	for _, codec := range []string{"PCMU", "G722", "GSM", "G726-32", "G729", "iLBC", "opus", "speex", "unheard of", ""} {
		last := 100.0
		for _, jitter := range []time.Duration{-1, 0, time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, time.Second, math.MaxInt64} {
			s := quality.Rate(quality.Input{Codec: codec, Jitter: jitter})
			if s.R > last || s.MOS < 1 || s.MOS > 4.5 || s.Loss > 1 || s.Delay < 0 {
				t.Errorf("%s with jitter %v: %+v after R %.2f", codec, jitter, s, last)
			}
			last = s.R
		}
		last = 100.0
		for _, trip := range []time.Duration{-time.Second, 0, time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, time.Hour} {
			s := quality.Rate(quality.Input{Codec: codec, RoundTrip: trip})
			if s.R > last {
				t.Errorf("%s with a round trip of %v: %+v after R %.2f", codec, trip, s, last)
			}
			last = s.R
		}
	}
}

// A phone's buffer hides small jitter and pays for it with delay; large jitter
// costs packets.
func TestJitterCostsDelayThenLoss(t *testing.T) {
	small := quality.Rate(quality.Input{Jitter: 2 * time.Millisecond})
	large := quality.Rate(quality.Input{Jitter: 100 * time.Millisecond})
	if small.Loss > 0.003 || small.Delay != 40*time.Millisecond {
		t.Errorf("2 ms: %+v", small)
	}
	if !near(large.Loss, math.Exp(-2), 1e-9) || large.Delay != 220*time.Millisecond {
		t.Errorf("100 ms: %+v", large)
	}
}
