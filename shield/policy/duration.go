package policy

import (
	"fmt"
	"strings"
	"time"
)

// A Duration is a time.Duration written as "10m".
type Duration time.Duration

// String leaves out what is zero at the end: "10m", not "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText writes "10m".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "10m".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("policy: %q is no duration such as 10m or 24h", text)
	}
	*d = Duration(v)
	return nil
}
