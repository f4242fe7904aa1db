// Package digest is HTTP Digest as SIP uses it (RFC 3261 §22, RFC 7616, RFC
// 8760): it parses and prints challenges and credentials and computes responses,
// for the side that asks as for the side that answers. It makes no nonce, keeps no
// count of them and knows no password: that is policy and lives in core.
package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
)

// Why a challenge or credentials cannot be used. Those that are well-formed but
// of a kind not spoken here are for the next challenge, or the next header, to
// try.
var (
	ErrScheme    = errors.New("digest: scheme is not Digest")
	ErrAlgorithm = errors.New("digest: algorithm is neither MD5 nor SHA-256")
	ErrQOP       = errors.New("digest: qop is not auth")
	ErrMalformed = errors.New("digest: malformed")
)

// An Algorithm is a hash of RFC 8760. The session forms (MD5-sess, SHA-256-sess)
// are refused: they keep A1 from being stored hashed, and no phone asks for them.
type Algorithm uint8

// The zero Algorithm is invalid, so a forgotten field never passes a check. An
// absent algorithm parameter is read as MD5 (RFC 7616 §3.3).
const (
	MD5 Algorithm = iota + 1
	SHA256
)

// String is the algorithm's name on the wire.
func (a Algorithm) String() string {
	switch a {
	case MD5:
		return "MD5"
	case SHA256:
		return "SHA-256"
	}
	return "invalid"
}

// ParseAlgorithm reads a name in any case; ErrAlgorithm for all but the two.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch {
	case equalFold(name, "MD5"):
		return MD5, nil
	case equalFold(name, "SHA-256"):
		return SHA256, nil
	}
	return 0, ErrAlgorithm
}

// HA1 is what a server may keep in place of the password: the hash of
// user:realm:password in lower-case hex (RFC 7616 §3.4.2).
func HA1(alg Algorithm, user, realm, password string) string {
	return alg.sum(user, realm, password)
}

// sum hashes parts joined by colons; empty for an invalid algorithm.
func (a Algorithm) sum(parts ...string) string {
	var room [512]byte
	b := room[:0]
	for i, p := range parts {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, p...)
	}
	switch a {
	case MD5:
		s := md5.Sum(b)
		return hex.EncodeToString(s[:])
	case SHA256:
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	return ""
}

// Equal compares two secrets, or hashes of them, in a time that tells nothing
// but their lengths.
func Equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
