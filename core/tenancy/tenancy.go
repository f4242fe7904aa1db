// Package tenancy holds the words of the four levels (platform, brand, company,
// user) and what belongs to them, as plain values. It knows no database and no
// SIP stack: core/store keeps these values, the rest of core speaks in them.
package tenancy

import (
	"errors"
	"time"
)

// Sentinels a caller tests with errors.Is.
var (
	// ErrNotFound is returned for a thing that does not exist in the tenant asked.
	ErrNotFound = errors.New("tenancy: not found")
	// ErrExists is returned for a name that is already taken where it must be unique.
	ErrExists = errors.New("tenancy: exists already")
	// ErrOutOfOrder is returned for a change of a binding by a request that is not
	// newer than the one that made it: same Call-ID, CSeq not higher (RFC 3261 §10.3 step 7).
	ErrOutOfOrder = errors.New("tenancy: binding was made by a newer request")
)

// Ids of rows; the zero value is no row.
type (
	BrandID     int64
	CompanyID   int64
	UserID      int64
	TerminalID  int64
	ExtensionID int64
)

// A Brand resells the platform to companies and rates their calls.
type Brand struct {
	ID   BrandID
	Name string
}

// A Company is a customer with its own PBX and SIP domain.
type Company struct {
	ID       CompanyID
	Brand    BrandID
	Name     string
	Domain   string        // its SIP domain, lower case; unique on the platform
	RingTime time.Duration // how long a user's phones ring before no answer
}

// A User is a person of a company.
type User struct {
	ID      UserID
	Company CompanyID
	Name    string
}

// A Terminal is a device that registers: SIP credentials of a user.
type Terminal struct {
	ID       TerminalID
	Company  CompanyID
	User     UserID
	Username string // digest username, unique in the company
	HA1MD5   string // hex MD5(username:realm:password), realm = the company's domain (RFC 7616 §3.4.2)
	HA1SHA   string // hex SHA-256 of the same
}

// An ExtensionKind says what answers an extension.
type ExtensionKind string

// What an extension can lead to.
const (
	ToUser     ExtensionKind = "user"
	ToEcho     ExtensionKind = "echo"
	ToGreeting ExtensionKind = "greeting"
)

// An Extension is a number dialled inside a company.
type Extension struct {
	ID      ExtensionID
	Company CompanyID
	Number  string
	Kind    ExtensionKind
	User    UserID // for ToUser
}

// A Binding is one registered contact of a terminal (RFC 3261 §10), with the Path it came by (RFC 3327).
type Binding struct {
	Company   CompanyID
	Terminal  TerminalID
	User      UserID
	Key       string   // what a later REGISTER must match to replace it; unique in the terminal, made by core/registrar
	Contact   string   // the Contact URI as the phone gave it
	Params    string   // other contact parameters (q, +sip.instance, reg-id), as written
	Path      []string // values of Path, in order, each "<…>"
	CallID    string
	CSeq      uint32
	UserAgent string
	Source    string // address the phone was seen at
	Expires   time.Time
	Updated   time.Time
}

// A BindingChange is what one REGISTER does to the bindings of a terminal: all of
// it or, on any error, nothing (RFC 3261 §10.3 step 7).
type BindingChange struct {
	Put  []Binding // made or replaced, by Key
	Drop []Binding // removed, by Key; CallID and CSeq are those of the request that removes
	Tidy bool      // also forget what has expired: worth it when Put makes a new one
}

// A Verdict is how a call ended; every call has exactly one.
type Verdict string

// The five verdicts.
const (
	OK       Verdict = "ok"       // answered and hung up
	Caller   Verdict = "caller"   // the caller gave up or asked for what cannot be
	Callee   Verdict = "callee"   // busy, declined, no answer, not registered
	Upstream Verdict = "upstream" // a peer or network beyond us failed
	Ours     Verdict = "ours"     // we failed
)
