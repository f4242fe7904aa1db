package sdp

import (
	"slices"
	"strconv"
	"strings"
)

// Append writes a new a= line at the end of m. What is appended first comes first.
func (e *Edit) Append(m *Media, attribute string) {
	e.insert(e.session.lines[m.last-1].next, "a="+attribute)
}

// AppendSession writes a new a= line at the end of what stands above the first m= line.
func (e *Edit) AppendSession(attribute string) {
	s := e.session
	e.insert(s.lines[s.head-1].next, "a="+attribute)
}

func (e *Edit) insert(at int, line string) {
	e.changes = append(e.changes, change{start: at, end: at, text: line, line: true})
}

// Proto writes the protocol of m.
func (e *Edit) Proto(m *Media, proto string) { e.replace(m.protoStart, m.protoEnd, proto) }

// Formats writes the formats of m, payload types of RTP, and takes the attributes
// away that describe others: a=rtpmap, a=fmtp and a=rtcp-fb. There must be one.
func (e *Edit) Formats(m *Media, formats []string) {
	e.replace(m.protoEnd, m.end, " "+strings.Join(formats, " "))
	e.RemoveOf(m, func(name, value string) bool {
		format, _, _ := strings.Cut(value, " ")
		return (name == "rtpmap" || name == "fmtp" || name == "rtcp-fb") && format != "*" && !slices.Contains(formats, format)
	})
}

// RemoveOf takes away every a= line of m whose attribute is unwanted.
func (e *Edit) RemoveOf(m *Media, unwanted func(name, value string) bool) {
	e.remove(e.session.lines[m.first:m.last], unwanted)
}

// RemoveAny takes away every a= line of the session and of all media whose
// attribute is unwanted.
func (e *Edit) RemoveAny(unwanted func(name, value string) bool) {
	e.remove(e.session.lines, unwanted)
}

func (e *Edit) remove(lines []line, unwanted func(name, value string) bool) {
	for _, l := range lines {
		if name, value, _ := strings.Cut(e.session.value(l), ":"); l.kind == 'a' && unwanted(name, value) {
			e.replace(l.start-len("a="), l.next, "")
		}
	}
}

// An Identity is by what a reader recognises who described a session: the first
// words of the o= line, and the s= line (RFC 8866, sections 5.2 and 5.3).
type Identity struct {
	User    string
	Version uint64
	Name    string
}

// Identity returns what s says of itself. ok is false when there is no o= line
// with a version in it.
func (s *Session) Identity() (id Identity, ok bool) {
	if l := s.headLine('s'); l != nil {
		id.Name = s.value(*l)
	}
	if l := s.headLine('o'); l != nil {
		id.User, _, _ = strings.Cut(s.value(*l), " ")
	}
	id.Version, ok = s.Version()
	return id, ok
}

func (s *Session) headLine(kind byte) *line {
	for i := range s.lines[:s.head] {
		if s.lines[i].kind == kind {
			return &s.lines[i]
		}
	}
	return nil
}

// User writes the user name of the o= line, if there is such a line.
func (e *Edit) User(name string) { e.originWord(0, name) }

// Version writes the session version of the o= line, if there is such a line.
func (e *Edit) Version(v uint64) { e.originWord(2, strconv.FormatUint(v, 10)) }

// originWord writes the i-th word of the o= line.
func (e *Edit) originWord(i int, text string) {
	l := e.session.headLine('o')
	if l == nil {
		return
	}
	start := l.start
	for _, word := range strings.SplitAfter(e.session.value(*l), " ") {
		if i == 0 {
			e.replace(start, start+len(strings.TrimRight(word, " ")), text)
			return
		}
		i--
		start += len(word)
	}
}

// Name writes the s= line, if there is one.
func (e *Edit) Name(text string) {
	if l := e.session.headLine('s'); l != nil {
		e.replace(l.start, l.end, text)
	}
}
