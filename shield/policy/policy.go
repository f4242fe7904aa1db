// Package policy is what the border thinks: the document that security teams
// write, its compiled form that kernel and user space enforce, and the words they
// share (verdicts, services, classes). It knows addresses and countries; it opens
// no socket, holds no state of a source, and knows nothing of BPF.
package policy

import (
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo"
)

// A Document is one policy as people write it, in JSON or YAML. The zero Document
// with its defaults lets every country in and keeps floods out.
type Document struct {
	Countries Countries            `json:"countries,omitzero" yaml:"countries"`          // for every service
	Services  map[string]Countries `json:"services,omitempty" yaml:"services,omitempty"` // sip, web, media: instead of Countries
	Allow     []Prefix             `json:"allow,omitempty" yaml:"allow,omitempty"`       // pass whatever else is said: offices, monitors, push services
	Deny      []Prefix             `json:"deny,omitempty" yaml:"deny,omitempty"`
	Carriers  []Prefix             `json:"carriers,omitempty" yaml:"carriers,omitempty"` // class carrier: no country, no ban, a carrier's budget
	Budgets   Budgets              `json:"budgets,omitzero" yaml:"budgets"`
	Bans      Bans                 `json:"bans,omitzero" yaml:"bans"`
}

// Countries says which countries may use a service. What a list leaves out is
// Default's to say, so an empty list never means nobody; a Countries that lets no
// country in is refused unless Nobody says that it is meant.
type Countries struct {
	Default Action        `json:"default,omitempty" yaml:"default,omitempty"` // countries neither list names; default allow
	Unknown Action        `json:"unknown,omitempty" yaml:"unknown,omitempty"` // addresses no database places; default allow
	Allow   []geo.Country `json:"allow,omitempty" yaml:"allow,omitempty"`
	Deny    []geo.Country `json:"deny,omitempty" yaml:"deny,omitempty"`
	Nobody  bool          `json:"nobody,omitempty" yaml:"nobody,omitempty"` // no country at all may come in, and that is meant
}

// An Action is what a rule says.
type Action string

// The actions of rules.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// A Prefix is an entry of a list. Of entries that hold an address the longest decides.
type Prefix struct {
	Prefix  netip.Prefix `json:"prefix" yaml:"prefix"`
	Note    string       `json:"note,omitempty" yaml:"note,omitempty"`
	Expires *time.Time   `json:"expires,omitempty" yaml:"expires,omitempty"` // no longer in force from then on
}

// Budgets bound what sources may send to SIP, TURN and new connections.
type Budgets struct {
	Unknown       Budget `json:"unknown,omitzero" yaml:"unknown"`             // each source; default 5/s, burst 20; burst at most 1000
	Known         Budget `json:"known,omitzero" yaml:"known"`                 // default 50/s, burst 200
	Registered    Budget `json:"registered,omitzero" yaml:"registered"`       // default 200/s, burst 1000
	Carrier       Budget `json:"carrier,omitzero" yaml:"carrier"`             // default none
	Neighbourhood Budget `json:"neighbourhood,omitzero" yaml:"neighbourhood"` // unknown sources of one IPv4 /24 or IPv6 /48; default 50/s, burst 200
	Strangers     Budget `json:"strangers,omitzero" yaml:"strangers"`         // all unknown sources, per service, transport and address family; default 2000/s, burst 4000
	HalfOpen      uint32 `json:"half_open,omitzero" yaml:"half_open"`         // connections a source began and did not finish; default 64
}

// A Budget is a token bucket in packets. The zero Budget in a document means the
// default; Rate 0 with a Burst means nothing passes once it is spent.
type Budget struct {
	Rate      uint32 `json:"rate,omitzero" yaml:"rate"`   // packets a second, at most 1 000 000
	Burst     uint32 `json:"burst,omitzero" yaml:"burst"` // packets, at most 4 000 000
	Unlimited bool   `json:"unlimited,omitempty" yaml:"unlimited,omitempty"`
}

// Bans says when the edge bans by itself, and when core stops guesses at an account.
// A source that has a registration may be an office behind one address: there
// Failures and Malformed are ten times as high, and its first ban lasts Duration,
// whatever others did at that address before.
type Bans struct {
	Failures  int      `json:"failures,omitzero" yaml:"failures"`   // wrong credentials of one source in Window; default 10
	Malformed int      `json:"malformed,omitzero" yaml:"malformed"` // malformed messages of one source in Window; default 50
	Window    Duration `json:"window,omitzero" yaml:"window"`       // default 10m
	Duration  Duration `json:"duration,omitzero" yaml:"duration"`   // first ban; doubled with each repeat up to 24h; default 10m
	Scanners  *bool    `json:"scanners,omitempty" yaml:"scanners"`  // ban signatures of scanners, at once over a connection, else at the third datagram; default true
	Account   int      `json:"account,omitzero" yaml:"account"`     // wrong credentials for one address-of-record in Window, whatever the source; default 30
}

// A Version is a document as it was put into force.
type Version struct {
	Number   uint64    `json:"version"`
	Document Document  `json:"document"`
	Author   string    `json:"author"`
	Note     string    `json:"note,omitempty"`
	Made     time.Time `json:"made"`
}
