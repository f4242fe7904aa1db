package tenancy

import (
	"encoding/json"
	"errors"
	"net/netip"
	"time"
)

// ErrConflict is returned for a change that began from another version than the
// one in force: somebody was faster.
var ErrConflict = errors.New("tenancy: changed by somebody else meanwhile")

// ErrFull is returned when as many are kept as may be.
var ErrFull = errors.New("tenancy: no room for more")

// A PolicyVersion is a policy of the shield as it was put into force. Versions are
// only ever added; the one with the highest number is in force.
type PolicyVersion struct {
	Number   uint64
	Document json.RawMessage // a shield/policy.Document
	Author   string
	Note     string
	Made     time.Time
}

// A Ban is a source that may not speak until a set time, and what became of it.
type Ban struct {
	Prefix   netip.Prefix // one IPv4 address or one IPv6 /64
	Reason   string       // a phrase for a person
	Since    time.Time
	Until    time.Time
	By       string // name of the node or operator
	Proven   bool   // the evidence came over a connection
	LiftedAt time.Time
	LiftedBy string
}

// InForce tells whether the ban holds at now: the time it has ended by itself, or
// was lifted, ends it.
func (b Ban) InForce(now time.Time) bool { return b.LiftedAt.IsZero() && b.Until.After(now) }

// An Audit is one change: who made it, and what was there before and after.
type Audit struct {
	ID     int64           `json:"id"`
	At     time.Time       `json:"at"`
	Who    string          `json:"who"`
	Action string          `json:"action"` // such as policy.put
	Object string          `json:"object"` // such as policy, or companies/7/access
	Before json.RawMessage `json:"before"` // null when it was not there
	After  json.RawMessage `json:"after"`  // null when it is gone
}

// Revisions are numbers that grow with every change of what all cores and nodes share.
type Revisions struct {
	Policy uint64 // the number of the version in force; 0: none was ever put
	Bans   uint64
}

// An Access says from where the people of a company may call. An Access with
// Revision 0 is what every company has before it says anything: {}.
type Access struct {
	Revision uint64          // grows with every change
	Document json.RawMessage // a shield/policy.Access
}

// A Registration is a live binding as the platform's operators see it: who is
// behind an address, without what a company keeps to itself.
type Registration struct {
	Company  string
	User     string
	Terminal string // its username
	Source   string // where the phone was seen, as the edge told it
}
