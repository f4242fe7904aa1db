package sdp

import (
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// A Direction says who sends, seen by who wrote the description (RFC 8866 §6.7).
type Direction uint8

// The four directions. SendRecv is what a description means that says nothing.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
	directions
)

// String is the name of the attribute.
func (d Direction) String() string {
	return [directions]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d%directions]
}

func parseDirection(name string) (Direction, bool) {
	for d := SendRecv; d < directions; d++ {
		if d.String() == name {
			return d, true
		}
	}
	return 0, false
}

// A Media is one m= line with what belongs to it.
type Media struct {
	Kind       string   // "audio", "video", "image", "application" …
	Port       uint16   // 0 refuses the stream
	Proto      string   // "RTP/AVP" and the rest, as written
	Formats    []string // payload types, of RTP
	Connection *Address // of its own c= line, or nil
	Direction  Direction
	RTCP       *RTCP // a=rtcp, or nil
	Mux        bool  // a=rtcp-mux
	ICE        bool  // any ICE attribute
	Crypto     bool  // a=crypto: keys of SDES (RFC 4568)
	DTLS       bool  // a=fingerprint, here or above

	session              *Session
	first, last          int // its lines, last exclusive
	portStart, portEnd   int
	protoStart, protoEnd int
	end                  int // of the m= line
}

// An RTCP is an a=rtcp attribute (RFC 3605).
type RTCP struct {
	Port    uint16
	Address *Address // nil when it is that of the media

	start, end int // of "port …" in the text
}

// media reads an m= line: kind port["/"count] proto format…
func (s *Session) media(l line, i int) (Media, error) {
	f := strings.FieldsFunc(s.value(l), blank)
	if len(f) < 4 {
		return Media{}, fmt.Errorf("%w: an m= line of %d words", ErrSyntax, len(f))
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Media{}, fmt.Errorf("%w: port of an m= line", ErrSyntax)
	}
	// Kind and port are the first words, so the first place where the port's text
	// follows a space is the port.
	at := l.start + strings.Index(s.value(l), f[0]) + len(f[0])
	for s.text[at] == ' ' || s.text[at] == '\t' {
		at++
	}
	after := at + len(f[1])
	for s.text[after] == ' ' || s.text[after] == '\t' {
		after++
	}
	return Media{
		Kind: f[0], Port: uint16(port), Proto: f[2], Formats: f[3:],
		session: s, first: i, last: len(s.lines), portStart: at, portEnd: at + len(f[1]),
		protoStart: after, protoEnd: after + len(f[2]), end: l.end,
	}, nil
}

func blank(r rune) bool { return r == ' ' || r == '\t' }

// attributes reads what m's a= lines, and the session's for those that are
// inherited, say about m.
func (s *Session) attributes(m *Media) error {
	for name := range s.attrs(0, s.head) {
		if d, ok := parseDirection(name); ok {
			m.Direction = d
		}
		m.DTLS = m.DTLS || name == "fingerprint"
		m.ICE = m.ICE || IsICE(name)
	}
	for i, l := range s.lines[m.first:m.last] {
		if l.kind != 'a' {
			continue
		}
		name, value, _ := strings.Cut(s.value(l), ":")
		if d, ok := parseDirection(name); ok {
			m.Direction = d
		}
		switch {
		case name == "rtcp" && m.RTCP == nil:
			r, err := s.rtcp(l, value)
			if err != nil {
				return s.fault(m.first+i, err)
			}
			m.RTCP = r
		case name == "rtcp-mux":
			m.Mux = true
		case name == "crypto":
			m.Crypto = true
		case name == "fingerprint":
			m.DTLS = true
		case IsICE(name):
			m.ICE = true
		}
	}
	return nil
}

