package trial

import (
	"fmt"
	"math"
	"time"

	"github.com/lindero/lindero/phone"
)

// A Result is how a trial went, as `lindero dial --json` prints it.
type Result struct {
	OK          bool    `json:"ok"`
	Why         string  `json:"why,omitempty"` // one line, when not OK
	Answered    bool    `json:"answered"`
	SetupMS     float64 `json:"setup_ms"`
	Seconds     float64 `json:"seconds"` // talked
	Codec       string  `json:"codec,omitempty"`
	Sent        uint64  `json:"sent"`
	Received    uint64  `json:"received"`
	Lost        uint64  `json:"lost"`
	LossPercent float64 `json:"loss_percent"`
	Reordered   uint64  `json:"reordered"`
	Duplicate   uint64  `json:"duplicate"`
	JitterMS    float64 `json:"jitter_ms"`
	Expected    float64 `json:"expected_tone_hz"` // 0: any sound
	Strongest   float64 `json:"strongest_tone_hz"`
	ToneShare   float64 `json:"tone_share"`              // part of the time in which the expected tone sounded
	ToneLevel   float64 `json:"tone_level_db,omitempty"` // relative to a full-scale sine
	ToneGaps    int     `json:"tone_gaps"`
	Loud        float64 `json:"loud_share"` // part of the time that was not silence
	MuteMS      float64 `json:"mute_ms"`    // nothing came any more for so long at the end
	Echo        bool    `json:"echo"`       // what we played came back …
	RoundTripMS float64 `json:"round_trip_ms,omitempty"`
	MOS         float64 `json:"mos"`
	Digits      string  `json:"digits,omitempty"`
	Ended       string  `json:"ended,omitempty"`

	Recording []int16 `json:"-"` // what was heard, 8 kHz mono
}

// judge measures the call and decides.
func (t *trial) judge(call *phone.Call, talked time.Duration) Result {
	var ask []float64
	if t.plan.Expect > 0 {
		ask = []float64{t.plan.Expect}
	}
	report := call.Media().Report(ask...)
	r := Result{
		Answered: true, SetupMS: ms(call.Setup()), Seconds: round(talked.Seconds(), 1), Codec: call.Codec().String(),
		Sent: report.Sent, Received: report.Received, Lost: report.Lost, LossPercent: round(100*report.LossShare, 2),
		Reordered: report.Reordered, Duplicate: report.Duplicate, JitterMS: ms(report.Jitter),
		Expected: t.plan.Expect, Strongest: report.Strongest, Loud: round(report.Loud, 3), MuteMS: ms(max(0, report.Mute)),
		Echo: report.Echo, RoundTripMS: ms(report.RoundTrip), MOS: round(report.MOS, 2),
		Digits: report.Digits, Ended: call.End().Reason, Recording: call.Media().Recording(),
	}
	if len(report.Tones) > 0 && report.Tones[0].Heard {
		v := report.Tones[0]
		r.ToneShare, r.ToneLevel, r.ToneGaps = round(v.Share, 3), round(v.Level, 1), len(v.Gaps)
	}
	r.Why = r.fault(call.End())
	r.OK = r.Why == ""
	return r
}

// fault is the first thing that is wrong, "" when nothing is.
func (r *Result) fault(end phone.End) string {
	switch {
	case r.Received == 0 && r.Sent == 0:
		return "no audio went either way"
	case r.Received == 0:
		return fmt.Sprintf("no audio heard: %d packets sent, none received", r.Sent)
	case r.Sent == 0:
		return fmt.Sprintf("no audio sent: %d packets received", r.Received)
	case r.Loud < audible && (r.Expected == 0 || r.Strongest == 0):
		return fmt.Sprintf("no audio heard: %d packets of silence received", r.Received)
	case r.Expected > 0 && r.ToneShare == 0 && r.Strongest > 0:
		return fmt.Sprintf("heard %g Hz, not the expected %g Hz", r.Strongest, r.Expected)
	case r.Expected > 0 && r.ToneShare == 0:
		return fmt.Sprintf("heard sound, but not the expected %g Hz", r.Expected)
	case r.MuteMS >= ms(cutOff):
		return fmt.Sprintf("the sound stopped %.1f s before the end", r.MuteMS/1000)
	case r.Expected > 0 && r.ToneShare < wholesome:
		return fmt.Sprintf("heard the expected %g Hz only %.0f %% of the time", r.Expected, 100*r.ToneShare)
	case end.Err != nil:
		return fmt.Sprintf("%s: %v", end.Reason, end.Err)
	}
	return ""
}

func ms(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 1) }

func round(v float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(v*scale) / scale
}
