package registrar

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sip"
)

// sameURI compares two sip: or sips: URIs by RFC 3261 §19.1.4: user and password
// by case, the rest without; a port or one of the five parameters that steer a
// request must be in both or in neither, other parameters may be missing in one;
// headers must be the same, in any order.
func sameURI(a, b sip.URI) bool {
	if !bytes.EqualFold(a.Scheme, b.Scheme) || !bytes.EqualFold(a.Host, b.Host) || a.Port != b.Port {
		return false
	}
	if (a.User == nil) != (b.User == nil) || (a.Password == nil) != (b.Password == nil) {
		return false
	}
	return unescape(a.User) == unescape(b.User) && unescape(a.Password) == unescape(b.Password) &&
		agree(a.Params, b.Params) && agree(b.Params, a.Params) && sameHeaders(a.Headers, b.Headers)
}

// agree tells whether every parameter of a is the same in b, or may be missing there.
func agree(a, b []byte) bool {
	for left := a; ; {
		name, _, rest, ok := sip.NextParam(left)
		if !ok {
			return true
		}
		left = rest
		// The first of several wins, on both sides.
		n := string(name)
		mine, _ := sip.Param(a, n)
		theirs, there := sip.Param(b, n)
		switch {
		case there && !strings.EqualFold(unescape(mine), unescape(theirs)):
			return false
		case !there && steers(n):
			return false
		}
	}
}

func steers(name string) bool {
	for _, s := range [...]string{"user", "ttl", "method", "maddr", "transport"} {
		if strings.EqualFold(name, s) {
			return true
		}
	}
	return false
}

// sameHeaders compares the headers of two URIs as sets of name=value.
func sameHeaders(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	count := map[string]int{}
	for _, h := range strings.Split(string(a), "&") {
		count[headerKey(h)]++
	}
	for _, h := range strings.Split(string(b), "&") {
		count[headerKey(h)]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func headerKey(h string) string {
	name, value, _ := strings.Cut(h, "=")
	return strings.ToLower(unescape([]byte(name))) + "=" + unescape([]byte(value))
}

// unescape resolves %HH. Characters outside the reserved set equal their escapes
// (RFC 3261 §19.1.4); a reserved one stays escaped, so that it cannot be taken for
// what separates.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '%') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				if bytes.IndexByte([]byte(";/?:@&=+$,%"), byte(n)) < 0 {
					out = append(out, byte(n))
				} else {
					out = append(append(out, '%'), bytes.ToUpper(b[i+1:i+3])...)
				}
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}