func (s *Session) rtcp(l line, value string) (*RTCP, error) {
	number, rest, more := strings.Cut(value, " ")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: port of a=rtcp", ErrSyntax)
	}
	r := &RTCP{Port: uint16(port), start: l.end - len(value), end: l.end}
	if more && strings.TrimSpace(rest) != "" {
		if r.Address, err = s.address(l.end-len(rest), l.end); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// IsICE knows the attributes of RFC 8839, and a=alt, with which old soft phones
// listed their addresses before there was ICE.
func IsICE(name string) bool {
	switch name {
	case "candidate", "remote-candidates", "end-of-candidates", "alt":
		return true
	}
	return strings.HasPrefix(name, "ice-") || name == "ice2"
}

// Attrs yields name and value of m's own attributes.
func (m *Media) Attrs() iter.Seq2[string, string] { return m.session.attrs(m.first, m.last) }

// Attr returns the value of m's first attribute of that name, "" for a flag.
func (m *Media) Attr(name string) (value string, ok bool) {
	for n, v := range m.Attrs() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Address is where m wants its packets: its own c= line, else the session's. It
// is nil when there is neither.
func (m *Media) Address() *Address {
	if m.Connection != nil {
		return m.Connection
	}
	return m.session.Connection
}

// RTP says whether m is RTP in the clear; Secure whether it is SRTP, by its own
// keys or by DTLS. Both are false for anything else, such as T.38 over UDPTL.
func (m *Media) RTP() bool {
	return strings.EqualFold(m.Proto, "RTP/AVP") || strings.EqualFold(m.Proto, "RTP/AVPF")
}

// Secure says whether m's protocol is SRTP.
func (m *Media) Secure() bool {
	p := strings.ToUpper(m.Proto)
	return strings.HasPrefix(p, "RTP/SAVP") || strings.HasPrefix(p, "UDP/TLS/RTP/") || strings.HasPrefix(p, "DCCP/TLS/")
}

// UDPTL says whether m is T.38 fax in UDP (RFC 7345 calls its secure form UDP/TLS/UDPTL).
func (m *Media) UDPTL() bool { return strings.EqualFold(m.Proto, "udptl") }

// RTCPAddr is where m wants its RTCP: by a=rtcp, else one port above (RFC 3550
// §11). It is the zero AddrPort when m names no IP address or no port.
func (m *Media) RTCPAddr() netip.AddrPort {
	a, port := m.Address(), uint32(m.Port)+1
	if m.RTCP != nil {
		port = uint32(m.RTCP.Port)
		if m.RTCP.Address != nil {
			a = m.RTCP.Address
		}
	}
	if a == nil || !a.Addr.IsValid() || m.Port == 0 || port == 0 || port > 0xffff {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr, uint16(port))
}

// A Codec is what a payload type means.
type Codec struct {
	Name     string // as written
	Clock    uint32 // Hz of the timestamps
	Channels int
}

// Codec looks up a payload type in m's a=rtpmap lines, then among the static
// types of RFC 3551 that telephones use.
func (m *Media) Codec(format string) (Codec, bool) {
	for name, value := range m.Attrs() {
		pt, what, ok := strings.Cut(value, " ")
		if name != "rtpmap" || !ok || pt != format {
			continue
		}
		f := strings.Split(strings.TrimSpace(what), "/")
		if len(f) < 2 {
			return Codec{}, false
		}
		clock, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil || clock == 0 {
			return Codec{}, false
		}
		c := Codec{Name: f[0], Clock: uint32(clock), Channels: 1}
		if len(f) > 2 {
			if n, err := strconv.Atoi(f[2]); err == nil && n > 0 {
				c.Channels = n
			}
		}
		return c, true
	}
	return static(format)
}

func static(format string) (Codec, bool) {
	switch format {
	case "0":
		return Codec{"PCMU", 8000, 1}, true
	case "3":
		return Codec{"GSM", 8000, 1}, true
	case "4":
		return Codec{"G723", 8000, 1}, true
	case "8":
		return Codec{"PCMA", 8000, 1}, true
	case "9":
		return Codec{"G722", 8000, 1}, true // 8000 by an old mistake: RFC 3551 §4.5.2
	case "13":
		return Codec{"CN", 8000, 1}, true
	case "15":
		return Codec{"G728", 8000, 1}, true
	case "18":
		return Codec{"G729", 8000, 1}, true
	}
	return Codec{}, false
}

// Fmtp returns the parameters that a=fmtp gives a payload type.
func (m *Media) Fmtp(format string) (parameters string, ok bool) {
	for name, value := range m.Attrs() {
		if pt, what, found := strings.Cut(value, " "); name == "fmtp" && found && pt == format {
			return what, true
		}
	}
	return "", false
}

// PTime is the packet time m asks for in a=ptime, in ms, or 0.
func (m *Media) PTime() int {
	v, _ := m.Attr("ptime")
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
