package voice

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/lindero/lindero/wire/rtp"
)

// A Session is one party that core speaks for. Its methods may be called from
// any goroutine.
type Session struct {
	e      *Engine
	mode   Mode
	events Events
	conn   *net.UDPConn
	local  netip.AddrPort
	id     uint64 // of its descriptions

	mu      sync.Mutex // guards the fields below; nothing blocks while it is held
	closed  bool
	started bool
	version uint64
	told    string         // the description as it was last given, without version
	stream  *stream        // nil before an answer
	learned netip.AddrPort // where the peer really sends from
	out     rtp.Header     // of the last packet sent
	said    int            // bytes of the greeting
	echo    echo
	keys    dtmf
	buf     []byte
}

// A stream is what was agreed.
type stream struct {
	codec   codec
	payload uint8
	event   int // payload type of telephone events, or -1
	peer    netip.AddrPort
	send    bool // we may send
}

// echo is how the numbers of what is heard become those of what is sent: by a
// constant distance, so that the peer sees its own losses and its own timing.
type echo struct {
	on        bool
	ssrc      uint32
	seq       uint16 // to add
	timestamp uint32 // to add
}

func newSession(e *Engine, mode Mode, events Events, conn *net.UDPConn, port uint16) *Session {
	return &Session{
		e: e, mode: mode, events: events, conn: conn, local: netip.AddrPortFrom(e.cfg.Media, port),
		id: uint64(rand.Uint32()), version: 1,
		out: rtp.Header{SSRC: rand.Uint32(), Sequence: uint16(rand.Uint32()), Timestamp: rand.Uint32(), Marker: true},
		buf: make([]byte, 0, maxPacket),
	}
}

// maxPacket is the longest packet that is heard: more than 160 ms of G.711.
const maxPacket = 1500

// Local is where the session listens.
func (s *Session) Local() netip.AddrPort { return s.local }

// Start lets a greeting begin to speak. An echo needs no Start.
func (s *Session) Start() {
	s.mu.Lock()
	begin := s.mode == Greeting && !s.started && !s.closed
	s.started = true
	s.mu.Unlock()
	if begin {
		s.e.enlist(s)
	}
}

// Close gives the port back. It does not wait, and may be called again.
func (s *Session) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return
	}
	s.conn.Close()
	s.e.forget(s)
}

// read serves the session's socket until Close.
func (s *Session) read() {
	b := make([]byte, maxPacket+1)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier packet: the socket lives
		}
		s.hear(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n])
	}
}

// hear takes one datagram.
func (s *Session) hear(from netip.AddrPort, b []byte) {
	if rtp.KindOf(b) != rtp.RTP || len(b) > maxPacket {
		s.e.metrics.ignored.Inc()
		return
	}
	h, payload, err := rtp.Parse(b)
	if err != nil {
		s.e.metrics.ignored.Inc()
		return
	}
	for _, key := range s.take(from, h, payload) {
		s.press(key)
	}
}

// take learns where the peer is, sends the echo, and returns the keys pressed.
// Only the address that the peer's description named is listened to; its port
// may be another, because of NAT.
func (s *Session) take(from netip.AddrPort, h rtp.Header, payload []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stream
	if st == nil || s.closed || from.Addr() != st.peer.Addr() {
		s.e.metrics.ignored.Inc()
		return nil
	}
	s.learned = from
	if int(h.PayloadType) == st.event {
		s.echo.seq-- // keys are not echoed, and must not look like a loss
		ev, ok := rtp.ParseEvent(payload)
		if !ok {
			return nil
		}
		return s.keys.add(h, ev)
	}
	if h.PayloadType != st.payload || s.mode != Echo || !st.send || len(payload) == 0 {
		return nil
	}
	if !s.echo.on || s.echo.ssrc != h.SSRC { // another source goes on where the last one ended
		s.echo = echo{on: true, ssrc: h.SSRC, seq: s.out.Sequence + 1 - h.Sequence, timestamp: s.out.Timestamp + uint32(len(payload)) - h.Timestamp}
	}
	s.out.Sequence, s.out.Timestamp = h.Sequence+s.echo.seq, h.Timestamp+s.echo.timestamp
	s.out.Marker, s.out.PayloadType = h.Marker, st.payload
	s.write(append(s.out.Append(s.buf[:0]), payload...), from)
	return nil
}

// target is where to send: where the peer sends from, else what it told. The
// caller holds mu.
func (s *Session) target() (netip.AddrPort, bool) {
	if s.learned.IsValid() {
		return s.learned, true
	}
	if s.stream == nil || s.stream.peer.Port() == 0 {
		return netip.AddrPort{}, false
	}
	return s.stream.peer, true
}

// write sends a packet. A lost one is no more than a lost one.
func (s *Session) write(packet []byte, to netip.AddrPort) {
	if _, err := s.conn.WriteToUDPAddrPort(packet, to); err == nil {
		s.e.metrics.sent.Inc()
	}
}

// press tells of a key.
func (s *Session) press(key byte) {
	s.e.metrics.digits.Inc()
	if s.events.Digit != nil {
		s.events.Digit(key)
	}
}

// Info takes the body of a SIP INFO: application/dtmf-relay ("Signal=5") or
// application/dtmf ("5"). It is false for anything else.
func (s *Session) Info(contentType string, b []byte) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	text := string(b)
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/dtmf-relay":
		signal := ""
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(line, "=")
			if strings.EqualFold(strings.TrimSpace(name), "signal") {
				signal = value
			}
		}
		text = signal
	case "application/dtmf":
	default:
		return false
	}
	text = strings.ToUpper(strings.TrimSpace(text))
	if len(text) != 1 {
		return false
	}
	if _, ok := rtp.EventCode(text[0]); !ok {
		return false
	}
	s.press(text[0])
	return true
}
