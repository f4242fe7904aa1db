package call

import "fmt"

// A Policy says what becomes of addresses in SDP that nobody vouches for, or that
// media must not be sent to.
type Policy uint8

// The policies. The zero Policy is the careful one that works with phones behind
// NATs.
const (
	// Prove sends nothing to an address that signalling does not vouch for before it
	// has proven itself. What can never be sent to is ignored.
	Prove Policy = iota
	// Refuse is Prove, and refuses an SDP that names what can never be sent to.
	Refuse
	// Trust believes every SDP, as rtpengine does, unless told that only the source
	// of the signalling counts. What can never be sent to is ignored.
	Trust
	policies
)

// String names p as configuration does.
func (p Policy) String() string { return [policies]string{"prove", "refuse", "trust"}[p%policies] }

// UnmarshalText reads a name.
func (p *Policy) UnmarshalText(b []byte) error {
	for q := range policies {
		if q.String() == string(b) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("%q: wants prove, refuse or trust", b)
}

// MarshalText writes what UnmarshalText reads.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
