package store

import (
	"strings"
	"unicode/utf8"
)

// PostgreSQL keeps no text with NUL or broken UTF-8. What strangers send has both,
// so the same rule holds for every database: it is never found, and never kept.

// storable tells whether a name could be in the database at all.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// clean is s as it can be kept: a phone that writes its name in Latin-1 may still register.
func clean(s string) string {
	if storable(s) {
		return s
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd")
}
