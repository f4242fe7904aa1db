// Package token seals what the edge must remember about a flow or a dialog into
// text that others carry for it in Path, Record-Route and Contact, so that the
// edge itself can forget it (RFC 5626 §5.2; and a restarted edge serves old
// dialogs). Sealed means encrypted and authenticated with AES-256-GCM: nobody
// else can read a token, change it, or make one. The package does not say what
// an opened token is good for; that is the edge's business.
package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// A Kind says what a token is about. It is authenticated: a token of one kind
// never opens as another.
type Kind byte

// The kinds of token.
const (
	Flow    Kind = 'f' // the socket behind which a phone lives, and the relay of its call
	Contact Kind = 'c' // a core's contact, and the relay of its call
)

// KeySize is the length of a key in bytes.
const KeySize = 32

const (
	nonceSize = 12
	tagSize   = 16
	minText   = (1 + nonceSize + tagSize + 1) * 4 / 3 // characters of the shortest token
)

// encoding is strict, so that one token has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// Errors of Open. A stranger learns nothing from which of them it was.
var (
	ErrNotAToken = errors.New("token: not a token")
	ErrForged    = errors.New("token: not sealed by any of our keys")
)

// A Ring is the keys of an edge: the first seals, all of them open, so that keys
// can be changed without ending calls. It is safe for use by many goroutines.
type Ring struct {
	keys []*key
}

type key struct {
	id   byte
	aead cipher.AEAD
	macs sync.Pool // of *mac
}

type mac struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// NewRing makes a ring of keys of KeySize bytes each; the first one seals.
func NewRing(keys ...[]byte) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("token: no key")
	}
	r := &Ring{}
	for i, k := range keys {
		made, err := newKey(k)
		if err != nil {
			return nil, fmt.Errorf("token: key %d: %w", i+1, err)
		}
		r.keys = append(r.keys, made)
	}
	return r, nil
}

// newKey derives from secret one key for encryption, one for nonces, and an id.
func newKey(secret []byte) (*key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("%d bytes long, want %d", len(secret), KeySize)
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, "lindero edge token", 2*KeySize+1)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived[:KeySize])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonceKey := derived[KeySize : 2*KeySize]
	k := &key{id: derived[2*KeySize], aead: aead}
	k.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, nonceKey)} }
	return k, nil
}

// nonce is made from the plain text with a key of its own, so that it repeats
// only when the same thing is sealed again: sealing is deterministic. A phone
// thus sees one Contact during a whole call instead of one per message.
func (k *key) nonce(dst []byte, kind Kind, plain []byte) []byte {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.hash.Reset()
	m.sum[0] = byte(kind)
	m.hash.Write(m.sum[:1])
	m.hash.Write(plain)
	return append(dst, m.hash.Sum(m.sum[:0])[:nonceSize]...)
}

// Append appends the token of plain to dst, as characters that stand unescaped
// in the user part of a SIP URI.
func (r *Ring) Append(dst []byte, kind Kind, plain []byte) []byte {
	k := r.keys[0]
	buf := make([]byte, 0, 256)
	buf = append(buf, k.id)
	buf = k.nonce(buf, kind, plain)
	buf = k.aead.Seal(buf, buf[1:1+nonceSize], plain, []byte{byte(kind)})
	return encoding.AppendEncode(dst, buf)
}

// Open returns what was sealed into text, appended to dst.
func (r *Ring) Open(dst []byte, kind Kind, text []byte) ([]byte, error) {
	if !Like(text) {
		return dst, ErrNotAToken
	}
	buf, err := encoding.AppendDecode(make([]byte, 0, 256), text)
	if err != nil {
		return dst, ErrNotAToken
	}
	nonce, sealed := buf[1:1+nonceSize], buf[1+nonceSize:]
	for _, k := range r.keys {
		if k.id != buf[0] {
			continue
		}
		if plain, err := k.aead.Open(dst, nonce, sealed, []byte{byte(kind)}); err == nil {
			return plain, nil
		}
	}
	return dst, ErrForged
}

// Like tells whether text has the form of a token, sealed by whomever. No
// extension or name of a person does.
func Like(text []byte) bool {
	if len(text) < minText {
		return false
	}
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
