package judge

// The sizes of the tables, in cells; the kernel's are the same, so that sources
// meet in a cell there as they do here.
const (
	Cells      = 1 << 17 // of unknown sources: more than the 2,000 a second that come in are in a minute
	Arounds    = 1 << 16 // of neighbourhoods, in each of two rows
	HalfOpens  = 1 << 14
	Aggregates = 32      // service*2, +1 for TCP, +16 for IPv6
	Refusals   = 1 << 19 // of four refused sources each
)

// A Seed is what keys are hashed with: a secret, so that nobody can choose an
// address that meets another's cell.
type Seed uint64

// mix is the finalizer of MurmurHash3: each bit of the key moves half of the result's.
func mix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}

// Cell is the place of an unknown source among Cells.
func (s Seed) Cell(k Key) uint32 { return uint32(mix(uint64(k)^uint64(s)) & (Cells - 1)) }

// Tag is what a cell remembers of the source that used it last.
func (s Seed) Tag(k Key) uint16 { return uint16(mix(uint64(k)^uint64(s)) >> 52) }

// Around are the places of a neighbourhood (AroundOf) among Arounds, one in each row.
func (s Seed) Around(k Key) [2]uint32 {
	h := mix(uint64(k) ^ uint64(s) ^ 0x9e3779b97f4a7c15)
	return [2]uint32{uint32(h & (Arounds - 1)), uint32(h >> 32 & (Arounds - 1))}
}

// Refused is the place of an unknown source among Refusals.
func (s Seed) Refused(k Key) uint32 { return uint32(mix(uint64(k)^uint64(s)) & (Refusals - 1)) }

// Name is what Refused remembers of a source.
func (s Seed) Name(k Key) uint16 { return max(1, uint16(mix(uint64(k)^uint64(s))>>48)) }

// HalfOpen is the place of a source's half-open count among HalfOpens.
func (s Seed) HalfOpen(k Key) uint32 {
	return uint32(mix(uint64(k)^uint64(s)^0xc2b2ae3d27d4eb4f) & (HalfOpens - 1))
}

// Aggregate is the place of the strangers' bucket that a packet meets, by service,
// transport and family of addresses, among Aggregates. IPv6 has more networks to
// forge than any table holds; a flood of it must leave strangers of IPv4 alone.
func Aggregate(p Packet) uint32 {
	i := uint32(p.Service) * 2
	if p.TCP {
		i++
	}
	if p.Source.Is6() && !p.Source.Is4In6() {
		i += Aggregates / 2
	}
	return i
}

// Pack is the cell as the kernel keeps it; UnpackCell reads it.
func (c Cell) Pack() uint64 {
	return uint64(c.Stamp) | uint64(c.Tag&0xfff)<<32 | uint64(c.Tokens&0xfffff)<<44
}

// UnpackCell reads what Pack wrote.
func UnpackCell(v uint64) Cell {
	return Cell{Stamp: uint32(v), Tag: uint16(v >> 32 & 0xfff), Tokens: uint32(v >> 44)}
}

func (b Bucket) pack() uint64 { return uint64(b.Stamp) | uint64(b.Tokens)<<32 }

func unpackBucket(v uint64) Bucket { return Bucket{Stamp: uint32(v), Tokens: uint32(v >> 32)} }

func (h HalfOpen) pack() uint64 { return uint64(h.Stamp) | uint64(h.Count)<<32 }

func unpackHalfOpen(v uint64) HalfOpen { return HalfOpen{Stamp: uint32(v), Count: uint32(v >> 32)} }
