package phone

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/rtp"
)

// pace is the time of one packet.
const pace = 20 * time.Millisecond

// A stream is the state of what is sent. The sending goroutine owns it.
type stream struct {
	ssrc  uint32
	seq   uint16
	base  uint32 // timestamp of the first frame
	talk  bool   // the last frame was sent, so the next needs no marker
	key   press  // the digit being sent
	frame [audio.Frame]int16
	buf   []byte
}

// send plays a frame every 20 ms of absolute time, so that a late wake-up shifts
// nothing: the next packet is due when it always was.
func (m *Media) send(stop <-chan struct{}) {
	select {
	case <-m.aimed:
	case <-stop:
		return
	}
	s := &stream{ssrc: rand.Uint32(), seq: uint16(rand.Uint32()), base: rand.Uint32()}
	begun := time.Now()
	m.mu.Lock()
	m.begun = begun
	m.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := uint32(0); ; n++ {
		timer.Reset(time.Until(begun.Add(time.Duration(n) * pace)))
		for due := false; !due; {
			digits := m.digits
			if s.key.active() {
				digits = nil // one at a time
			}
			select {
			case <-timer.C:
				due = true
			case k := <-digits:
				s.key.begin(k)
			case <-stop:
				return
			}
		}
		m.frame(s, s.base+n*audio.Frame)
	}
}

// frame sends what is due at timestamp: a piece of a digit, or of the sound.
func (m *Media) frame(s *stream, timestamp uint32) {
	m.mu.Lock()
	sound := m.sound
	m.mu.Unlock()
	sound.Fill(s.frame[:]) // without the lock: a sound may be made of what is heard
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.target
	if m.silent || !t.send || !m.ended.IsZero() {
		s.talk = false
		s.key.abort()
		return
	}
	if s.key.active() {
		for _, e := range s.key.next(timestamp) {
			h := rtp.Header{Marker: e.first, PayloadType: t.events, Timestamp: e.timestamp}
			m.write(s, h, e.event.Append)
		}
		if s.key.sounding {
			s.talk = false
			return
		}
	}
	encode := rtp.EncodePCMU
	if t.codec == PCMA {
		encode = rtp.EncodePCMA
	}
	h := rtp.Header{Marker: !s.talk, PayloadType: t.codec.payload(), Timestamp: timestamp}
	m.write(s, h, func(b []byte) []byte {
		for _, v := range s.frame {
			b = append(b, encode(v))
		}
		return b
	})
	s.talk = true
}

// write sends one packet. The lock is held.
func (m *Media) write(s *stream, h rtp.Header, payload func([]byte) []byte) {
	h.SSRC, h.Sequence = s.ssrc, s.seq
	s.seq++
	s.buf = payload(h.Append(s.buf[:0]))
	if _, err := m.conn.WriteToUDPAddrPort(s.buf, m.target.to); err == nil {
		m.sent++
	}
}

// SendDigits sends the keys 0–9, *, #, A–D as telephone events (RFC 4733), 100 ms
// each and 60 ms apart, and returns when the last is sent.
func (c *Call) SendDigits(ctx context.Context, digits string) error {
	m := c.media
	m.mu.Lock()
	ready := m.target.events != 0
	m.mu.Unlock()
	if !ready {
		return ErrNoEvents
	}
	for i := range len(digits) {
		code, ok := rtp.EventCode(digits[i])
		if !ok {
			return fmt.Errorf("phone: %q is not a key of a telephone", digits[i])
		}
		k := keypress{code: code, sent: make(chan struct{})}
		select {
		case m.digits <- k:
		case <-c.done:
			return ErrOver
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-k.sent:
		case <-c.done:
			return ErrOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
