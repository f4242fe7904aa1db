package sip

// Classes of bytes in RFC 3261 §25.1.
const (
	tokenByte uint8 = 1 << iota // may stand in a token
	uriByte                     // may stand in a URI
	paramByte                   // may stand unquoted in a parameter's value
	hostByte                    // may stand in a host name
	digitByte
	hexByte
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		t[c] |= uriByte | paramByte
	}
	for _, c := range []byte("<>\"\\^`{|}") {
		t[c] &^= uriByte
	}
	// A header's parameter is a token, a host or (in Via's received) a bare IPv6
	// address; phones put more there, and it does no harm as long as it cannot
	// end the parameter.
	for _, c := range []byte("\",;<>") {
		t[c] &^= paramByte
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= tokenByte | hostByte | digitByte | hexByte
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= tokenByte | hostByte
		t[c-'a'+'A'] |= tokenByte | hostByte
	}
	for c := 'a'; c <= 'f'; c++ {
		t[c] |= hexByte
		t[c-'a'+'A'] |= hexByte
	}
	for _, c := range []byte("-.!%*_+`'~") {
		t[c] |= tokenByte
	}
	for _, c := range []byte("-._") { // the underscore is met in the wild
		t[c] |= hostByte
	}
	return t
}

// all tells whether every byte of b is of class and b is not empty.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return len(b) > 0
}

// space tells whether c is linear white space; CR and LF are so only because a
// scanned value may hold folds.
func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	return b
}

func trim(b []byte) []byte {
	b = trimLeft(b)
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// equalFold compares ASCII without case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

// quoted returns the length of the quoted string b begins with, both quotes
// counted, or -1 when it does not end (RFC 3261 §25.1, quoted-string).
func quoted(b []byte) int {
	for i := 1; i < len(b); {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i += 2
		default:
			i++
		}
	}
	return -1
}

// ParseInt reads a decimal like Max-Forwards or Expires; ok is false for
// anything else or an overflow of 32 bits.
func ParseInt(b []byte) (n uint32, ok bool) {
	var v uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if v = v*10 + uint64(c-'0'); v > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(v), len(b) > 0
}

// parseCSeq reads CSeq (RFC 3261 §20.16, §8.1.1.5: below 2^31).
func parseCSeq(b []byte) (n uint32, method []byte, ok bool) {
	i := 0
	for i < len(b) && !space(b[i]) {
		i++
	}
	n, ok = ParseInt(b[:i])
	method = trimLeft(b[i:])
	return n, method, ok && n < 1<<31 && all(method, tokenByte)
}
