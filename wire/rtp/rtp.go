// Package rtp reads and writes RTP and RTCP headers, RFC 4733 telephone events
// and G.711 samples, and keeps a receiver's loss and jitter (RFC 3550). Nothing
// here allocates, opens a socket or reads a clock: who forwards packets is in
// relay, who makes and hears sound is in core/voice and phone.
package rtp

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the length of a header without CSRCs and extension, in bytes.
const HeaderSize = 12

// Errors of Parse.
var (
	ErrShort   = errors.New("rtp: packet shorter than its header says")
	ErrVersion = errors.New("rtp: not version 2")
)

// A Header is the fixed part of an RTP header (RFC 3550 §5.1).
type Header struct {
	Marker      bool
	PayloadType uint8 // 7 bits
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
}

// Parse reads the header of packet b and steps over CSRCs, extension and
// padding. The payload is borrowed from b.
func Parse(b []byte) (h Header, payload []byte, err error) {
	if len(b) < HeaderSize {
		return h, nil, ErrShort
	}
	if b[0]>>6 != 2 {
		return h, nil, ErrVersion
	}
	h = Header{
		Marker:      b[1]&0x80 != 0,
		PayloadType: b[1] & 0x7f,
		Sequence:    binary.BigEndian.Uint16(b[2:]),
		Timestamp:   binary.BigEndian.Uint32(b[4:]),
		SSRC:        binary.BigEndian.Uint32(b[8:]),
	}
	start, end := HeaderSize+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 { // extension: 4 bytes, the last two count the words that follow
		if start+4 > end {
			return h, nil, ErrShort
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	if b[0]&0x20 != 0 { // padding: its last byte counts it, itself included
		if b[end-1] == 0 {
			return h, nil, ErrShort
		}
		end -= int(b[end-1])
	}
	if start > end {
		return h, nil, ErrShort
	}
	return h, b[start:end], nil
}

// Append appends the 12 bytes of h to b; the payload follows.
func (h Header) Append(b []byte) []byte {
	second := h.PayloadType & 0x7f
	if h.Marker {
		second |= 0x80
	}
	b = append(b, 0x80, second)
	b = binary.BigEndian.AppendUint16(b, h.Sequence)
	b = binary.BigEndian.AppendUint32(b, h.Timestamp)
	return binary.BigEndian.AppendUint32(b, h.SSRC)
}

// A Kind is what a datagram on a media port looks like (RFC 7983, RFC 5761 §4).
type Kind uint8

// The kinds that are told apart.
const (
	Garbage Kind = iota // none of the others, or too short
	RTP
	RTCP
	STUN
	DTLS
	kinds
)

// String names k as metrics do.
func (k Kind) String() string {
	return [kinds]string{"garbage", "rtp", "rtcp", "stun", "dtls"}[k%kinds]
}

const stunCookie = 0x2112A442

// KindOf looks at the first bytes of a datagram. It checks no more than its
// name says: the rest of the packet may still be malformed.
func KindOf(b []byte) Kind {
	switch {
	case len(b) < 8:
		return Garbage
	case b[0]>>6 == 2:
		// With the marker bit, RTCP's types 192 to 223 are payload types 64 to 95,
		// which RTP must not use beside RTCP.
		if b[1] >= 192 && b[1] <= 223 {
			return RTCP
		}
		if len(b) >= HeaderSize {
			return RTP
		}
	case b[0] < 4 && len(b) >= 20 && binary.BigEndian.Uint32(b[4:]) == stunCookie:
		return STUN
	case b[0] >= 20 && b[0] < 64 && len(b) >= 13:
		return DTLS
	}
	return Garbage
}
