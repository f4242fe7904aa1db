package call

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// A coder writes the state of a call, or reads it: each field is named once, so that
// the two cannot differ. Reading checks nothing but lengths; what cannot be read
// leaves bad set and zeros behind.
type coder struct {
	b       []byte // what was written, or is still to be read
	reading bool
	bad     bool
}

// integer is what a varint can say.
type integer interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int | ~int64
}

// code writes or reads an integer.
func code[T integer](c *coder, v *T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*v))
		return
	}
	n, size := binary.Uvarint(c.b)
	if size <= 0 || uint64(T(n)) != n {
		c.bad, c.b = true, nil
		return
	}
	*v, c.b = T(n), c.b[size:]
}

func (c *coder) bool(all ...*bool) {
	var bits uint16
	for i, v := range all {
		if *v {
			bits |= 1 << i
		}
	}
	code(c, &bits)
	for i, v := range all {
		*v = bits>>i&1 != 0
	}
}

// bytes takes n bytes off what is to be read.
func (c *coder) bytes(n int) []byte {
	if n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *coder) text(v *string) {
	n := len(*v)
	code(c, &n)
	if c.reading {
		if n < 0 {
			c.bad, n = true, 0
		}
		*v = string(c.bytes(n))
	} else {
		c.b = append(c.b, *v...)
	}
}

func (c *coder) time(v *time.Time) {
	at := int64(0)
	if !v.IsZero() {
		at = v.UnixNano()
	}
	code(c, &at)
	if c.reading {
		if *v = (time.Time{}); at != 0 {
			*v = time.Unix(0, at)
		}
	}
}

func (c *coder) addr(v *netip.Addr) {
	n := uint8(v.BitLen() / 8)
	code(c, &n)
	if !c.reading {
		c.b = append(c.b, v.AsSlice()...)
		return
	}
	var ok bool
	if *v, ok = netip.AddrFromSlice(c.bytes(int(n))); !ok && n != 0 {
		c.bad = true
	}
}

func (c *coder) addrPort(v *netip.AddrPort) {
	a, port := v.Addr(), v.Port()
	c.addr(&a)
	code(c, &port)
	if *v = (netip.AddrPort{}); a.IsValid() {
		*v = netip.AddrPortFrom(a, port)
	}
}

// count is the length of a list, at most most.
func (c *coder) count(n, most int) int {
	code(c, &n)
	if n < 0 || n > most {
		c.bad, c.b = true, nil
		return 0
	}
	return n
}

// sums are what counts have of a fork that ended.
func (c *coder) sums(v *forward.Counts) {
	for _, n := range []*uint64{
		&v.Packets, &v.Bytes, &v.Expected, &v.Lost, &v.Reordered, &v.Duplicate,
		&v.WrongSource, &v.NotRTP, &v.STUN, &v.Held, &v.Failed, &v.Blocked,
	} {
		code(c, n)
	}
	code(c, &v.Jitter)
	code(c, &v.RoundTrip)
	c.time(&v.LastSeen)
}
