package sip

import "bytes"

// MaxLine is the longest start line or header line, with its folds, in bytes.
const MaxLine = 8 << 10

// Scan reads one whole message: a datagram, or what Frame cut from a stream. The
// error, if any, is a *ScanError; a response with an error is to be dropped.
// Bytes after Content-Length are left out of Raw and Body (RFC 3261 §18.3). Scan
// takes linear time and does not allocate, errors apart.
func (m *Message) Scan(raw []byte) error {
	s := scanner{m: m}
	m.reset(raw)
	if len(raw) > MaxStream {
		s.fault(513, "message too large")
		raw = raw[:MaxStream]
	}
	if s.startLine(raw); s.lost {
		return s.verdict()
	}
	s.headerLines(raw)
	s.required()
	s.body(raw)
	return s.verdict()
}

func (m *Message) reset(raw []byte) {
	m.Raw, m.Body = raw, nil
	m.Method, m.URI, m.Code, m.Reason = nil, nil, 0, nil
	m.CSeqNumber, m.CSeqMethod = 0, nil
	m.n, m.bodyAt = 0, 0
	m.first = [numHeaderIDs]int16{}
}

// A scanner is the state of one Scan. It keeps the first fault and reads on, for
// the sake of the answer.
type scanner struct {
	m      *Message
	at     int  // where the next line begins
	code   int  // of the first fault; 0 while there is none
	lost   bool // nothing after this can be read
	mute   bool // no answer may or can be made
	reason string
}

func (s *scanner) fault(code int, reason string) {
	if s.code == 0 {
		s.code, s.reason = code, reason
	}
}

// verdict is the error of the whole scan. An ACK is never answered, and neither
// is what has no top Via to send an answer by.
func (s *scanner) verdict() error {
	if s.code == 0 {
		return nil
	}
	m := s.m
	e := &ScanError{Code: s.code, Reason: s.reason}
	if !s.lost && !s.mute && m.Method != nil && !m.Is("ACK") {
		_, _, e.Answerable = readVia(m.Topmost(Via))
	}
	return e
}

// cutLine returns the line that begins at b, without CRLF, and the number of bytes
// to step over. Its continuation lines belong to it (RFC 3261 §7.3.1) when folds
// is set. ok is false when no CRLF ends it or a line ends in a bare LF.
func cutLine(b []byte, folds bool) (line []byte, n int, ok bool) {
	ok = true
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return b, len(b), false
		}
		n += i + 1
		ok = ok && n > 1 && b[n-2] == '\r'
		if !folds || n == len(b) || b[n] != ' ' && b[n] != '\t' {
			break
		}
	}
	if !ok {
		return b[:n-1], n, false
	}
	return b[:n-2], n, true
}

// startLine reads the Request-Line or Status-Line (RFC 3261 §7.1, §7.2): single
// spaces, nothing before or after.
func (s *scanner) startLine(raw []byte) {
	line, n, ok := cutLine(raw, false)
	s.at = n
	if !ok || len(line) > MaxLine || bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		s.lost = true
		s.fault(400, "malformed start line")
		return
	}
	if len(line) > 4 && equalFold(line[:4], "SIP/") {
		s.statusLine(line)
		return
	}
	s.requestLine(line)
}

func (s *scanner) statusLine(line []byte) {
	const prefix = len("SIP/2.0 200 ")
	if len(line) < prefix || !equalFold(line[:8], "SIP/2.0 ") || line[prefix-1] != ' ' {
		s.lost = true
		s.fault(400, "malformed status line")
		return
	}
	code, ok := ParseInt(line[8 : prefix-1])
	if !ok || code < 100 || code > 699 {
		s.lost = true
		s.fault(400, "status code out of range")
		return
	}
	s.m.Code, s.m.Reason = int(code), line[prefix:len(line):len(line)]
}

