package digest

import (
	"fmt"
	"strconv"
)

// Credentials are a value of Authorization or Proxy-Authorization (RFC 3261
// §20.7, §20.28). A userhash parameter is ignored; it is never offered.
type Credentials struct {
	Username  string
	Realm     string
	Nonce     string
	URI       string // as the client wrote it; whoever checks decides whether it fits the request
	Response  string
	CNonce    string
	Opaque    string
	Algorithm Algorithm
	QOP       bool // qop=auth; CNonce and NC count only then
	NC        uint32
}

// Append prints the header's value at the end of dst.
func (c Credentials) Append(dst []byte) []byte {
	dst = append(dst, "Digest "...)
	dst = appendQuoted(dst, "username", c.Username)
	dst = appendQuoted(dst, "realm", c.Realm)
	dst = appendQuoted(dst, "nonce", c.Nonce)
	dst = appendQuoted(dst, "uri", c.URI)
	dst = appendQuoted(dst, "response", c.Response)
	dst = appendToken(dst, "algorithm", c.Algorithm.String())
	if c.QOP {
		dst = appendQuoted(dst, "cnonce", c.CNonce)
		dst = appendToken(dst, "qop", "auth")
		dst = appendToken(dst, "nc", fmt.Sprintf("%08x", c.NC))
	}
	if c.Opaque != "" {
		dst = appendQuoted(dst, "opaque", c.Opaque)
	}
	return dst
}

// ParseCredentials reads the header's value. The error is ErrScheme,
// ErrAlgorithm, ErrQOP or ErrMalformed; what a response is computed of may not be
// absent.
func ParseCredentials(header []byte) (Credentials, error) {
	c := Credentials{Algorithm: MD5}
	var counted bool
	err := eachParam(header, func(name, value string) (err error) {
		switch name {
		case "username":
			c.Username = value
		case "realm":
			c.Realm = value
		case "nonce":
			c.Nonce = value
		case "uri":
			c.URI = value
		case "response":
			c.Response = value
		case "cnonce":
			c.CNonce = value
		case "opaque":
			c.Opaque = value
		case "algorithm":
			c.Algorithm, err = ParseAlgorithm(value)
		case "qop":
			if c.QOP = equalFold(value, "auth"); !c.QOP {
				return ErrQOP
			}
		case "nc":
			counted = true
			c.NC, err = parseCount(value)
		}
		return err
	})
	switch {
	case err != nil:
		return Credentials{}, err
	case c.Username == "" || c.Nonce == "" || c.URI == "" || c.Response == "",
		c.QOP && (c.CNonce == "" || !counted):
		return Credentials{}, ErrMalformed
	}
	return c, nil
}

// parseCount reads nc-value: eight hex digits (RFC 7616 §3.4).
func parseCount(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return 0, ErrMalformed
	}
	return uint32(n), nil
}

// Check tells whether the response is right for a user whose HA1, of the
// credentials' algorithm, is ha1. Nonce, count, realm and URI are the caller's to
// judge.
func (c Credentials) Check(ha1, method string) bool {
	want := c.response(ha1, method)
	return ha1 != "" && want != "" && Equal(want, c.Response)
}

// response computes request-digest (RFC 7616 §3.4.1).
func (c Credentials) response(ha1, method string) string {
	ha2 := c.Algorithm.sum(method, c.URI)
	if !c.QOP {
		return c.Algorithm.sum(ha1, c.Nonce, ha2)
	}
	return c.Algorithm.sum(ha1, c.Nonce, fmt.Sprintf("%08x", c.NC), c.CNonce, "auth", ha2)
}

// Answer makes the credentials for a challenge; nc counts the requests made with
// its nonce, from 1.
func Answer(ch Challenge, method, uri, user, pass, cnonce string, nc uint32) Credentials {
	c := Credentials{
		Username: user, Realm: ch.Realm, Nonce: ch.Nonce, Opaque: ch.Opaque, URI: uri,
		Algorithm: ch.Algorithm, QOP: ch.QOP,
	}
	if c.QOP {
		c.CNonce, c.NC = cnonce, nc
	}
	c.Response = c.response(HA1(ch.Algorithm, user, ch.Realm, pass), method)
	return c
}
