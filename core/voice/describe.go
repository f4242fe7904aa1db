package voice

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sdp"
)

// A codec is a law of G.711.
type codec uint8

const (
	pcmu codec = iota + 1
	pcma
)

const eventName = "telephone-event"

// Offer is a description of the session of its own, for an INVITE that had none,
// and what it says when nothing else was agreed. It can be given again.
func (s *Session) Offer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("m=audio " + port(s.local.Port()) + " RTP/AVP 0 8 101\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n" +
		"a=ptime:20\r\na=sendrecv\r\n")
	return s.describe(b.String())
}

// Accept takes the answer to Offer.
func (s *Session) Accept(answer []byte) error {
	_, _, err := s.agree(answer)
	return err
}

// Answer takes an offer and returns the answer (RFC 3264 §6): the first of PCMU
// and PCMA in the offer's order, telephone events if offered, everything else
// refused. ErrNoCodec means that nothing is left (488). It is called again when
// the peer changes the session, puts it on hold, or takes it off.
func (s *Session) Answer(offer []byte) ([]byte, error) {
	parsed, chosen, err := s.agree(offer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for i := range parsed.Media {
		m := &parsed.Media[i]
		if i != chosen {
			fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", m.Kind, m.Proto, strings.Join(m.Formats, " "))
			continue
		}
		s.answerAudio(&b, m)
	}
	return s.describe(b.String()), nil
}

// answerAudio writes the m= section of what was agreed. The caller holds mu.
func (s *Session) answerAudio(b *strings.Builder, m *sdp.Media) {
	st := s.stream
	name := "PCMU"
	if st.codec == pcma {
		name = "PCMA"
	}
	formats := strconv.Itoa(int(st.payload))
	if st.event >= 0 {
		formats += " " + strconv.Itoa(st.event)
	}
	fmt.Fprintf(b, "m=audio %d %s %s\r\na=rtpmap:%d %s/8000\r\n", s.local.Port(), m.Proto, formats, st.payload, name)
	if st.event >= 0 {
		fmt.Fprintf(b, "a=rtpmap:%d %s/8000\r\na=fmtp:%d 0-16\r\n", st.event, eventName, st.event)
	}
	direction := map[sdp.Direction]sdp.Direction{ // RFC 3264 §6.1
		sdp.SendRecv: sdp.SendRecv, sdp.SendOnly: sdp.RecvOnly, sdp.RecvOnly: sdp.SendOnly, sdp.Inactive: sdp.Inactive,
	}[m.Direction]
	fmt.Fprintf(b, "a=ptime:20\r\na=%s\r\n", direction)
}

// describe puts the session lines before media lines; the version rises when
// anything changed. The caller holds mu.
func (s *Session) describe(media string) []byte {
	if s.told != "" && s.told != media {
		s.version++
	}
	s.told = media
	family := "IP4"
	if s.local.Addr().Is6() {
		family = "IP6"
	}
	return fmt.Appendf(nil, "v=0\r\no=lindero %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n%s",
		s.id, s.version, family, s.local.Addr(), family, s.local.Addr(), media)
}

// agree reads a description of the peer, takes the first audio stream that can
// be used, and remembers what was agreed.
func (s *Session) agree(description []byte) (*sdp.Session, int, error) {
	parsed, err := sdp.Parse(description)
	if err != nil {
		return nil, 0, fmt.Errorf("voice: reading a description: %w", err)
	}
	for i := range parsed.Media {
		st, ok := usable(&parsed.Media[i])
		if !ok {
			continue
		}
		s.mu.Lock()
		if s.stream == nil || s.stream.peer != st.peer {
			s.learned = netip.AddrPort{}
		}
		s.stream = st
		s.mu.Unlock()
		return parsed, i, nil
	}
	return nil, 0, ErrNoCodec
}

// usable tells whether a stream is plain G.711, and how.
func usable(m *sdp.Media) (*stream, bool) {
	if m.Kind != "audio" || m.Port == 0 || !m.RTP() || m.Secure() {
		return nil, false
	}
	address := m.Address()
	if address == nil || !address.Addr.IsValid() {
		return nil, false
	}
	st := &stream{event: -1, peer: netip.AddrPortFrom(address.Addr.Unmap(), m.Port)}
	st.send = !address.Held() && (m.Direction == sdp.SendRecv || m.Direction == sdp.RecvOnly)
	for _, format := range m.Formats {
		c, ok := m.Codec(format)
		pt, err := strconv.ParseUint(format, 10, 7)
		if !ok || err != nil || c.Clock != 8000 || c.Channels > 1 {
			continue
		}
		switch {
		case strings.EqualFold(c.Name, "PCMU") && st.codec == 0:
			st.codec, st.payload = pcmu, uint8(pt)
		case strings.EqualFold(c.Name, "PCMA") && st.codec == 0:
			st.codec, st.payload = pcma, uint8(pt)
		case strings.EqualFold(c.Name, eventName) && st.event < 0:
			st.event = int(pt)
		}
	}
	return st, st.codec != 0
}

func port(p uint16) string { return strconv.Itoa(int(p)) }
