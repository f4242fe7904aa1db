package digest

import "strings"

// A Challenge is a value of WWW-Authenticate or Proxy-Authenticate (RFC 3261
// §20.44, §20.27).
type Challenge struct {
	Realm     string
	Nonce     string
	Opaque    string // empty: absent
	Algorithm Algorithm
	QOP       bool // qop=auth is offered; without it the response is that of RFC 2069
	Stale     bool // the nonce is too old, the password was right
}

// Append prints the header's value at the end of dst.
func (c Challenge) Append(dst []byte) []byte {
	dst = append(dst, "Digest "...)
	dst = appendQuoted(dst, "realm", c.Realm)
	dst = appendQuoted(dst, "nonce", c.Nonce)
	if c.Opaque != "" {
		dst = appendQuoted(dst, "opaque", c.Opaque)
	}
	if c.Stale {
		dst = appendToken(dst, "stale", "true")
	}
	dst = appendToken(dst, "algorithm", c.Algorithm.String())
	if c.QOP {
		dst = appendQuoted(dst, "qop", "auth")
	}
	return dst
}

// ParseChallenge reads the header's value. The error is ErrScheme, ErrAlgorithm,
// ErrQOP (only auth-int is offered) or ErrMalformed.
func ParseChallenge(header []byte) (Challenge, error) {
	c := Challenge{Algorithm: MD5}
	err := eachParam(header, func(name, value string) (err error) {
		switch name {
		case "realm":
			c.Realm = value
		case "nonce":
			c.Nonce = value
		case "opaque":
			c.Opaque = value
		case "stale":
			c.Stale = equalFold(value, "true")
		case "algorithm":
			c.Algorithm, err = ParseAlgorithm(value)
		case "qop":
			c.QOP, err = offersAuth(value)
		}
		return err
	})
	switch {
	case err != nil:
		return Challenge{}, err
	case c.Nonce == "":
		return Challenge{}, ErrMalformed
	}
	return c, nil
}

func offersAuth(options string) (bool, error) {
	for option := range strings.SplitSeq(options, ",") {
		if equalFold(trim(option), "auth") {
			return true, nil
		}
	}
	return false, ErrQOP
}

// Choose is the challenge a client answers: the first, in the order in which the
// server put them, that is spoken here (RFC 8760 §2.4).
func Choose(headers ...[]byte) (Challenge, bool) {
	for _, h := range headers {
		if c, err := ParseChallenge(h); err == nil {
			return c, true
		}
	}
	return Challenge{}, false
}
