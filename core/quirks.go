package core

import "bytes"

// onlyMD5 begins the names of phones that give up at a challenge for any other
// algorithm, though they should pass over it and take the next one (RFC 8760
// §2.4). Asking them for MD5 alone gives nothing away: it is offered to all.
var onlyMD5 = [...]string{
	"baresip v0.", "baresip v1.", "baresip v2.", // "Function not implemented"; Debian 12 has 1.0.0
	"SIPp", "sipp",
}

// knowsOnlyMD5 tells whether a User-Agent names such a phone.
func knowsOnlyMD5(userAgent []byte) bool {
	for _, name := range onlyMD5 {
		if bytes.HasPrefix(userAgent, []byte(name)) {
			return true
		}
	}
	return false
}
