package ng

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrFraming is a stream in which no message can be found any more: it is closed.
var ErrFraming = errors.New("ng: not a message")

// A framer finds messages in a stream: a cookie, a space and a dictionary, one
// after the other with nothing between, since both encodings show where they end.
// Line ends before a cookie are skipped, for those who type. It looks at each
// byte once, however small the pieces are that come.
type framer struct {
	max int // bytes of one message

	buf   []byte
	start int // of the message
	pos   int // what was looked at; in a bencoded dictionary, where the next token begins
	dict  int // where its dictionary begins, 0 before that is known
	depth int
	text  bool // in a JSON string
	slash bool // after a backslash in one
}

// push takes what was read.
func (f *framer) push(b []byte) {
	if f.start == len(f.buf) {
		f.buf, f.start, f.pos = f.buf[:0], 0, 0
	} else if f.start > 0 && len(f.buf)+len(b) > cap(f.buf) {
		n := copy(f.buf, f.buf[f.start:])
		f.buf, f.pos, f.dict, f.start = f.buf[:n], f.pos-f.start, max(f.dict-f.start, 0), 0
	}
	f.buf = append(f.buf, b...)
}

// partial says whether a message has begun and not ended.
func (f *framer) partial() bool { return f.start < len(f.buf) }

// next is the next whole message, nil when more must be read. It is good until
// the next push.
func (f *framer) next() ([]byte, error) {
	if f.dict == 0 {
		for f.start < len(f.buf) && (f.buf[f.start] == '\r' || f.buf[f.start] == '\n') {
			f.start++
		}
		i := bytes.IndexByte(f.buf[f.start:min(len(f.buf), f.start+maxCookie+1)], ' ')
		switch {
		case i == 0, i < 0 && len(f.buf)-f.start > maxCookie:
			return nil, fmt.Errorf("%w: no cookie", ErrFraming)
		case i < 0 || f.start+i+1 == len(f.buf):
			return nil, nil
		}
		f.dict = f.start + i + 1
		f.pos = f.dict
	}
	var done bool
	var err error
	switch f.buf[f.dict] {
	case 'd':
		done, err = f.bencode()
	case '{':
		done, err = f.json()
	default:
		err = fmt.Errorf("%w: no dictionary after the cookie", ErrFraming)
	}
	end := f.pos
	if !done {
		end = len(f.buf)
	}
	switch {
	case err != nil:
		return nil, err
	case end-f.start > f.max:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrFraming, f.max)
	case !done:
		return nil, nil
	}
	m := f.buf[f.start:f.pos]
	f.start, f.dict = f.pos, 0
	return m, nil
}

// bencode looks at tokens from pos on.
func (f *framer) bencode() (done bool, err error) {
	for f.pos < len(f.buf) {
		switch c := f.buf[f.pos]; {
		case c == 'd' || c == 'l':
			if f.depth++; f.depth > maxDepth+1 {
				return false, ErrLimit
			}
			f.pos++
		case c == 'e':
			f.pos++
			if f.depth--; f.depth == 0 {
				return true, nil
			}
		case c == 'i':
			n := bytes.IndexByte(f.buf[f.pos:min(len(f.buf), f.pos+22)], 'e')
			if n < 0 {
				return false, f.more(22, "an integer without end")
			}
			f.pos += n + 1
		case c >= '0' && c <= '9':
			n, size := 0, 0
			for f.pos+n < len(f.buf) && n < 9 && f.buf[f.pos+n] >= '0' && f.buf[f.pos+n] <= '9' {
				size = size*10 + int(f.buf[f.pos+n]-'0')
				n++
			}
			switch {
			case f.pos+n == len(f.buf):
				return false, f.more(10, "a length without end")
			case f.buf[f.pos+n] != ':':
				return false, fmt.Errorf("%w: a length without colon", ErrFraming)
			case f.pos+n+1+size-f.start > f.max:
				return false, fmt.Errorf("%w: longer than %d bytes", ErrFraming, f.max)
			case f.pos+n+1+size > len(f.buf):
				return false, nil
			}
			f.pos += n + 1 + size
		default:
			return false, fmt.Errorf("%w: no such type", ErrFraming)
		}
	}
	return false, nil
}

// more is an error when the token at pos has longest bytes already.
func (f *framer) more(longest int, what string) error {
	if len(f.buf)-f.pos >= longest {
		return fmt.Errorf("%w: %s", ErrFraming, what)
	}
	return nil
}

// json looks at bytes from pos on, for the bracket that closes the first.
func (f *framer) json() (done bool, err error) {
	for ; f.pos < len(f.buf); f.pos++ {
		c := f.buf[f.pos]
		switch {
		case f.slash:
			f.slash = false
		case f.text:
			f.slash, f.text = c == '\\', c != '"'
		case c == '"':
			f.text = true
		case c == '{' || c == '[':
			if f.depth++; f.depth > maxDepth+1 {
				return false, ErrLimit
			}
		case c == '}' || c == ']':
			if f.depth--; f.depth == 0 {
				f.pos++
				return true, nil
			}
		}
	}
	return false, nil
}
