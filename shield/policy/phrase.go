package policy

import (
	"fmt"
	"time"
)

// Named is a version in words, the same wherever people read of one.
func Named(version uint64) string {
	if version == 0 {
		return "version 0, the built-in policy"
	}
	return fmt.Sprintf("version %d", version)
}

// When is a moment in words, the same wherever people read of one.
func When(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
