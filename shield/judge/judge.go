// Package judge decides one packet: the definition that the kernel program, user
// space and explanations share. Decide is pure; Engine keeps the state that Decide
// wants, for machines where no kernel program runs, and is the model the kernel
// program is tested against, packet by packet. It opens no socket and promotes or
// bans nobody; that is shield's.
package judge

import (
	"encoding/binary"
	"net/netip"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// Millis is the shield's clock, milliseconds since some start.
type Millis uint64

// Seconds is the clock that Source.Until is on.
func (m Millis) Seconds() uint32 { return uint32(m / 1000) }

// A Key is a source as the shield counts it: the IPv4 address, or the /64 of an
// IPv6 address (the upper 64 bits as a number; IPv4 is the number of the address,
// which as a /64 is nobody's, and is refused as a source).
type Key uint64

// KeyOf is the key of an address. IPv4 in IPv6 counts as IPv4.
func KeyOf(a netip.Addr) Key {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return Key(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return Key(binary.BigEndian.Uint64(b[:8]))
}

// AroundOf is the key of an address's neighbourhood: its IPv4 /24 or IPv6 /48.
func AroundOf(a netip.Addr) Key {
	if a.Unmap().Is4() {
		return KeyOf(a) &^ 0xff
	}
	return KeyOf(a) &^ 0xffff
}

// Addr is the address of a key, the first of the /64 for IPv6.
func (k Key) Addr() netip.Addr {
	if k>>32 == 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(k))
	return netip.AddrFrom16(b)
}

// A Source is exact state of a promoted or banned source.
type Source struct {
	Class  policy.Class
	Proven bool   // the evidence could not be forged: it came over a connection
	Until  uint32 // second of the shield's clock when this ends; 0: never
	Bucket Bucket
}

// A Bucket is a token bucket. Tokens are thousandths of a packet, so that a rate
// per second times milliseconds adds up without rounding.
type Bucket struct {
	Stamp  uint32 // low 32 bits of Millis
	Tokens uint32
}

// A Cell is what is kept of an unknown source: nobody's for long, since sources
// that meet in one cell take it from each other. In the kernel it is one __u64:
// stamp in the low 32 bits, then 12 bits of tag, then 20 bits of tokens.
type Cell struct {
	Stamp  uint32
	Tag    uint16 // 12 bits of the key's hash
	Tokens uint32 // 20 bits, thousandths
}

// A Packet is what a frame says that matters.
type Packet struct {
	Source  netip.Addr // as the packet has it; listeners unmap IPv4 in IPv6
	Service policy.Service
	TCP     bool
	Opens   bool   // a TCP SYN without ACK
	Acks    bool   // a TCP packet with ACK and neither SYN, RST nor FIN
	Later   bool   // a later UDP fragment: no ports
	Port    uint16 // local, for RTP
}

// State is what Decide knows of the source and its surroundings; it returns the
// same with what the packet changed.
type State struct {
	Source   *Source // nil: none
	Tag      uint16  // of the source's own hash (see Seed.Tag), to tell whether Cell is its
	Cell     Cell
	Around   [2]Bucket // of the neighbourhood: it has one in each of two rows
	All      Bucket    // of the packet's service and transport
	Name     uint16    // of the source in Refused (see Seed.Name)
	Refused  Refused
	HalfOpen HalfOpen
	Live     bool // the RTP port has a leg
}

// HalfOpen counts connections begun and not finished; one is forgotten every 4 s.
type HalfOpen struct {
	Stamp uint32
	Count uint32
}

// A Ruling is Decide's answer.
type Ruling struct {
	Verdict policy.Verdict
	Class   policy.Class
	Country geo.Country
	List    policy.ListValue // the list entry that decided, if one did
	Sampled bool             // it stands for about 64 like it in reports; only an Engine says so
}
