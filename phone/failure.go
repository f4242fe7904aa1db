package phone

import (
	"errors"
	"fmt"
)

// A Failure is a request that got a final answer other than success, or none: a
// peer that does not answer in time is Code 408, one that cannot be reached 503.
type Failure struct {
	Method string
	Code   int    // 300 to 699
	Reason string // the peer's phrase
	Local  bool   // nobody sent this answer; we concluded it
}

func (f *Failure) Error() string {
	if f.Local {
		return fmt.Sprintf("phone: %s: %s", f.Method, f.Reason)
	}
	return fmt.Sprintf("phone: %s was answered %d %s", f.Method, f.Code, f.Reason)
}

// Code is the status of the Failure in err, or 0.
func Code(err error) int {
	var f *Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return 0
}

// refusal is the Failure that a final response other than 2xx is, or nil.
func refusal(method string, m *message) error {
	if m.Code < 300 {
		return nil
	}
	return &Failure{Method: method, Code: m.Code, Reason: string(m.Reason)}
}
