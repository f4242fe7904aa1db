// Package policy is what the border thinks: the document that security teams
// write, its compiled form that kernel and user space enforce, and the words they
// share (verdicts, services, classes). It knows addresses and countries; it opens
// no socket, holds no state of a source, and knows nothing of BPF.
package policy

import (
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/geo/trie"
)

// A Verdict is how the border ended one packet; every packet gets exactly one. The
// number is the counter's index in the kernel, the name the metric label and the
// word people read. bpf/types.h has the same list; a test holds them together.
type Verdict uint8

// The verdicts. Up to Fragment packets pass, from Malformed on they are dropped.
const (
	Unclassified  Verdict = iota // no table to judge by: passed; a counter that must stay at zero
	NotOurs                      // not for a service of ours: passed unseen
	Passed                       // within its class's budget
	Allowed                      // the allow list names the source
	Connection                   // belongs to a TCP connection that was let in
	Leg                          // RTP to a port that a call has
	Fragment                     // a later fragment of a source that may speak
	Malformed                    // no packet a phone would send
	Denied                       // the deny list names the source
	Banned                       // the source is banned until a set time
	CountryDenied                // its country may not use this service
	NoLeg                        // RTP to a port that no call has
	SourceBudget                 // the source is over the budget of its class
	Neighbourhood                // its /24 or /48 is over the budget of unknown sources
	Strangers                    // all unknown sources together are over theirs
	HalfOpen                     // too many connections it began and did not finish
	Verdicts      = iota
)

// Drops tells whether the verdict drops the packet.
func (v Verdict) Drops() bool { return v >= Malformed }

// A Service is what a port of ours is for.
type Service uint8

// The services. TURN and RTP are both "media" in a document.
const (
	NoService Service = iota
	SIP
	Web
	TURN
	RTP
	Services = iota
)

// A Class is what the shield thinks of a source (DESIGN §1).
type Class uint8

// The classes.
const (
	Unknown Class = iota
	Known
	Registered
	Carrier
	Ban
	Classes = iota
)

// An Action is what a rule says.
type Action string

// The actions of rules.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// A Document is one policy as people write it, in JSON or YAML. The zero Document
// with Validate's defaults lets every country in and keeps floods out.
type Document struct {
	Countries Countries            `json:"countries" yaml:"countries"`                   // for every service
	Services  map[string]Countries `json:"services,omitempty" yaml:"services,omitempty"` // sip, web, media: instead of Countries
	Allow     []Prefix             `json:"allow,omitempty" yaml:"allow,omitempty"`       // pass whatever else is said: offices, monitors, push services
	Deny      []Prefix             `json:"deny,omitempty" yaml:"deny,omitempty"`
	Carriers  []Prefix             `json:"carriers,omitempty" yaml:"carriers,omitempty"` // class carrier: no country, no ban, a carrier's budget
	Budgets   Budgets              `json:"budgets" yaml:"budgets"`
	Bans      Bans                 `json:"bans" yaml:"bans"`
}

// Countries says which countries may use a service.
type Countries struct {
	Default Action        `json:"default,omitempty" yaml:"default,omitempty"` // countries neither list names; default allow
	Unknown Action        `json:"unknown,omitempty" yaml:"unknown,omitempty"` // addresses no database places; default allow
	Allow   []geo.Country `json:"allow,omitempty" yaml:"allow,omitempty"`
	Deny    []geo.Country `json:"deny,omitempty" yaml:"deny,omitempty"`
}

// A Prefix is an entry of a list. Of entries that hold an address the longest decides.
type Prefix struct {
	Prefix  netip.Prefix `json:"prefix" yaml:"prefix"`
	Note    string       `json:"note,omitempty" yaml:"note,omitempty"`
	Expires *time.Time   `json:"expires,omitempty" yaml:"expires,omitempty"` // no longer in force from then on
}

// Budgets bound what sources may send to SIP, TURN and new connections.
type Budgets struct {
	Unknown       Budget `json:"unknown" yaml:"unknown"`             // each source; default 5/s, burst 20; burst at most 1000
	Known         Budget `json:"known" yaml:"known"`                 // default 50/s, burst 200
	Registered    Budget `json:"registered" yaml:"registered"`       // default 200/s, burst 1000
	Carrier       Budget `json:"carrier" yaml:"carrier"`             // default none
	Neighbourhood Budget `json:"neighbourhood" yaml:"neighbourhood"` // unknown sources of one IPv4 /24 or IPv6 /48; default 50/s, burst 200
	Strangers     Budget `json:"strangers" yaml:"strangers"`         // all unknown sources, per service and transport; default 2000/s, burst 4000
	HalfOpen      uint32 `json:"half_open" yaml:"half_open"`         // connections a source began and did not finish; default 64
}

// A Budget is a token bucket in packets. The zero Budget in a document means the
// default; Rate 0 with a Burst means nothing passes once it is spent; Unlimited is written "unlimited": true.
type Budget struct {
	Rate      uint32 `json:"rate" yaml:"rate"`   // packets a second, at most 1 000 000
	Burst     uint32 `json:"burst" yaml:"burst"` // packets, at most 4 000 000
	Unlimited bool   `json:"unlimited,omitempty" yaml:"unlimited,omitempty"`
}

// Bans says when the edge bans by itself.
type Bans struct {
	Failures  int      `json:"failures" yaml:"failures"`   // wrong credentials of one source in Window; default 10
	Malformed int      `json:"malformed" yaml:"malformed"` // malformed messages of one source in Window; default 50
	Window    Duration `json:"window" yaml:"window"`       // default 10m
	Duration  Duration `json:"duration" yaml:"duration"`   // first ban; doubled with each repeat up to 24h; default 10m
	Scanners  *bool    `json:"scanners" yaml:"scanners"`   // ban signatures of scanners at once; default true
	Account   int      `json:"account" yaml:"account"`     // wrong credentials for one address-of-record in Window, whatever the source; default 30
}

// A Duration is a time.Duration written as "10m".
type Duration time.Duration

// A Version is a document as it was put into force.
type Version struct {
	Number   uint64    `json:"version"`
	Document Document  `json:"document"`
	Author   string    `json:"author"`
	Note     string    `json:"note,omitempty"`
	Made     time.Time `json:"made"`
}

// ListValue is what the list trie holds: the action in the top bits, the rule's
// index in Compiled.Rules in the lower 24.
type ListValue uint32

// What a list says of an address.
const (
	ListNone ListValue = iota << 24
	ListAllow
	ListCarrier
	ListDeny
)

// A Compiled is a policy as it is enforced. It is constant.
type Compiled struct {
	Version  uint64
	Deny     [Services][4]uint64 // bit c of word c/64: packets of country c for the service are dropped
	Budgets  [Classes]Budget     // of each source, by class; Rate and Burst filled in
	Around   Budget              // a neighbourhood
	All      Budget              // strangers, per service and transport
	HalfOpen uint32
	Lists    *trie.Trie // 8 root bits, values are ListValue
	Rules    []Rule     // what Lists points into; index 0 is no rule
	Until    time.Time  // when an entry expires next, so it must be compiled again; zero: never
	Bans     Bans       // filled in
}

// A Rule is one list entry for explanations.
type Rule struct {
	List   string // allow, carriers or deny
	Prefix Prefix
}
