package phone

import (
	"time"

	"github.com/lindero/lindero/phone/audio"
)

// A Report is what is known of a call's sound.
type Report struct {
	Codec      Codec
	Sent       uint64 // packets
	Received   uint64
	Lost       uint64 // of those that were sent to us, by their numbers
	Reordered  uint64
	Duplicate  uint64
	Foreign    uint64 // datagrams that were not sound we agreed on
	Jitter     time.Duration
	Length     time.Duration   // from the first sound heard to the end
	Mute       time.Duration   // the part at its end in which nothing came any more
	Loud       float64         // part of it that was not silence, 0 to 1
	Tones      []audio.Verdict // of the frequencies asked about, in their order
	Strongest  float64         // Hz; 0 when there was no tone
	Echo       bool            // our own delay marker came back
	RoundTrip  time.Duration   // after this time; 0 without Echo
	Digits     string          // heard as telephone events
	MOS        float64         // 1 to 4.5, of what we heard; 0 when that was nothing
	LossShare  float64         // 0 to 1
	OneWayPart time.Duration   // delay one way that MOS assumes
}

// assumedDelay is taken for the network's when no echo tells the true one.
const assumedDelay = 20 * time.Millisecond

// Counts are the cheap part of Report: packets and jitter, nothing of what they
// sound like.
func (m *Media) Counts() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts()
}

// counts fills in what needs no listening. The lock is held.
func (m *Media) counts() Report {
	stats := m.rx.Stats()
	r := Report{
		Codec: m.target.codec, Sent: m.sent, Received: stats.Received, Lost: stats.Lost,
		Reordered: stats.Reordered, Duplicate: stats.Duplicate, Foreign: m.bad,
		Jitter: time.Duration(stats.Jitter) * time.Second / audio.Rate,
		Digits: string(m.keys.text),
	}
	if stats.Expected > 0 {
		r.LossShare = float64(stats.Lost) / float64(stats.Expected)
	}
	return r
}

// Report judges the call's sound so far; hz are the frequencies to listen for. The
// time in which the peer pressed keys is not judged: no sound comes then.
// Echo is looked for when what is played is an *audio.Marked.
func (m *Media) Report(hz ...float64) Report {
	m.mu.Lock()
	r, samples := m.counts(), m.recording()
	r.Length = time.Duration(len(samples)) * time.Second / audio.Rate
	r.Mute = time.Duration(len(samples)-m.heard.last()) * time.Second / audio.Rate
	spoken := m.heard.withoutKeys(samples)
	began, heard := m.begun, m.heard.begun
	marked, _ := m.sound.(*audio.Marked)
	m.mu.Unlock()

	r.Loud = audio.Loud(spoken)
	r.Tones = audio.Judge(spoken, hz...)
	r.Strongest, _ = audio.Dominant(spoken)
	if marked != nil && !heard.IsZero() && !began.IsZero() {
		r.RoundTrip, r.Echo = marked.Delay(samples, heard.Sub(began))
		r.RoundTrip = max(0, r.RoundTrip)
	}
	if r.Received > 0 {
		// A packet's own length, a buffer of twice the jitter, and the network.
		r.OneWayPart = pace + 2*r.Jitter + assumedDelay
		if r.Echo {
			r.OneWayPart = pace + 2*r.Jitter + r.RoundTrip/2
		}
		r.MOS = audio.MOS(r.OneWayPart, r.LossShare)
	}
	return r
}

// Heard tells whether hz sounded for most of the time we listened.
func (r Report) Heard(hz float64) bool {
	for _, v := range r.Tones {
		if v.Hz == hz && v.Heard && v.Share >= 0.8 {
			return true
		}
	}
	return false
}
