package phone

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/rtp"
)

// A Codec is a way to code sound that the phone knows.
type Codec uint8

// The codecs; the zero Codec is none.
const (
	PCMU Codec = iota + 1
	PCMA
)

func (c Codec) String() string {
	switch c {
	case PCMU:
		return "PCMU"
	case PCMA:
		return "PCMA"
	}
	return "none"
}

// payload is the codec's static payload type (RFC 3551 §6).
func (c Codec) payload() uint8 {
	if c == PCMA {
		return rtp.PCMA
	}
	return rtp.PCMU
}

// eventsPayload is the payload type we offer for telephone events.
const eventsPayload = 101

// A direction is one of RFC 4566's, as two facts about whoever says it.
type direction struct{ send, receive bool }

var (
	sendrecv = direction{true, true}
	sendonly = direction{true, false}
	recvonly = direction{false, true}
	inactive = direction{}
)

func (d direction) String() string {
	switch d {
	case sendrecv:
		return "sendrecv"
	case sendonly:
		return "sendonly"
	case recvonly:
		return "recvonly"
	}
	return "inactive"
}

// answer is what a party that wants d may say to an offer of o.
func (d direction) answer(o direction) direction {
	return direction{send: d.send && o.receive, receive: d.receive && o.send}
}

// A description is what a session description says of the sound.
type description struct {
	addr   netip.AddrPort // invalid when the stream is refused or held by 0.0.0.0
	codecs []Codec        // those we know, in the peer's order
	events uint8          // payload type of telephone events; 0: none
	dir    direction
	lines  []string // every m= line, because an answer has as many
	audio  int      // which of them is this stream
}

// parseSDP reads the first audio stream of a description.
func parseSDP(body []byte) (description, error) {
	d := description{dir: sendrecv, audio: -1}
	var host netip.Addr
	port, ours := uint16(0), false // ours: inside the m= section of the audio stream
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, _ := strings.Cut(line, "=")
		switch kind {
		case "m":
			d.lines = append(d.lines, value)
			f := strings.Fields(value)
			if len(f) < 4 {
				return d, fmt.Errorf("phone: a stream without formats in the session description")
			}
			ours = d.audio < 0 && f[0] == "audio" && f[2] == "RTP/AVP"
			if ours {
				d.audio = len(d.lines) - 1
				p, _ := strconv.ParseUint(f[1], 10, 16)
				port = uint16(p)
				d.codecs = known(f[3:])
			}
		case "c":
			if f := strings.Fields(value); len(f) == 3 && (ours || len(d.lines) == 0) {
				host, _ = netip.ParseAddr(f[2])
			}
		case "a":
			if ours || len(d.lines) == 0 {
				d.attribute(value)
			}
		}
	}
	if d.audio < 0 {
		return d, fmt.Errorf("phone: no audio over RTP/AVP in the session description")
	}
	if port != 0 && host.IsValid() && !host.IsUnspecified() {
		d.addr = netip.AddrPortFrom(host, port)
	}
	return d, nil
}

func (d *description) attribute(value string) {
	switch value {
	case "sendrecv":
		d.dir = sendrecv
	case "sendonly":
		d.dir = sendonly
	case "recvonly":
		d.dir = recvonly
	case "inactive":
		d.dir = inactive
	}
	if m, ok := strings.CutPrefix(value, "rtpmap:"); ok {
		pt, name, _ := strings.Cut(m, " ")
		if n, err := strconv.ParseUint(pt, 10, 7); err == nil && strings.EqualFold(name, "telephone-event/8000") {
			d.events = uint8(n)
		}
	}
}

// known are the codecs among payload types.
func known(formats []string) []Codec {
	var codecs []Codec
	for _, f := range formats {
		switch f {
		case "0":
			codecs = append(codecs, PCMU)
		case "8":
			codecs = append(codecs, PCMA)
		}
	}
	return codecs
}

// choose is the first codec of theirs that is among ours.
func choose(ours, theirs []Codec) (Codec, bool) {
	for _, c := range theirs {
		if slices.Contains(ours, c) {
			return c, true
		}
	}
	return 0, false
}

// A speaker writes our session descriptions (RFC 3264): the same session id and
// a version that counts up.
type speaker struct {
	at      netip.AddrPort
	id      uint64
	version uint64
}

// offer describes our stream.
func (s *speaker) offer(codecs []Codec, dir direction) []byte {
	return s.print([]string{s.media(codecs, eventsPayload)}, 0, codecs, eventsPayload, dir)
}

// answer describes our stream as an answer to o with codec; other streams are
// refused by port 0 (RFC 3264 §6).
func (s *speaker) answer(o description, codec Codec, dir direction) []byte {
	lines := make([]string, len(o.lines))
	for i, l := range o.lines {
		f := strings.Fields(l)
		lines[i] = f[0] + " 0 " + strings.Join(f[2:], " ")
	}
	lines[o.audio] = s.media([]Codec{codec}, o.events)
	return s.print(lines, o.audio, []Codec{codec}, o.events, dir)
}

func (s *speaker) media(codecs []Codec, events uint8) string {
	line := fmt.Sprintf("audio %d RTP/AVP", s.at.Port())
	for _, c := range codecs {
		line += fmt.Sprintf(" %d", c.payload())
	}
	if events != 0 {
		line += fmt.Sprintf(" %d", events)
	}
	return line
}

func (s *speaker) print(lines []string, audio int, codecs []Codec, events uint8, dir direction) []byte {
	s.version++
	family := "IP4"
	if s.at.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %[3]s %[4]s\r\nt=0 0\r\n", s.id, s.version, family, s.at.Addr())
	for i, l := range lines {
		b.WriteString("m=" + l + "\r\n")
		if i != audio {
			continue
		}
		for _, c := range codecs {
			fmt.Fprintf(&b, "a=rtpmap:%d %s/8000\r\n", c.payload(), c)
		}
		if events != 0 {
			fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%[1]d 0-15\r\n", events)
		}
		b.WriteString("a=ptime:20\r\na=" + dir.String() + "\r\n")
	}
	return []byte(b.String())
}
