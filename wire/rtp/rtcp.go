package rtp

import (
	"encoding/binary"
	"time"
)

// RTCP packet types (RFC 3550 §12.1).
const (
	TypeSR   = 200
	TypeRR   = 201
	TypeSDES = 202
	TypeBYE  = 203
	TypeAPP  = 204
)

// An RTCPPacket is one packet of a compound. Body is what follows the 4 bytes of
// its header, borrowed.
type RTCPPacket struct {
	Type  uint8
	Count uint8 // of reports, chunks or sources, by type
	Body  []byte
}

// NextRTCP takes the first packet off a compound. ok is false at its end and
// when the rest is malformed.
func NextRTCP(b []byte) (p RTCPPacket, rest []byte, ok bool) {
	if len(b) < 4 || b[0]>>6 != 2 {
		return p, nil, false
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		return p, nil, false
	}
	return RTCPPacket{Type: b[1], Count: b[0] & 0x1f, Body: b[4:n]}, b[n:], true
}

// A SenderInfo is the first part of a sender report (RFC 3550 §6.4.1).
type SenderInfo struct {
	SSRC      uint32
	NTP       uint64 // 32.32 fixed point seconds since 1900
	Timestamp uint32 // the same moment in the stream's clock
	Packets   uint32
	Bytes     uint32 // of payload
}

// A Report is one reception report block (RFC 3550 §6.4.1).
type Report struct {
	SSRC     uint32 // of the stream reported on
	Fraction uint8  // lost since the last report, of 256
	Lost     int32  // in all, 24 bits
	Highest  uint32 // extended sequence number
	Jitter   uint32 // in timestamp units
	LastSR   uint32 // middle 32 bits of the NTP time of the last SR
	Delay    uint32 // since that SR, in 1/65536 s
}

const (
	senderInfoSize = 24 // with the SSRC
	reportSize     = 24
)

// Sender reads the sender's part of an SR.
func (p RTCPPacket) Sender() (s SenderInfo, ok bool) {
	if p.Type != TypeSR || len(p.Body) < senderInfoSize {
		return s, false
	}
	return SenderInfo{
		SSRC:      binary.BigEndian.Uint32(p.Body),
		NTP:       binary.BigEndian.Uint64(p.Body[4:]),
		Timestamp: binary.BigEndian.Uint32(p.Body[12:]),
		Packets:   binary.BigEndian.Uint32(p.Body[16:]),
		Bytes:     binary.BigEndian.Uint32(p.Body[20:]),
	}, true
}

// Report reads report block i of an SR or RR.
func (p RTCPPacket) Report(i int) (r Report, ok bool) {
	at := 4
	switch p.Type {
	case TypeSR:
		at = senderInfoSize
	case TypeRR:
	default:
		return r, false
	}
	if at += i * reportSize; i < 0 || i >= int(p.Count) || at+reportSize > len(p.Body) {
		return r, false
	}
	b := p.Body[at:]
	lost := binary.BigEndian.Uint32(b[4:])
	return Report{
		SSRC:     binary.BigEndian.Uint32(b),
		Fraction: uint8(lost >> 24),
		Lost:     int32(lost<<8) >> 8, // sign-extends 24 bits
		Highest:  binary.BigEndian.Uint32(b[8:]),
		Jitter:   binary.BigEndian.Uint32(b[12:]),
		LastSR:   binary.BigEndian.Uint32(b[16:]),
		Delay:    binary.BigEndian.Uint32(b[20:]),
	}, true
}

// AppendSR appends a sender report with at most 31 reports.
func AppendSR(b []byte, s SenderInfo, reports ...Report) []byte {
	b = appendRTCPHeader(b, TypeSR, len(reports), senderInfoSize+reportSize*len(reports))
	b = binary.BigEndian.AppendUint32(b, s.SSRC)
	b = binary.BigEndian.AppendUint64(b, s.NTP)
	b = binary.BigEndian.AppendUint32(b, s.Timestamp)
	b = binary.BigEndian.AppendUint32(b, s.Packets)
	b = binary.BigEndian.AppendUint32(b, s.Bytes)
	return appendReports(b, reports)
}

// AppendRR appends a receiver report of ssrc with at most 31 reports.
func AppendRR(b []byte, ssrc uint32, reports ...Report) []byte {
	b = appendRTCPHeader(b, TypeRR, len(reports), 4+reportSize*len(reports))
	b = binary.BigEndian.AppendUint32(b, ssrc)
	return appendReports(b, reports)
}

// AppendCNAME appends an SDES packet with the one item every compound must have
// (RFC 3550 §6.1). name is cut after 255 bytes.
func AppendCNAME(b []byte, ssrc uint32, name string) []byte {
	name = name[:min(len(name), 255)]
	size := 4 + 2 + len(name) + 1
	pad := (4 - size%4) % 4
	b = appendRTCPHeader(b, TypeSDES, 1, size+pad)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, 1, byte(len(name)))
	b = append(b, name...)
	for range 1 + pad {
		b = append(b, 0)
	}
	return b
}

func appendRTCPHeader(b []byte, kind uint8, count, body int) []byte {
	b = append(b, 0x80|byte(count&0x1f), kind)
	return binary.BigEndian.AppendUint16(b, uint16(body/4))
}

func appendReports(b []byte, reports []Report) []byte {
	for _, r := range reports {
		b = binary.BigEndian.AppendUint32(b, r.SSRC)
		b = binary.BigEndian.AppendUint32(b, uint32(r.Fraction)<<24|uint32(min(max(r.Lost, -0x800000), 0x7fffff))&0xffffff)
		b = binary.BigEndian.AppendUint32(b, r.Highest)
		b = binary.BigEndian.AppendUint32(b, r.Jitter)
		b = binary.BigEndian.AppendUint32(b, r.LastSR)
		b = binary.BigEndian.AppendUint32(b, r.Delay)
	}
	return b
}

// NTP is t as RTCP writes it: seconds since 1900 in 32.32 fixed point.
func NTP(t time.Time) uint64 {
	const from1900to1970 = 2208988800
	seconds := uint64(t.Unix()+from1900to1970) << 32
	return seconds | uint64(t.Nanosecond())<<32/1e9
}
