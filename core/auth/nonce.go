package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// A nonce is when it was made, in milliseconds since 1970, and eight random
// bytes. On the wire an HMAC over both and the realm follows, so that the nonces
// we offered need not be remembered:
//
//	base64url( time 8 | random 8 | HMAC-SHA256(key, time | random | realm) 16 of 32 )
type nonce [16]byte

const macSize = 16

func (n nonce) made() time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(n[:8]))) }

// A mint makes nonces and knows its own. It is constant after construction.
type mint struct {
	key  []byte
	life time.Duration
}

func (m *mint) make(realm string, now time.Time) string {
	var n nonce
	binary.BigEndian.PutUint64(n[:8], uint64(now.UnixMilli()))
	_, _ = rand.Read(n[8:]) // never fails: crypto/rand ends the program before it would
	return m.print(n, realm)
}

func (m *mint) print(n nonce, realm string) string {
	var b [len(n) + macSize]byte
	copy(b[:], n[:])
	copy(b[len(n):], m.mac(n, realm))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// read takes a nonce off the wire; fresh tells whether it is one of ours for this
// realm and neither older than its life nor from the future.
func (m *mint) read(s, realm string, now time.Time) (n nonce, fresh bool) {
	var b [len(n) + macSize]byte
	// The length first: a strict decoder of exactly one spelling, so that one nonce
	// cannot be spent twice under two names.
	if len(s) == base64.RawURLEncoding.EncodedLen(len(b)) {
		if _, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s)); err != nil {
			b = [len(b)]byte{}
		}
	}
	copy(n[:], b[:])
	ours := hmac.Equal(m.mac(n, realm), b[len(n):])
	age := now.Sub(n.made())
	return n, ours && age >= 0 && age < m.life
}

func (m *mint) mac(n nonce, realm string) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write(n[:])
	h.Write([]byte(realm))
	return h.Sum(nil)[:macSize]
}
