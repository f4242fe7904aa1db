// Package quality says what a call sounds like by what is known of its packets:
// the E-model of ITU-T G.107, which rates a connection from 0 to 100 (R) by adding
// up what harms it, and the mean opinion score (MOS, 1 to 4.5) that goes with it.
// It hears nothing: a call of silence rates as well as one of speech.
package quality

import (
	"math"
	"strings"
	"time"
)

// Input is what is known of one direction of a call. The zero Input is a perfect
// path with G.711.
type Input struct {
	Codec     string        // by its name in SDP, in any case; unknown ones count as G.711
	Loss      float64       // share of the packets that never came, 0 to 1
	Jitter    time.Duration // mean deviation, as RFC 3550 A.8 has it
	RoundTrip time.Duration // from one end to the other and back; 0: not known, taken for none
}

// A Score is what the E-model makes of an Input.
type Score struct {
	R     float64       // rating factor, 0 to 93.2
	MOS   float64       // 1 to 4.41
	Delay time.Duration // from mouth to ear, that of jitter buffer and codec included
	Loss  float64       // with the packets that come too late to be played
}

// Rate rates one direction of a call: R = Ro − Is − Id − Ie,eff (G.107 §7.1), with
// Ro − Is at its default of 93.2, and no advantage factor.
func Rate(in Input) Score {
	c := codecOf(in.Codec)
	buffer, late := playout(in.Jitter)
	lost := min(max(in.Loss, 0), 1)
	s := Score{
		Delay: max(in.RoundTrip, 0)/2 + buffer + c.delay,
		Loss:  lost + (1-lost)*late,
	}
	s.R = max(best-delayed(s.Delay)-c.impairment(s.Loss), 0)
	s.MOS = MOS(s.R)
	return s
}

// MOS turns a rating into the mean opinion score of conversation, by Annex B of
// G.107.
func MOS(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	// The formula has a dip just below 1 for ratings under 6.5.
	return max(1+0.035*r+r*(r-60)*(100-r)*7e-6, 1)
}

// best is Ro − Is with all parameters at their defaults (G.107 table 3).
const best = 93.2

// delayed is Id, what a one-way delay from mouth to ear costs, for telephones whose
// echo is as in G.107's defaults: the delay itself (Idd) and the echo that it lets
// the talker hear (Idte, with TELR = 65 dB). The listener's echo is nothing at
// these defaults.
func delayed(d time.Duration) float64 {
	ms := float64(d) / float64(time.Millisecond)
	id := 0.0
	if ms > 100 {
		x := math.Log2(ms / 100)
		id = 25 * (sixth(x) - 3*sixth(x/3) + 2)
	}
	// Idte, formulas 7-19 to 7-22.
	const telr, roe = 65.0, 94.77
	terv := telr - 40*math.Log10((1+ms/10)/(1+ms/150)) + 6*math.Exp(-0.3*ms*ms)
	re := 80 + 2.5*(terv-14)
	half := (roe - re) / 2
	return id + (half+math.Sqrt(half*half+100)-1)*(1-math.Exp(-ms))
}

func sixth(x float64) float64 { return math.Pow(1+math.Pow(x, 6), 1.0/6) }

// How an adaptive jitter buffer of a telephone plays a stream. This is an
// assumption, no standard's: the buffer holds six times the mean deviation, at
// least a packet and at most 200 ms.
const (
	deviations  = 6
	leastBuffer = 20 * time.Millisecond
	mostBuffer  = 200 * time.Millisecond
)

// playout is the delay of the jitter buffer, and the share of the packets that
// come too late for it. Delays whose differences have the mean deviation j by RFC
// 3550 are taken as exponential with the mean j.
func playout(j time.Duration) (buffer time.Duration, late float64) {
	if j <= 0 {
		return leastBuffer, 0
	}
	buffer = min(max(deviations*min(j, mostBuffer), leastBuffer), mostBuffer)
	return buffer, math.Exp(-float64(buffer) / float64(j))
}

// impairment is Ie,eff for a share of lost packets that are lost at random
// (BurstR = 1), G.107 formula 7-29.
func (c codec) impairment(lost float64) float64 {
	ppl := 100 * lost
	return c.ie + (95-c.ie)*ppl/(ppl+c.bpl)
}

// A codec is what the E-model knows of one.
type codec struct {
	name  string
	ie    float64       // equipment impairment factor
	bpl   float64       // packet-loss robustness factor
	delay time.Duration // of a 20 ms packet and what the coder looks ahead
}

// codecs have their values by ITU-T G.113 Appendix I where it has them. All others
// are estimates, said so: they order calls rightly, no more. Wideband codecs are
// rated on the scale of the telephone band, whose best is G.711; what they are
// better than that is not seen.
var codecs = [...]codec{
	// Appendix I: with the concealment of G.711 Appendix I, which telephones have
	// today; without any, Bpl is 4.3.
	{"PCMU", 0, 25.1, 20 * time.Millisecond},
	{"PCMA", 0, 25.1, 20 * time.Millisecond},
	// Estimates: nothing lost of the telephone band, concealed as G.711 is.
	{"G722", 0, 25.1, 22 * time.Millisecond},
	// Ie of full rate by Appendix I; Bpl estimated as that of GSM-EFR there.
	{"GSM", 20, 10, 20 * time.Millisecond},
	// Ie of 40, 32, 24 and 16 kbit/s by Appendix I; Bpl estimated: the predictor goes
	// wrong for a while after a loss, as that of GSM does.
	{"G726-40", 2, 10, 20 * time.Millisecond},
	{"G726-32", 7, 10, 20 * time.Millisecond},
	{"G726-24", 25, 10, 20 * time.Millisecond},
	{"G726-16", 50, 10, 20 * time.Millisecond},
	// Appendix I: Annex A with VAD, which most telephones have.
	{"G729", 11, 19, 25 * time.Millisecond},
	// Estimates: near G.729 without loss, and made for losing packets.
	{"ILBC", 11, 32, 25 * time.Millisecond},
	// Estimates: at 32 kbit/s as good as the band allows, with concealment of its own.
	{"OPUS", 0, 25.1, 26500 * time.Microsecond},
	// Estimates: narrowband at 15 kbit/s.
	{"SPEEX", 11, 19, 30 * time.Millisecond},
}

func codecOf(name string) codec {
	for _, c := range codecs {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return codecs[0]
}
