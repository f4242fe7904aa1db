// Package frame builds Ethernet frames as phones, strangers and attackers send
// them, for tests and for the traffic generator. It writes what it is told, also
// what no host would send; it parses nothing and sends nothing.
package frame

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes of VLAN tags.
const (
	VLAN         uint16 = 0x8100
	ProviderVLAN uint16 = 0x88a8
)

// Protocol numbers and IPv6 next headers.
const (
	HopByHop       uint8 = 0
	ICMP           uint8 = 1
	TCP            uint8 = 6
	UDP            uint8 = 17
	Routing        uint8 = 43
	FragmentHeader uint8 = 44
	Authentication uint8 = 51
	ICMPv6         uint8 = 58
	NoNext         uint8 = 59
	Destination    uint8 = 60
	Mobility       uint8 = 135
)

// Flags of TCP.
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// A Frame says what to build. The zero Frame with Source and Destination is an
// empty UDP datagram.
type Frame struct {
	To, From            [6]byte
	Tags                []Tag
	Type                uint16 // EtherType; 0: that of the addresses
	Source, Destination netip.Addr
	TTL                 uint8       // 0: 64
	Options             []byte      // of IPv4, padded to four bytes with zeros
	Extensions          []Extension // of IPv6, in this order
	Fragment            *Fragment   // for IPv6 after Extensions
	Protocol            uint8       // 0: UDP. Of a protocol that is not UDP or TCP only the Payload is written
	SourcePort, Port    uint16
	Flags               uint8 // of TCP
	Payload             []byte
	Trailer             []byte // after the datagram, as short frames are padded
}

// A Tag is a VLAN tag. Type 0 is VLAN.
type Tag struct {
	Type uint16
	ID   uint16
}

// An Extension is an IPv6 extension header of 8 bytes and Data, which is padded.
type Extension struct {
	Type uint8
	Data []byte
}

// A Fragment says which part of a datagram the frame is. A later one (Offset not 0)
// has no ports: its Payload is the datagram's bytes.
type Fragment struct {
	Offset uint16 // in units of eight bytes
	More   bool
	ID     uint32
}

// Bytes is the frame. Lengths and checksums are right, so a host accepts it; who
// wants them wrong writes over them.
func (f Frame) Bytes() []byte {
	if f.Protocol == 0 {
		f.Protocol = UDP
	}
	if f.TTL == 0 {
		f.TTL = 64
	}
	b := append(append([]byte{}, f.To[:]...), f.From[:]...)
	for _, t := range f.Tags {
		if t.Type == 0 {
			t.Type = VLAN
		}
		b = binary.BigEndian.AppendUint16(b, t.Type)
		b = binary.BigEndian.AppendUint16(b, t.ID)
	}
	if f.Source.Is4() {
		b = f.ipv4(binary.BigEndian.AppendUint16(b, f.etherType(0x0800)))
	} else {
		b = f.ipv6(binary.BigEndian.AppendUint16(b, f.etherType(0x86dd)))
	}
	return append(b, f.Trailer...)
}

func (f Frame) etherType(natural uint16) uint16 {
	if f.Type != 0 {
		return f.Type
	}
	return natural
}

func (f Frame) ipv4(b []byte) []byte {
	options := pad(f.Options, 4)
	body := f.transport()
	var h [20]byte
	h[0] = 0x40 | uint8(5+len(options)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(options)+len(body)))
	h[8], h[9] = f.TTL, f.Protocol
	if f.Fragment != nil {
		binary.BigEndian.PutUint16(h[4:], uint16(f.Fragment.ID))
		part := f.Fragment.Offset & 0x1fff
		if f.Fragment.More {
			part |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], part)
	}
	copy(h[12:], f.Source.AsSlice())
	copy(h[16:], f.Destination.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^sum(sum(0, h[:]), options))
	return append(append(append(b, h[:]...), options...), body...)
}

func (f Frame) ipv6(b []byte) []byte {
	body := f.transport()
	next := f.Protocol
	if f.Fragment != nil {
		h := [8]byte{0: next}
		part := f.Fragment.Offset << 3
		if f.Fragment.More {
			part |= 1
		}
		binary.BigEndian.PutUint16(h[2:], part)
		binary.BigEndian.PutUint32(h[4:], f.Fragment.ID)
		body, next = append(h[:], body...), FragmentHeader
	}
	for i := len(f.Extensions) - 1; i >= 0; i-- {
		x := f.Extensions[i]
		h := append([]byte{next, 0, 0, 0, 0, 0, 0, 0}, x.Data...)
		if x.Type == Authentication {
			h = pad(h, 4)
			h[1] = uint8(len(h)/4 - 2)
		} else {
			h = pad(h, 8)
			h[1] = uint8(len(h)/8 - 1)
		}
		body, next = append(h, body...), x.Type
	}
	h := [40]byte{0: 0x60, 6: next, 7: f.TTL}
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	copy(h[8:], f.Source.AsSlice())
	copy(h[24:], f.Destination.AsSlice())
	return append(append(b, h[:]...), body...)
}

// transport is the UDP datagram, TCP segment or whatever else the payload is.
func (f Frame) transport() []byte {
	if f.Fragment != nil && f.Fragment.Offset != 0 || f.Protocol != UDP && f.Protocol != TCP {
		return append([]byte{}, f.Payload...)
	}
	size, check := 8, 6
	if f.Protocol == TCP {
		size, check = 20, 16
	}
	h := append(make([]byte, size), f.Payload...)
	binary.BigEndian.PutUint16(h, f.SourcePort)
	binary.BigEndian.PutUint16(h[2:], f.Port)
	if f.Protocol == TCP {
		h[12], h[13] = 5<<4, f.Flags
		binary.BigEndian.PutUint16(h[14:], 65535)
	} else {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)))
	}
	pseudo := append(append([]byte{}, f.Source.AsSlice()...), f.Destination.AsSlice()...)
	pseudo = append(pseudo, 0, f.Protocol, byte(len(h)>>8), byte(len(h)))
	c := ^sum(sum(0, pseudo), h)
	if c == 0 && f.Protocol == UDP {
		c = 0xffff // 0 means none
	}
	binary.BigEndian.PutUint16(h[check:], c)
	return h
}

// sum adds to a ones' complement sum (RFC 1071). All but the last b must be of even length.
func sum(s uint16, b []byte) uint16 {
	t := uint32(s)
	for i := 0; i+1 < len(b); i += 2 {
		t += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		t += uint32(b[len(b)-1]) << 8
	}
	for t>>16 != 0 {
		t = t&0xffff + t>>16
	}
	return uint16(t)
}

func pad(b []byte, to int) []byte {
	b = append([]byte{}, b...)
	for len(b)%to != 0 {
		b = append(b, 0)
	}
	return b
}
