package sdp

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An Edit collects changes to a Session and writes them all at once. Changes
// must not overlap; the methods below do not, as long as each is called once for
// one place.
type Edit struct {
	session *Session
	changes []change
}

type change struct {
	start, end int
	text       string
	line       bool // text is a line of its own, without its end
}

// Edit starts an edit of s.
func (s *Session) Edit() *Edit { return &Edit{session: s} }

func (e *Edit) replace(start, end int, text string) {
	e.changes = append(e.changes, change{start: start, end: end, text: text})
}

// Family is a with its family before it, as SDP writes addresses: "IP4 192.0.2.1".
func Family(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "IP4 " + a.Unmap().String()
	}
	return "IP6 " + a.WithZone("").String()
}

// Address writes addr in place of a, which is any Address of the session; nil is
// left alone.
func (e *Edit) Address(a *Address, addr netip.Addr) {
	if a != nil {
		e.replace(a.start, a.end, Family(addr))
	}
}

// Port writes the port of m. A count of ports ("4000/2") goes away with the old.
func (e *Edit) Port(m *Media, port uint16) {
	e.replace(m.portStart, m.portEnd, strconv.Itoa(int(port)))
}

// RTCP writes where m's RTCP goes, if m has an a=rtcp line. The address is
// written only if one was there.
func (e *Edit) RTCP(m *Media, to netip.AddrPort) {
	if m.RTCP == nil {
		return
	}
	text := strconv.Itoa(int(to.Port()))
	if m.RTCP.Address != nil {
		text += " IN " + Family(to.Addr())
	}
	e.replace(m.RTCP.start, m.RTCP.end, text)
}

// Direction writes m's direction: in place of the one it has, or as a new line
// at the end of m.
func (e *Edit) Direction(m *Media, d Direction) {
	s := e.session
	for _, l := range s.lines[m.first:m.last] {
		if l.kind != 'a' {
			continue
		}
		if _, ok := parseDirection(s.value(l)); ok {
			e.replace(l.start, l.end, d.String())
			return
		}
	}
	e.Append(m, d.String())
}

// RemoveICE takes every ICE attribute away, of the session and of all media.
func (e *Edit) RemoveICE() { e.Remove(IsICE) }

// Remove takes away every a= line whose attribute name is unwanted.
func (e *Edit) Remove(unwanted func(name string) bool) {
	s := e.session
	for _, l := range s.lines {
		if name, _, _ := strings.Cut(s.value(l), ":"); l.kind == 'a' && unwanted(name) {
			e.replace(l.start-len("a="), l.next, "")
		}
	}
}

// eol is the line end of the text: that of its first line.
func (s *Session) eol() string {
	if i := bytes.IndexByte(s.text, '\n'); i > 0 && s.text[i-1] == '\r' || i < 0 {
		return "\r\n"
	}
	return "\n"
}

// Bytes is the text with all changes made. The session and its text stay as
// they are.
func (e *Edit) Bytes() []byte {
	slices.SortStableFunc(e.changes, func(a, b change) int { return cmp.Compare(a.start, b.start) })
	out := make([]byte, 0, len(e.session.text)+16*len(e.changes))
	pos, eol := 0, e.session.eol()
	ended := bytes.HasSuffix(e.session.text, []byte("\n"))
	for _, c := range e.changes {
		if c.start < pos {
			continue // inside what is gone already
		}
		out = append(out, e.session.text[pos:c.start]...)
		if c.line && !bytes.HasSuffix(out, []byte("\n")) { // the text ends without a line end
			out = append(bytes.TrimSuffix(out, []byte("\r")), eol...)
		}
		out = append(out, c.text...)
		if c.line && (ended || c.end < len(e.session.text)) {
			out = append(out, eol...)
		}
		pos = c.end
	}
	return append(out, e.session.text[pos:]...)
}
