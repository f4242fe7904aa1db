package phone

import (
	"time"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/rtp"
)

// longestHeard bounds what is remembered of a call: ten minutes.
const longestHeard = 600 * audio.Rate

// A timeline puts what arrives where it belongs in time: packets by their
// timestamps, streams by when they began.
type timeline struct {
	samples []int16
	begun   time.Time // when the first sample was heard, the earliest the packets allow
	ssrc    uint32
	base    uint32 // timestamp of the stream at offset
	offset  int
	keys    []stretch // when keys were pressed, and nothing else could be heard
}

// A stretch is a part of a timeline, in samples.
type stretch struct{ from, to int }

// key notes an event packet: a key that was pressed at its timestamp and has
// lasted so long.
func (l *timeline) key(h rtp.Header, lasted uint16) {
	if l.begun.IsZero() || h.SSRC != l.ssrc {
		return
	}
	s := stretch{from: l.offset + int(int32(h.Timestamp-l.base))}
	s.to = s.from + int(lasted)
	switch n := len(l.keys); {
	case s.from < 0 || s.to > longestHeard:
	case n > 0 && l.keys[n-1].from == s.from:
		l.keys[n-1].to = max(l.keys[n-1].to, s.to)
	case n < maxKeys && (n == 0 || l.keys[n-1].to <= s.from):
		l.keys = append(l.keys, s)
	}
}

// last is where the sound, or a key, that came last ends.
func (l *timeline) last() int {
	end := len(l.samples)
	if n := len(l.keys); n > 0 {
		end = max(end, l.keys[n-1].to)
	}
	return end
}

// withoutKeys is samples without the time in which keys were pressed.
func (l *timeline) withoutKeys(samples []int16) []int16 {
	if len(l.keys) == 0 {
		return samples
	}
	var rest []int16
	at := 0
	for _, k := range l.keys {
		if k.from < len(samples) {
			rest = append(rest, samples[at:k.from]...)
			at = min(k.to, len(samples))
		}
	}
	return append(rest, samples[at:]...)
}

// put decodes a packet that arrived now into its place.
func (l *timeline) put(h rtp.Header, payload []byte, now time.Time, decode func(byte) int16) {
	if l.begun.IsZero() {
		l.begun, l.ssrc, l.base = now, h.SSRC, h.Timestamp
	}
	at := l.offset + int(int32(h.Timestamp-l.base))
	expected := int(now.Sub(l.begun) * audio.Rate / time.Second)
	if h.SSRC != l.ssrc || at < expected-audio.Rate || at > expected+audio.Rate {
		// Another stream, or the same with its clock set anew (a transfer, an
		// answer after early media): it goes on where it was heard.
		l.ssrc, l.base, l.offset = h.SSRC, h.Timestamp, expected
		at = expected
	}
	// The least delayed packet tells best when the first sample was heard.
	if early := now.Add(-time.Duration(at) * time.Second / audio.Rate); early.Before(l.begun) {
		l.begun = early
	}
	if at < 0 || at+len(payload) > longestHeard {
		return
	}
	if missing := at + len(payload) - len(l.samples); missing > 0 {
		l.samples = append(l.samples, make([]int16, missing)...)
	}
	for i, b := range payload {
		l.samples[at+i] = decode(b)
	}
}
