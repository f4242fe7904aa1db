package phone

import (
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/rtp"
)

const (
	keyFrames   = 5 // 100 ms of a key
	pauseFrames = 3 // 60 ms of sound after it
	keyEnds     = 3 // the last packet of an event is sent thrice (RFC 4733 §2.5.1.4)
	keyVolume   = 10
	maxKeys     = 256 // remembered of a call
)

// A keypress is a digit that waits to be sent.
type keypress struct {
	code uint8
	sent chan struct{} // closed when it is
}

// A press is a digit being sent.
type press struct {
	key       keypress
	frames    int // that are done
	timestamp uint32
	sounding  bool // this frame belongs to the key, not to the pause after it
}

// A piece is one packet of a press.
type piece struct {
	event     rtp.Event
	timestamp uint32
	first     bool
}

func (p *press) active() bool { return p.key.sent != nil }

func (p *press) begin(k keypress) { *p = press{key: k} }

// abort ends a press that cannot be sent.
func (p *press) abort() {
	if p.active() {
		close(p.key.sent)
		*p = press{}
	}
}

// next is what to send in the frame at timestamp.
func (p *press) next(timestamp uint32) []piece {
	if p.frames == 0 {
		p.timestamp = timestamp
	}
	p.frames++
	p.sounding = p.frames <= keyFrames
	if !p.sounding {
		if p.frames == keyFrames+pauseFrames {
			p.abort()
		}
		return nil
	}
	last := p.frames == keyFrames
	e := piece{
		event:     rtp.Event{Code: p.key.code, End: last, Volume: keyVolume, Duration: uint16(p.frames * audio.Frame)},
		timestamp: p.timestamp, first: p.frames == 1,
	}
	if !last {
		return []piece{e}
	}
	pieces := make([]piece, keyEnds)
	for i := range pieces {
		pieces[i] = e
	}
	return pieces
}

// keys are the digits that were heard.
type keys struct {
	text      []byte
	ssrc      uint32
	timestamp uint32
	any       bool
}

// take notes an event packet. All packets of one event have one timestamp
// (RFC 4733 §2.2), so a key counts with the first that arrives.
func (k *keys) take(h rtp.Header, e rtp.Event) {
	if k.any && k.ssrc == h.SSRC && int32(h.Timestamp-k.timestamp) <= 0 {
		return
	}
	digit, ok := e.Digit()
	if !ok || len(k.text) >= maxKeys {
		return
	}
	k.any, k.ssrc, k.timestamp = true, h.SSRC, h.Timestamp
	k.text = append(k.text, digit)
}
