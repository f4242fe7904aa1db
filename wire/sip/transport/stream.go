package transport

import (
	"bytes"
	"errors"
	"sync"

	"github.com/lindero/lindero/wire/sip"
)

// Read buffers come in three sizes. An idle TCP connection holds none, any other
// a small one; only a message that needs it gets a larger one, for as long as it
// is in it.
const (
	smallBuffer  = 4 << 10
	middleBuffer = 16 << 10
	largeBuffer  = sip.MaxStream
)

// The pools are written once, here.
var (
	smallPool  = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	middlePool = sync.Pool{New: func() any { return new([middleBuffer]byte) }}
	largePool  = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

func takeBuffer(size int) []byte {
	switch {
	case size <= smallBuffer:
		return smallPool.Get().(*[smallBuffer]byte)[:]
	case size <= middleBuffer:
		return middlePool.Get().(*[middleBuffer]byte)[:]
	}
	return largePool.Get().(*[largeBuffer]byte)[:]
}

func giveBuffer(b []byte) {
	switch len(b) {
	case smallBuffer:
		smallPool.Put((*[smallBuffer]byte)(b))
	case middleBuffer:
		middlePool.Put((*[middleBuffer]byte)(b))
	case largeBuffer:
		largePool.Put((*[largeBuffer]byte)(b))
	}
}

// A stream cuts what is read from one connection into messages (RFC 3261 §18.3)
// and keep-alives (RFC 5626 §4.4.1). It belongs to the goroutine that reads.
type stream struct {
	buf     []byte // pooled; nil when nothing is held
	r, w    int    // buf[r:w] is read and not yet delivered
	tried   int    // bytes of the message at r that were looked at before
	need    int    // bytes the message at r will have, when its header is whole; else 0
	crlf    bool   // a single CRLF came since the last message or ping
	awaited bool   // the next CRLF is the answer to our ping
	pings   int    // double CRLFs that are not answered yet
	pongs   int    // answers to our pings
}

// errTooLarge ends a stream whose message does not fit sip.MaxStream.
var errTooLarge = &sip.ScanError{Code: 513, Reason: "message too large"}

// errGarbage ends a stream that does not begin like SIP.
var errGarbage = &sip.ScanError{Code: 400, Reason: "not a start line"}

// space is where to read to; it is never empty.
func (s *stream) space() []byte {
	held := s.w - s.r
	switch {
	case s.buf == nil:
		s.buf = takeBuffer(smallBuffer)
		s.r, s.w = 0, 0
	case len(s.buf) > smallBuffer && held <= smallBuffer/2:
		s.move(smallBuffer) // the large message is gone
	case held == 0:
		s.r, s.w = 0, 0
	case s.w < len(s.buf):
	case held <= len(s.buf)/2 || len(s.buf) == largeBuffer:
		copy(s.buf, s.buf[s.r:s.w])
		s.r, s.w = 0, held
	default:
		s.move(len(s.buf) + 1)
	}
	return s.buf[s.w:]
}

// move takes what is held to a buffer of at least size.
func (s *stream) move(size int) {
	b := takeBuffer(size)
	s.w = copy(b, s.buf[s.r:s.w])
	s.r = 0
	giveBuffer(s.buf)
	s.buf = b
}

// release gives the buffer back when it holds nothing.
func (s *stream) release() {
	if s.r == s.w && s.buf != nil {
		giveBuffer(s.buf)
		s.buf, s.r, s.w = nil, 0, 0
	}
}

// drop gives the buffer back, whatever it holds.
func (s *stream) drop() {
	s.r = s.w
	s.release()
}

// held tells whether the beginning of a message waits for its rest.
func (s *stream) held() bool { return s.w > s.r }

// next is the next whole message, borrowed until space or release is called, or
// nil when more must be read. Keep-alives before it are counted in pings and
// pongs. An error ends the stream.
func (s *stream) next() ([]byte, error) {
	s.skip()
	b := s.buf[s.r:s.w]
	if len(b) == 0 || b[0] == '\r' && len(b) == 1 {
		return nil, nil
	}
	if !startsMessage(b[0]) {
		return nil, errGarbage
	}
	if !s.worthFraming(b) {
		return nil, nil
	}
	n, err := sip.Frame(b)
	switch {
	case err == nil && n > sip.MaxStream:
		return nil, errTooLarge
	case err == nil:
		s.r += n
		s.tried, s.need, s.crlf = 0, 0, false
		return b[:n:n], nil
	case !errors.Is(err, sip.ErrIncomplete):
		return nil, err
	case len(b) >= sip.MaxStream:
		return nil, errTooLarge
	}
	return nil, nil
}

// skip passes the CRLFs between messages. Two in a row are a ping; one is a pong
// when we wait for it, and else the freedom of RFC 3261 §7.5.
func (s *stream) skip() {
	for s.w-s.r >= 2 && s.buf[s.r] == '\r' && s.buf[s.r+1] == '\n' {
		s.r += 2
		switch {
		case s.awaited:
			s.awaited = false
			s.pongs++
		case s.crlf:
			s.crlf = false
			s.pings++
		default:
			s.crlf = true
		}
	}
}

// worthFraming keeps a message that comes byte by byte from being framed anew at
// each: it is looked at when it begins, at every line, of which there are few,
// and when its body may be whole.
func (s *stream) worthFraming(b []byte) bool {
	before := s.tried
	s.tried = len(b)
	full := len(b) >= sip.MaxStream
	if s.need > 0 {
		return len(b) >= s.need || full
	}
	seen := max(0, before-3)
	if end := bytes.Index(b[seen:], []byte("\r\n\r\n")); end >= 0 {
		end += seen + 4
		s.need = end + contentLength(b[:end])
		return true
	}
	// A line ends with the byte after its LF, which may continue it (RFC 3261 §7.3.1).
	return before == 0 || full || before <= sip.MaxLine && len(b) > sip.MaxLine || bytes.IndexByte(b[before-1:], '\n') >= 0
}

// contentLength is the number in the first Content-Length line of header, 0 when
// there is none to be read. It only guesses when the message will be whole: what
// it is remains sip.Frame's to say.
func contentLength(header []byte) int {
	for len(header) > 0 {
		line := header
		if i := bytes.IndexByte(header, '\n'); i >= 0 {
			line, header = header[:i], header[i+1:]
		} else {
			header = nil
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !found || !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		n := 0
		for _, d := range bytes.TrimSpace(value) {
			if d < '0' || d > '9' || n > sip.MaxStream {
				return 0
			}
			n = n*10 + int(d-'0')
		}
		return n
	}
	return 0
}

// startsMessage tells whether c can begin a start line: a method is a token, a
// version begins with a letter (RFC 3261 §25.1). It ends TLS, HTTP/2 and noise on
// a SIP port at their first byte.
func startsMessage(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("-.!%*_+`'~"), c) >= 0
}
