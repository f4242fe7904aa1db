package judge

import (
	"encoding/binary"
	"net/netip"

	"github.com/lindero/lindero/shield/policy"
)

// What frames are made of.
const (
	etherIPv4, etherIPv6   = 0x0800, 0x86dd
	etherVLAN, etherVLANs  = 0x8100, 0x88a8
	maxVLANs, maxExtension = 2, 8

	protoTCP, protoUDP = 6, 17

	extHop, extRouting, extFragment, extAH, extNone, extDestination, extMobility = 0, 43, 44, 51, 59, 60, 135

	tcpFIN, tcpSYN, tcpRST, tcpACK = 0x01, 0x02, 0x04, 0x10
)

// Ports tells what a local port is for; NoService: nothing of ours.
type Ports func(tcp bool, port uint16) policy.Service

// Parse reads an Ethernet frame. When ours is true the packet is for a service of
// ours and Decide has the word; otherwise the verdict is NotOurs or Malformed.
func Parse(frame []byte, ports Ports) (p Packet, v policy.Verdict, ours bool) {
	ether, rest, ok := link(frame)
	if !ok {
		return p, policy.Malformed, false
	}
	var h network
	switch ether {
	case etherIPv4:
		h, v = ipv4(rest)
	case etherIPv6:
		h, v = ipv6(rest)
	default:
		return p, policy.NotOurs, false
	}
	if v != policy.Passed {
		return p, v, false
	}
	p.Source = h.source
	switch {
	case h.later && h.proto == protoUDP:
		p.Later, p.Service = true, policy.SIP
		return p, policy.Passed, true
	case h.later:
		return p, policy.NotOurs, false
	case h.proto == protoUDP:
		v = p.udp(h, ports)
	case h.proto == protoTCP:
		v = p.tcp(h, ports)
	default:
		v = policy.NotOurs
	}
	return p, v, v == policy.Passed
}

// link steps over Ethernet and up to two VLAN tags.
func link(frame []byte) (ether uint16, rest []byte, ok bool) {
	if len(frame) < 14 {
		return 0, nil, false
	}
	ether, rest = binary.BigEndian.Uint16(frame[12:]), frame[14:]
	for range maxVLANs {
		if ether != etherVLAN && ether != etherVLANs {
			break
		}
		if len(rest) < 4 {
			return 0, nil, false
		}
		ether, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	return ether, rest, true
}

// network is what the IP header says, and what is behind it.
type network struct {
	source       netip.Addr
	proto        byte
	first, later bool // fragments
	rest         []byte
}

// ipv4 reads a header; the verdict is Passed when h is worth reading on.
func ipv4(b []byte) (h network, v policy.Verdict) {
	if len(b) < 20 || b[0]>>4 != 4 || b[0]&15 < 5 {
		return h, policy.Malformed
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header > total || total > len(b) {
		return h, policy.Malformed
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	h.source = netip.AddrFrom4([4]byte(b[12:]))
	h.proto = b[9]
	h.later = fragment&0x1fff != 0
	h.first = !h.later && fragment&0x2000 != 0
	h.rest = b[header:total]
	return h, policy.Passed
}

// ipv6 reads a header and steps over its extensions.
func ipv6(b []byte) (h network, v policy.Verdict) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return h, policy.Malformed
	}
	end := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if end > len(b) {
		return h, policy.Malformed
	}
	h.source = netip.AddrFrom16([16]byte(b[8:]))
	h.proto, h.rest = b[6], b[40:end]
	for n := 0; ; n++ {
		var size int
		switch h.proto {
		case extHop, extRouting, extDestination, extMobility, extAH, extFragment:
			if n == maxExtension || len(h.rest) < 8 {
				return h, policy.Malformed
			}
			size = (int(h.rest[1]) + 1) * 8
		case extNone:
			return h, policy.NotOurs
		default:
			return h, policy.Passed
		}
		switch h.proto {
		case extAH:
			size = (int(h.rest[1]) + 2) * 4
		case extFragment:
			size = 8
			fragment := binary.BigEndian.Uint16(h.rest[2:])
			if fragment>>3 != 0 {
				h.proto, h.later = h.rest[0], true
				return h, policy.Passed
			}
			h.first = h.first || fragment&1 != 0
		}
		if size > len(h.rest) {
			return h, policy.Malformed
		}
		h.proto, h.rest = h.rest[0], h.rest[size:]
	}
}

// udp reads the ports; the verdict is Passed when they are ours.
func (p *Packet) udp(h network, ports Ports) policy.Verdict {
	b := h.rest
	if len(b) < 8 {
		return policy.Malformed
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < 8 || size > len(b) && !h.first {
		return policy.Malformed
	}
	p.Port = binary.BigEndian.Uint16(b[2:])
	p.Service = ports(false, p.Port)
	if p.Service == policy.NoService {
		return policy.NotOurs
	}
	return policy.Passed
}

// tcp reads the ports and flags. The combinations it refuses are sent by scanners alone.
func (p *Packet) tcp(h network, ports Ports) policy.Verdict {
	b := h.rest
	if len(b) < 20 {
		return policy.Malformed
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > len(b) && !h.first {
		return policy.Malformed
	}
	p.TCP, p.Port = true, binary.BigEndian.Uint16(b[2:])
	p.Service = ports(true, p.Port)
	if p.Service == policy.NoService || p.Service == policy.RTP {
		return policy.NotOurs
	}
	flags := b[13]
	if flags&(tcpSYN|tcpACK|tcpFIN|tcpRST) == 0 || flags&tcpSYN != 0 && flags&(tcpFIN|tcpRST) != 0 {
		return policy.Malformed
	}
	p.Opens = flags&(tcpSYN|tcpACK) == tcpSYN
	p.Acks = flags&(tcpSYN|tcpACK|tcpFIN|tcpRST) == tcpACK
	return policy.Passed
}
