package livegen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// A Plan says what to send, out of which device.
type Plan struct {
	Network string // path of the network namespace the device is in; "": the caller's
	Device  string
	// FromMAC and ToMAC are written as they are. The zero ToMAC reaches no stack,
	// but an XDP program sees the packet.
	FromMAC, ToMAC net.HardwareAddr

	// Sources lie in From. Each packet has another one, drawn without repeating
	// until all were had (2^32 at most), or, when Sources is not 0, one of so many
	// that lie evenly in From, in turn. IPv6 sources differ in their /64. Of 0.0.0.0/0
	// come only unicast addresses.
	From     netip.Prefix
	Sources  uint32
	FromPort uint16 // 0: any from 1024 on

	To            netip.Addr
	ToPort, Ports uint16 // drawn from ToPort and the Ports-1 after it

	SYN     bool   // TCP packets that open a connection, instead of UDP
	Payload []byte // of UDP

	// Streams send RTP: packets go to one stream after the other, each with the next
	// sequence number and timestamp (20 ms of 8000 Hz) of its own. Payload begins
	// with room for the header, whose first two bytes stay as they are. FromPort,
	// ToPort and Ports are not used.
	Streams []Stream

	Rate      uint64 // packets a second; 0: as fast as the processor can
	Packets   uint64 // Run ends after so many; 0: when its context does
	Seed      uint32 // of the order in which sources are drawn
	Processor int    // Run stays on this one, counted from 1; 0: anywhere
	Nice      int    // of the sending thread, 0 to 19: how readily it leaves a processor to others
}

// A Stream is one of RTP, by its ports.
type Stream struct{ FromPort, ToPort uint16 }

const maxStreams = 32768

// Lengths of headers.
const (
	ethernet = 14
	ipv4     = 20
	ipv6     = 40
	udp      = 8
	tcp      = 20
	rtp      = 12
)

// A shape is a Plan as the program wants it.
type shape struct {
	frame        []byte // whole, with source and ports zero
	headers      int
	first, span  uint64
	step         uint64
	shift        uint32
	ipSum, l4Sum uint32
	interval     uint64
}

func (p Plan) check() error {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	fault(p.Device == "", "no device")
	fault(!p.From.IsValid() || !p.To.IsValid() || p.From.Addr().Is4() != p.To.Is4(), "From and To must be addresses of one family")
	fault(len(p.Payload) > 1400, "the payload does not fit into a packet")
	fault(p.SYN && len(p.Payload) > 0, "a SYN has no payload")
	fault(int(p.ToPort)+max(1, int(p.Ports))-1 > 65535, "there are not so many ports")
	fault(len(p.Streams) > maxStreams, "there are more streams than 32768")
	fault(len(p.Streams) > 0 && (p.SYN || len(p.Payload) < rtp || len(p.Payload)%2 != 0), "streams want an even payload of UDP with room for a header")
	fault(p.Rate > 1e9, "more than a packet a nanosecond")
	if len(faults) > 0 {
		return fmt.Errorf("livegen: %w", errors.Join(faults...))
	}
	return nil
}

// shape lays the packet out.
func (p Plan) shape() shape {
	s := shape{headers: ethernet + ipv4 + udp}
	if p.To.Is6() {
		s.headers += ipv6 - ipv4
	}
	if p.SYN {
		s.headers += tcp - udp
	}
	s.frame = make([]byte, s.headers+len(p.Payload))
	copy(s.frame[s.headers:], p.Payload)
	if len(p.Streams) > 0 {
		clear(s.frame[s.headers+2 : s.headers+rtp]) // the sum below is without what each packet has of its own
	}
	copy(s.frame[0:6], p.ToMAC)
	copy(s.frame[6:12], p.FromMAC)
	protocol := byte(17)
	if p.SYN {
		protocol = 6
	}
	ip := s.frame[ethernet:]
	var l4 []byte
	if p.To.Is4() {
		l4 = p.ipv4(ip, protocol)
		binary.BigEndian.PutUint16(s.frame[12:], 0x0800)
		s.ipSum = sum(ip[:ipv4])
	} else {
		l4 = p.ipv6(ip, protocol)
		binary.BigEndian.PutUint16(s.frame[12:], 0x86dd)
	}
	if p.SYN {
		binary.BigEndian.PutUint32(l4[4:], 0x1e7de40) // any sequence number does
		l4[12], l4[13] = tcp/4<<4, 0x02
		binary.BigEndian.PutUint16(l4[14:], 64240)
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	}
	pseudo := []byte{0, protocol, byte(len(l4) >> 8), byte(len(l4))}
	s.l4Sum = fold(uint64(sum(l4)) + uint64(sum(pseudo)) + uint64(sum(p.To.AsSlice())))
	s.sources(p)
	if p.Rate > 0 {
		s.interval = 1e9 / p.Rate
	}
	return s
}

func (p Plan) ipv4(ip []byte, protocol byte) (l4 []byte) {
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[6] = 0x40 // don't fragment
	ip[8], ip[9] = 64, protocol
	copy(ip[16:20], p.To.AsSlice())
	return ip[ipv4:]
}

func (p Plan) ipv6(ip []byte, protocol byte) (l4 []byte) {
	ip[0] = 0x60
	binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6))
	ip[6], ip[7] = protocol, 64
	copy(ip[24:40], p.To.AsSlice())
	return ip[ipv6:]
}

// sources says which addresses come: first, and how many there are after it. Of
// IPv6 only the upper half counts.
func (s *shape) sources(p Plan) {
	a := p.From.Masked().Addr().AsSlice()
	free := uint32(0) // bits the prefix leaves
	if p.From.Addr().Is4() {
		s.first, free = uint64(binary.BigEndian.Uint32(a)), 32-uint32(p.From.Bits())
	} else {
		s.first, free = binary.BigEndian.Uint64(a), 64-uint32(min(64, p.From.Bits()))
	}
	if free > 32 {
		s.shift, free = free-32, 32
	}
	s.span = 1 << free
	if p.From.Addr().Is4() && p.From.Bits() == 0 {
		s.first, s.span = 1<<24, 223<<24
	}
	if p.Sources > 0 {
		s.step = max(1, s.span/uint64(p.Sources))
	}
}

// sum adds up the 16-bit words of b, in the order the program reads them.
func sum(b []byte) uint32 {
	var t uint64
	for i := 0; i+1 < len(b); i += 2 {
		t += uint64(binary.LittleEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		t += uint64(b[len(b)-1])
	}
	return fold(t)
}

func fold(t uint64) uint32 {
	for t>>16 != 0 {
		t = t&0xffff + t>>16
	}
	return uint32(t)
}