func (s *scanner) requestLine(line []byte) {
	m := s.m
	i := bytes.IndexByte(line, ' ')
	j := bytes.LastIndexByte(line, ' ')
	if i < 0 || !all(line[:i], tokenByte) {
		s.lost = true
		s.fault(400, "malformed start line")
		return
	}
	m.Method = line[:i:i]
	version := line[j+1:]
	switch {
	case i == j || len(version) < 5 || !equalFold(version[:4], "SIP/"):
		s.fault(400, "malformed request line")
		return
	case string(version[4:]) != "2.0":
		s.fault(505, "version not supported")
	}
	m.URI = line[i+1 : j : j]
	// Headers in a Request-URI are not allowed (RFC 3261 §19.1.1, table 1).
	if u, err := ParseURI(m.URI); err != nil || u.Headers != nil {
		s.fault(400, "malformed Request-URI")
	}
}

// headerLines reads all lines up to the empty one.
func (s *scanner) headerLines(raw []byte) {
	m := s.m
	head := s.at
	for {
		rest := raw[s.at:]
		if len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n' {
			s.at += 2
			break
		}
		if len(rest) == 0 {
			s.fault(400, "no empty line after the headers")
			break
		}
		if m.n == MaxHeaders {
			s.fault(400, "too many headers")
			break
		}
		s.headerLine(rest)
	}
	m.bodyAt = s.at
	// Every LF had its CR, or there is a fault already. If there are more CRs
	// than LFs, one stands bare.
	b := raw[head:s.at]
	if s.code != 0 || bytes.Count(b, crByte) != bytes.Count(b, lfByte) || bytes.IndexByte(b, 0) >= 0 {
		s.controls(raw)
	}
}

var crByte, lfByte = []byte{'\r'}, []byte{'\n'}

// controls looks for the line in which a CR or a NUL stands that may not. It runs
// only when there is a reason to.
func (s *scanner) controls(raw []byte) {
	for i := range s.m.n {
		h := s.m.headers[i]
		line := raw[h.Start:h.End]
		switch {
		case bareCR(line):
			s.fault(400, "bare CR")
		case bareNUL(line):
			s.fault(400, "bare NUL")
		default:
			continue
		}
		s.mute = s.mute || h.ID.answered()
	}
}

func bareCR(line []byte) bool {
	for i := bytes.IndexByte(line, '\r'); i >= 0; {
		if i+1 == len(line) || line[i+1] != '\n' {
			return true
		}
		line = line[i+1:]
		i = bytes.IndexByte(line, '\r')
	}
	return false
}

// bareNUL allows a NUL only where RFC 3261 §25.1 does: as the second byte of a
// quoted-pair.
func bareNUL(line []byte) bool {
	if bytes.IndexByte(line, 0) < 0 {
		return false
	}
	inside := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case 0:
			return true
		case '"':
			inside = !inside
		case '\\':
			if inside {
				i++
			}
		}
	}
	return false
}

// headerLine reads the line that rest begins with. A line that cannot be read is
// not kept, so that no answer repeats it.
func (s *scanner) headerLine(rest []byte) {
	line, n, ok := cutLine(rest, true)
	start := s.at
	s.at += n
	name, value, named := cutName(line)
	id := idOf(name)
	switch {
	case !ok:
		s.fault(400, "header line without CRLF")
	case len(line) > MaxLine:
		s.fault(400, "header line too long")
	case !named:
		s.fault(400, "malformed header name")
	}
	if !ok || len(line) > MaxLine || !named {
		s.mute = s.mute || id.answered()
		return
	}
	at := start + len(line) - len(value)
	value = trim(value)
	m := s.m
	if m.first[id] == 0 {
		m.first[id] = int16(m.n) + 1
	} else if id.single() {
		s.fault(400, duplicates[id])
	}
	m.headers[m.n] = Header{
		ID:         id,
		Start:      int32(start),
		End:        int32(start + n),
		NameEnd:    int32(start + len(name)),
		ValueStart: int32(at),
		ValueEnd:   int32(at + len(value)),
	}
	m.n++
	s.check(id, value)
}

// cutName splits a header line at its colon; white space may stand before the
// colon (RFC 3261 §25.1, HCOLON) and is taken off the value's front.
func cutName(line []byte) (name, value []byte, ok bool) {
	end := 0
	for end < len(line) && classes[line[end]]&tokenByte != 0 {
		end++
	}
	colon := end
	for colon < len(line) && (line[colon] == ' ' || line[colon] == '\t') {
		colon++
	}
	if end == 0 || colon == len(line) || line[colon] != ':' {
		return line[:end], nil, false
	}
	return line[:end], trimLeft(line[colon+1:]), true
}
