package transaction

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// cookie begins every branch of RFC 3261 (§8.1.1.7).
const cookie = "z9hG4bK"

const (
	refSize    = 4 + 8
	branchSize = len(cookie) + 2*(refSize+8)
)

// AppendBranch appends the branch parameter's value for the request r stands
// for: it names r, so that a response finds it without a search, and bears loop,
// the request's fingerprint (RFC 3261 §16.6 item 8). It is lower-case hexadecimal,
// since some compare branches without regard to case.
func (r *Record[T]) AppendBranch(dst []byte, loop uint64) []byte {
	var b [refSize + 8]byte
	binary.BigEndian.PutUint32(b[0:], r.index)
	binary.BigEndian.PutUint64(b[4:], r.nonce.Load())
	binary.BigEndian.PutUint64(b[refSize:], loop)
	return hex.AppendEncode(append(dst, cookie...), b[:])
}

// ParseBranch reads what AppendBranch wrote.
func ParseBranch(branch []byte) (ref Ref, loop uint64, ok bool) {
	digits, found := bytes.CutPrefix(branch, []byte(cookie))
	var b [refSize + 8]byte
	if !found || len(branch) != branchSize {
		return Ref{}, 0, false
	}
	if _, err := hex.Decode(b[:], digits); err != nil {
		return Ref{}, 0, false
	}
	ref = Ref{binary.BigEndian.Uint32(b[0:]), binary.BigEndian.Uint64(b[4:])}
	return ref, binary.BigEndian.Uint64(b[refSize:]), true
}
