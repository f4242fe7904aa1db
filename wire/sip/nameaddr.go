package sip

import (
	"bytes"
	"errors"
)

var errNameAddr = errors.New("sip: malformed address")

// A NameAddr is a value of From, To, Contact, Route, Record-Route, Path, Refer-To
// (RFC 3261 §20.10). It borrows the bytes it was parsed from.
type NameAddr struct {
	Display []byte // as written
	URI     []byte
	Params  []byte // after the address, beginning with ';' or empty
}

// ParseNameAddr reads one value. Of the URI it checks only that nothing foreign
// stands in it, of the parameters all. "*" is an error: Contact's readers ask for it first.
func ParseNameAddr(value []byte) (NameAddr, error) {
	n, _, err := parseNameAddr(value)
	return n, err
}

// parseNameAddr also tells whether the URI stood in <>.
func parseNameAddr(value []byte) (n NameAddr, angle bool, err error) {
	b := trim(value)
	open := 0
	if len(b) > 0 && b[0] == '"' {
		end := quoted(b)
		if end < 0 {
			return NameAddr{}, false, errNameAddr
		}
		n.Display = b[:end]
		for open = end; open < len(b) && space(b[open]); open++ {
		}
		if open == len(b) || b[open] != '<' {
			return NameAddr{}, false, errNameAddr
		}
	} else {
		for open < len(b) && b[open] != '<' && b[open] != ':' {
			open++
		}
		if open == len(b) {
			return NameAddr{}, false, errNameAddr
		}
	}
	if b[open] == ':' {
		n, err = bareAddr(b)
		return n, false, err
	}
	if n.Display == nil {
		// Display names out of non-token characters are common and harmless, but
		// not those that other readers would split the value at.
		if n.Display = trim(b[:open]); len(n.Display) > 0 && bytes.IndexAny(n.Display, "\",;>") >= 0 {
			return NameAddr{}, false, errNameAddr
		}
	}
	end := bytes.IndexByte(b[open:], '>')
	if end < 2 || !all(b[open+1:open+end], uriByte) {
		return NameAddr{}, false, errNameAddr
	}
	n.URI, n.Params = b[open+1:open+end], trimLeft(b[open+end+1:])
	if !validParams(n.Params, tokenByte) {
		return NameAddr{}, false, errNameAddr
	}
	return n, true, nil
}

// bareAddr reads an address without <>: what follows the first ';' belongs to
// the header, and ',' or '?' may not appear (RFC 3261 §20.10).
func bareAddr(b []byte) (NameAddr, error) {
	i := bytes.IndexByte(b, ';')
	if i < 0 {
		i = len(b)
	}
	n := NameAddr{URI: trim(b[:i]), Params: b[i:]}
	if bytes.IndexByte(n.URI, ':') < 1 || bytes.IndexByte(n.URI, ',') >= 0 || bytes.IndexByte(n.URI, '?') >= 0 ||
		!all(n.URI, uriByte) || !validParams(n.Params, tokenByte) {
		return NameAddr{}, errNameAddr
	}
	return n, nil
}
