package sip

import (
	"bytes"
	"errors"
	"net/netip"
)

var errURI = errors.New("sip: malformed URI")

// A URI is a sip: or sips: URI in its parts (RFC 3261 §19.1); other schemes keep
// Scheme and put the rest in User. It borrows the bytes it was parsed from.
type URI struct {
	Scheme   []byte // as written
	User     []byte // still escaped; nil when absent
	Password []byte // still escaped; nil when absent
	Host     []byte // IPv6 without brackets
	Port     uint16 // 0 when absent
	Params   []byte // beginning with ';' or empty
	Headers  []byte // after '?'
}

// ParseURI reads a URI. White space, controls, bytes above ASCII and broken
// escapes are errors whatever the scheme.
func ParseURI(b []byte) (URI, error) {
	colon := bytes.IndexByte(b, ':')
	if colon < 1 || !validScheme(b[:colon]) || !validURIBytes(b[colon+1:]) {
		return URI{}, errURI
	}
	u := URI{Scheme: b[:colon]}
	rest := b[colon+1:]
	if !u.sip() {
		u.User = rest
		return u, nil
	}
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		user := rest[:at]
		rest = rest[at+1:]
		if i := bytes.IndexByte(user, ':'); i >= 0 {
			u.Password = user[i+1:]
			user = user[:i]
		}
		if u.User = user; len(user) == 0 {
			return URI{}, errURI
		}
	}
	// A second @ would let two readers see two hosts.
	if bytes.IndexByte(rest, '@') >= 0 {
		return URI{}, errURI
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		u.Headers = rest[i+1:]
		rest = rest[:i]
	}
	if i := bytes.IndexByte(rest, ';'); i >= 0 {
		u.Params = rest[i:]
		rest = rest[:i]
	}
	var ok bool
	if u.Host, u.Port, ok = parseHostPort(rest); !ok || !validParams(u.Params, uriByte) {
		return URI{}, errURI
	}
	return u, nil
}

func (u URI) sip() bool { return equalFold(u.Scheme, "sip") || u.secure() }

func (u URI) secure() bool { return equalFold(u.Scheme, "sips") }

// Addr is the host as an IP literal, and the port or the scheme's default: 5061
// for sips or transport=tls, else 5060 (RFC 3261 §19.1.2).
func (u URI) Addr() (netip.AddrPort, bool) {
	ip, ok := parseIP(u.Host)
	if !ok {
		return netip.AddrPort{}, false
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if t, _ := Param(u.Params, "transport"); u.secure() || equalFold(t, "tls") {
			port = 5061
		}
	}
	return netip.AddrPortFrom(ip, port), true
}

func validScheme(b []byte) bool {
	for i, c := range b {
		letter := 'a' <= lower(c) && lower(c) <= 'z'
		if !letter && (i == 0 || classes[c]&digitByte == 0 && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return len(b) > 0
}

// validURIBytes checks the bytes of a URI and that each % begins an escape.
func validURIBytes(b []byte) bool {
	for i, c := range b {
		if classes[c]&uriByte == 0 {
			return false
		}
		if c == '%' && (len(b)-i < 3 || classes[b[i+1]]&classes[b[i+2]]&hexByte == 0) {
			return false
		}
	}
	return len(b) > 0
}

// parseHostPort reads hostport (RFC 3261 §25.1), allowing white space around the
// colon, which only Via has.
func parseHostPort(b []byte) (host []byte, port uint16, ok bool) {
	var after []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return nil, 0, false
		}
		host, after = b[1:end], trimLeft(b[end+1:])
		if ip, ok := parseIP(host); !ok || !ip.Is6() {
			return nil, 0, false
		}
	} else {
		i := bytes.IndexByte(b, ':')
		if i < 0 {
			i = len(b)
		}
		host, after = trim(b[:i]), b[i:]
		if !all(host, hostByte) {
			return nil, 0, false
		}
	}
	if len(after) == 0 {
		return host, 0, true
	}
	n, ok := ParseInt(trim(after[1:]))
	return host, uint16(n), ok && after[0] == ':' && n > 0 && n < 1<<16
}
