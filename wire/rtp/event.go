package rtp

import "encoding/binary"

// An Event is the payload of a telephone-event packet (RFC 4733 §2.3).
type Event struct {
	Code     uint8 // 0–9, 10 *, 11 #, 12–15 A–D, 16 flash
	End      bool
	Volume   uint8  // of the tone, in -dBm0, 0 to 63
	Duration uint16 // so far, in timestamp units
}

// EventSize is the length of an event payload, in bytes.
const EventSize = 4

// ParseEvent reads a payload. More than four bytes are allowed and ignored.
func ParseEvent(b []byte) (Event, bool) {
	if len(b) < EventSize {
		return Event{}, false
	}
	return Event{
		Code: b[0], End: b[1]&0x80 != 0, Volume: b[1] & 0x3f,
		Duration: binary.BigEndian.Uint16(b[2:]),
	}, true
}

// Append appends the four bytes of e to b.
func (e Event) Append(b []byte) []byte {
	second := e.Volume & 0x3f
	if e.End {
		second |= 0x80
	}
	return binary.BigEndian.AppendUint16(append(b, e.Code, second), e.Duration)
}

const digits = "0123456789*#ABCD"

// Digit is the key that e.Code stands for; ok is false when it is no key.
func (e Event) Digit() (digit byte, ok bool) {
	if int(e.Code) >= len(digits) {
		return 0, false
	}
	return digits[e.Code], true
}

// EventCode is the code of a key: 0–9, *, #, A–D or a–d.
func EventCode(digit byte) (code uint8, ok bool) {
	if digit >= 'a' && digit <= 'd' {
		digit -= 'a' - 'A'
	}
	for i := range digits {
		if digits[i] == digit {
			return uint8(i), true
		}
	}
	return 0, false
}
