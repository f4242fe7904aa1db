package rtp

import "math/bits"

// Static payload types of G.711 (RFC 3551 §6). Both run at 8000 Hz, one byte a
// sample.
const (
	PCMU = 0
	PCMA = 8
)

// Silence of the two laws: the byte that decodes to the value nearest zero.
const (
	SilencePCMU = 0xff
	SilencePCMA = 0xd5
)

var (
	fromPCMU = table(expandMu)
	fromPCMA = table(expandA)
)

func table(expand func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = expand(byte(i))
	}
	return t
}

// DecodePCMU is the 16-bit linear sample of a µ-law byte.
func DecodePCMU(b byte) int16 { return fromPCMU[b] }

// DecodePCMA is the 16-bit linear sample of an A-law byte.
func DecodePCMA(b byte) int16 { return fromPCMA[b] }

const (
	muBias = 0x84
	muClip = 32635
)

// EncodePCMU is the µ-law byte nearest to a 16-bit linear sample (ITU-T G.711).
func EncodePCMU(s int16) byte {
	v, sign := int32(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, muClip) + muBias
	exponent := bits.Len32(uint32(v)) - 8
	return ^(sign | byte(exponent)<<4 | byte(v>>(exponent+3))&0x0f)
}

func expandMu(b byte) int16 {
	b = ^b
	v := (int32(b&0x0f)<<3+muBias)<<(b>>4&7) - muBias
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// EncodePCMA is the A-law byte nearest to a 16-bit linear sample (ITU-T G.711).
func EncodePCMA(s int16) byte {
	v, sign := int32(s)>>3, byte(0x80) // 13 bits are coded
	if v < 0 {
		v, sign = ^v, 0
	}
	code := byte(v >> 1)
	if exponent := bits.Len32(uint32(v)) - 5; exponent > 0 {
		code = byte(exponent)<<4 | byte(v>>exponent)&0x0f
	}
	return (sign | code) ^ 0x55
}

func expandA(b byte) int16 {
	b ^= 0x55
	v := int32(b&0x0f)<<4 + 8
	if exponent := b >> 4 & 7; exponent > 0 {
		v = (v + 0x100) << (exponent - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}
