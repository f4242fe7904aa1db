package sip

import (
	"bytes"
	"net/netip"
)

// parseIP reads an IPv4 or IPv6 literal without allocating, which
// netip.ParseAddr cannot do for bytes. Zones are refused.
func parseIP(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		return parseIP6(b)
	}
	a, ok := parseIP4(b)
	return netip.AddrFrom4(a), ok
}

func parseIP4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		part := b
		if dot := bytes.IndexByte(b, '.'); i < 3 {
			if dot < 0 {
				return a, false
			}
			part, b = b[:dot], b[dot+1:]
		}
		// A leading zero is octal to some readers and decimal to others.
		n, ok := ParseInt(part)
		if !ok || n > 255 || len(part) > 1 && part[0] == '0' {
			return a, false
		}
		a[i] = byte(n)
	}
	return a, true
}

func parseIP6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	n, gap := 0, -1 // bytes filled; where :: stood
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, ':')
		if end < 0 {
			end = len(b)
		}
		if end == len(b) && bytes.IndexByte(b, '.') >= 0 {
			v4, ok := parseIP4(b)
			if !ok || n > 12 {
				return netip.Addr{}, false
			}
			n += copy(a[n:], v4[:])
			b = nil
			break
		}
		v, ok := parseHex16(b[:end])
		if !ok || n > 14 {
			return netip.Addr{}, false
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
		if b = b[end:]; len(b) == 0 {
			break
		}
		if b = b[1:]; len(b) == 0 {
			return netip.Addr{}, false // ends in a single colon
		}
		if b[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap, b = n, b[1:]
		}
	}
	if gap < 0 {
		return netip.AddrFrom16(a), n == 16
	}
	if n == 16 {
		return netip.Addr{}, false // :: must stand for something
	}
	tail := copy(a[16-(n-gap):], a[gap:n])
	clear(a[gap : 16-tail])
	return netip.AddrFrom16(a), true
}

func parseHex16(b []byte) (v uint16, ok bool) {
	if len(b) > 4 || !all(b, hexByte) {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = lower(c) - 'a' + 10
		}
		v = v<<4 | uint16(c)
	}
	return v, true
}
