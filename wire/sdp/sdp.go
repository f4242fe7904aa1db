// Package sdp scans session descriptions (RFC 8866) without taking them apart
// and edits them in place: every byte that no edit names comes out as it went
// in, because phones disagree about SDP and a border must not add an opinion. It
// decides nothing about media; who is anchored where is the relay's business,
// which codec is chosen that of who answers.
package sdp

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// Hard limits. A description beyond one of them is refused with ErrLimit.
const (
	MaxSize  = 16 << 10 // bytes
	MaxLines = 512
	MaxMedia = 32
)

// Errors of Parse. All are wrapped with the line they were met at.
var (
	ErrSyntax = errors.New("sdp: syntax error")
	ErrLimit  = errors.New("sdp: too long or too many lines")
)

// A Session is a description that was scanned. It borrows the text it was made
// from, which must not change while the Session is used.
type Session struct {
	Origin     *Address // of the o= line; nil when there is none or it names no Internet address
	Connection *Address // of the c= line above the first m= line; nil when there is none
	Media      []Media

	text  []byte
	lines []line
	head  int // lines before the first m=
}

// An Address is an address as o=, c= and a=rtcp write it.
type Address struct {
	Addr netip.Addr // invalid when Host is a name
	Host string     // as written, without "/ttl"

	start, end int // of "IP4 192.0.2.1" in the text
}

// Held says whether a is the address of hold in the old style, c=0.0.0.0
// (RFC 3264 §8.4), or its IPv6 relative.
func (a *Address) Held() bool { return a != nil && a.Addr.IsValid() && a.Addr.IsUnspecified() }

type line struct {
	kind       byte
	start, end int // of what follows "k="
	next       int // start of the following line
}

// Parse scans b. It accepts LF alone as line end and a last line without one,
// as real phones send them, and blank lines at the end.
func Parse(b []byte) (*Session, error) {
	if len(b) > MaxSize {
		return nil, ErrLimit
	}
	s := &Session{text: b, lines: make([]line, 0, 32)}
	for pos := 0; pos < len(b); {
		l, err := scan(b, pos)
		if err != nil {
			return nil, s.fault(len(s.lines), err)
		}
		pos = l.next
		if l.kind == 0 { // blank: only more of them may follow
			if len(bytes.Trim(b[pos:], "\r\n")) > 0 {
				return nil, s.fault(len(s.lines), fmt.Errorf("%w: a blank line inside", ErrSyntax))
			}
			break
		}
		if len(s.lines) == MaxLines {
			return nil, ErrLimit
		}
		s.lines = append(s.lines, l)
	}
	if len(s.lines) == 0 || s.lines[0].kind != 'v' || s.value(s.lines[0]) != "0" {
		return nil, s.fault(0, fmt.Errorf("%w: v=0 expected", ErrSyntax))
	}
	return s, s.sections()
}

// scan reads the line that starts at pos.
func scan(b []byte, pos int) (line, error) {
	l := line{start: pos, next: len(b), end: len(b)}
	if i := bytes.IndexByte(b[pos:], '\n'); i >= 0 {
		l.end, l.next = pos+i, pos+i+1
	}
	if l.end > pos && b[l.end-1] == '\r' {
		l.end--
	}
	if l.end == pos {
		return l, nil
	}
	if bytes.IndexByte(b[pos:l.end], '\r') >= 0 || bytes.IndexByte(b[pos:l.end], 0) >= 0 {
		return l, fmt.Errorf("%w: a bare CR or a NUL", ErrSyntax)
	}
	if l.end < pos+2 || b[pos+1] != '=' || b[pos] < 'a' || b[pos] > 'z' {
		return l, fmt.Errorf("%w: no type and =", ErrSyntax)
	}
	l.kind, l.start = b[pos], pos+2
	return l, nil
}

// sections divides the lines by m= and reads those that name addresses and ports.
func (s *Session) sections() error {
	s.head = len(s.lines)
	for i, l := range s.lines {
		var err error
		switch l.kind {
		case 'm':
			if len(s.Media) == MaxMedia {
				return ErrLimit
			}
			if n := len(s.Media); n > 0 {
				s.Media[n-1].last = i
			} else {
				s.head = i
			}
			var m Media
			if m, err = s.media(l, i); err == nil {
				s.Media = append(s.Media, m)
			}
		case 'c':
			err = s.connection(l)
		case 'o':
			if s.Origin == nil && len(s.Media) == 0 {
				s.Origin = s.origin(l)
			}
		}
		if err != nil {
			return s.fault(i, err)
		}
	}
	for i := range s.Media {
		if err := s.attributes(&s.Media[i]); err != nil {
			return err
		}
	}
	return nil
}

// origin reads "user id version IN IP4 host". One that cannot be read is left
// alone: nothing depends on it.
func (s *Session) origin(l line) *Address {
	at := l.start
	for range 3 {
		i := bytes.IndexByte(s.text[at:l.end], ' ')
		if i < 0 {
			return nil
		}
		at += i + 1
	}
	a, err := s.address(at, l.end)
	if err != nil {
		return nil
	}
	return a
}

// connection reads a c= line. Of several in one place, as layered multicast has
// them, the first counts.
func (s *Session) connection(l line) error {
	a, err := s.address(l.start, l.end)
	if err != nil {
		return err
	}
	where := &s.Connection
	if n := len(s.Media); n > 0 {
		where = &s.Media[n-1].Connection
	}
	if *where == nil {
		*where = a
	}
	return nil
}

// address reads "IN IP4 host" or "IN IP6 host", the host with a "/ttl" or not.
func (s *Session) address(start, end int) (*Address, error) {
	text := string(s.text[start:end])
	rest, ok := strings.CutPrefix(text, "IN ")
	family, host, ok2 := strings.Cut(strings.TrimRight(rest, " "), " ")
	if !ok || !ok2 || host == "" || strings.ContainsAny(host, " \t") || family != "IP4" && family != "IP6" {
		return nil, fmt.Errorf("%w: no Internet address", ErrSyntax)
	}
	a := &Address{start: start + len("IN "), end: start + len("IN ") + len(family) + 1 + len(host)}
	a.Host, _, _ = strings.Cut(host, "/")
	if addr, err := netip.ParseAddr(a.Host); err == nil && addr.Zone() == "" && addr.Is4() == (family == "IP4") {
		a.Addr = addr
	}
	return a, nil
}

func (s *Session) value(l line) string { return string(s.text[l.start:l.end]) }

func (s *Session) fault(i int, err error) error { return fmt.Errorf("line %d: %w", i+1, err) }

// attrs yields name and value of the a= lines from line first up to last.
func (s *Session) attrs(first, last int) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, l := range s.lines[first:last] {
			if l.kind != 'a' {
				continue
			}
			name, value, _ := strings.Cut(s.value(l), ":")
			if !yield(name, value) {
				return
			}
		}
	}
}

// Attrs yields name and value of the attributes of the session, not of its media.
func (s *Session) Attrs() iter.Seq2[string, string] { return s.attrs(0, s.head) }

// Version is the session version in the o= line, which counts up with every
// change (RFC 3264 §8); ok is false when there is none.
func (s *Session) Version() (version uint64, ok bool) {
	for _, l := range s.lines[:s.head] {
		if l.kind != 'o' {
			continue
		}
		if f := strings.Fields(s.value(l)); len(f) > 2 {
			v, err := strconv.ParseUint(f[2], 10, 64)
			return v, err == nil
		}
	}
	return 0, false
}
