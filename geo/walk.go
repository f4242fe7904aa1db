package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/lindero/lindero/geo/trie"
)

// A bound is the work that a database may ask for. Branches of its tree may share
// subtrees, and so spell out 2^128 prefixes in a few bytes.
type bound struct {
	visits int // of nodes and records
	steps  int // trie nodes above all prefixes, each counted as if it had its own
}

// usual is some four times what the largest databases need.
var usual = bound{visits: 1 << 26, steps: 1 << 25}

// A walk goes through the search tree of a database once. The library decodes the
// records; the tree is walked here, because the library's own iteration has no
// bound and does not join neighbours of one country.
type walk struct {
	db      *maxminddb.Reader
	file    []byte
	places  map[uint]Country // by where the record is
	entries []trie.Entry[uint8]
	strange []string // codes that are no Country
	left    bound

	size, nodes uint // of a node in bytes; how many
	v4          uint // the node of ::/96, where IPv4 lives; nodes when there is none
}

// whole walks everything.
func (w *walk) whole() error {
	m := w.db.Metadata
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 {
		return fmt.Errorf("records of %d bits; they have 24, 28 or 32", m.RecordSize)
	}
	w.size, w.nodes = m.RecordSize/4, m.NodeCount
	if w.nodes == 0 || w.nodes > uint(len(w.file))/w.size {
		return fmt.Errorf("a tree of %d nodes does not fit", w.nodes)
	}
	var at place
	switch m.IPVersion {
	case 4:
		at, w.v4 = home4, 0
	case 6:
		w.v4 = w.down(at, 96)
	default:
		return fmt.Errorf("IP version %d", m.IPVersion)
	}
	c, whole, err := w.subtree(0, at)
	if err != nil {
		return err
	}
	if whole {
		w.put(at, c)
	}
	return nil
}

// down is where the tree goes from its root for an address after some bits, a
// leaf when it ends before.
func (w *walk) down(to place, bits int) uint {
	pointer := uint(0)
	for bit := 0; bit < bits && pointer < w.nodes; bit++ {
		left, right := w.children(pointer)
		if pointer = left; to.hi<<bit>>63 == 1 {
			pointer = right
		}
	}
	return pointer
}

// children are the two records of a node.
func (w *walk) children(node uint) (left, right uint) {
	b := w.file[node*w.size : (node+1)*w.size]
	switch w.size {
	case 6:
		return uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]), uint(b[3])<<16 | uint(b[4])<<8 | uint(b[5])
	case 7: // the middle byte has the top four bits of both
		return uint(b[3]>>4)<<24 | uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]),
			uint(b[3]&15)<<24 | uint(b[4])<<16 | uint(b[5])<<8 | uint(b[6])
	default:
		return uint(binary.BigEndian.Uint32(b)), uint(binary.BigEndian.Uint32(b[4:]))
	}
}

// subtree adds what lies below pointer, at a place, to the entries, except when
// all of it is one country: then it says which, and the caller may join it with
// its neighbour.
func (w *walk) subtree(pointer uint, at place) (c Country, whole bool, err error) {
	w.left.visits--
	switch {
	case w.left.visits < 0 || w.left.steps < 0:
		return 0, false, errors.New("the tree is larger than any country database")
	case pointer == w.nodes:
		return Unknown, true, nil
	case pointer > w.nodes:
		c, err = w.country(pointer)
		return c, true, err
	case at.bit == 128:
		return 0, false, fmt.Errorf("the tree goes on below %v", at.prefix())
	case pointer == w.v4 && at != home4:
		return Unknown, true, nil // an alias of IPv4: mapped addresses, 6to4, Teredo
	}
	left, right := w.children(pointer)
	c0, whole0, err := w.subtree(left, at.half(0))
	if err != nil {
		return 0, false, err
	}
	c1, whole1, err := w.subtree(right, at.half(1))
	if err != nil {
		return 0, false, err
	}
	if whole0 && whole1 && c0 == c1 {
		return c0, true, nil
	}
	if whole0 {
		w.put(at.half(0), c0)
	}
	if whole1 {
		w.put(at.half(1), c1)
	}
	return 0, false, nil
}

// put adds a prefix to the entries.
func (w *walk) put(at place, c Country) {
	if c == Unknown {
		return
	}
	p := at.prefix()
	w.entries = append(w.entries, trie.Entry[uint8]{Prefix: p, Value: uint8(c)})
	w.left.steps -= 1 + p.Bits()/4
	if at.hi|at.lo == 0 && at.bit < 96 { // holds ::/96, which is all of IPv4
		w.entries = append(w.entries, trie.Entry[uint8]{Prefix: home4.prefix(), Value: uint8(c)})
	}
}

// A place is a prefix of the tree, as 128 bits.
type place struct {
	hi, lo uint64
	bit    int
}

// home4 is where databases keep IPv4.
var home4 = place{bit: 96}

// half is the first (0) or second (1) half of a place.
func (p place) half(i uint64) place {
	if p.bit < 64 {
		p.hi |= i << (63 - p.bit)
	} else {
		p.lo |= i << (127 - p.bit)
	}
	p.bit++
	return p
}

func (p place) prefix() netip.Prefix {
	if p.hi|p.lo>>32 == 0 && p.bit >= 96 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(p.lo))
		return netip.PrefixFrom(netip.AddrFrom4(b), p.bit-96)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	return netip.PrefixFrom(netip.AddrFrom16(b), p.bit)
}
