// Package protocol is what nodes (edges and relays) and core tell each other about
// the shield, and about the calls that a relay carries, as JSON over HTTP: two calls,
// made by the node. Watch is held open by core until there is something to do, so a
// change reaches every node at once; Report tells core what the node sees.
package protocol

import (
	"net/netip"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/wire/session"
)

// Paths under core's base URL; NODE is the node's name. Both want
// "Authorization: Bearer TOKEN" with a token of scope node.
const (
	WatchPath  = "/api/v1/nodes/{node}/watch"  // POST Watch → Orders, after at most Hold
	ReportPath = "/api/v1/nodes/{node}/report" // POST Report → 204
	Hold       = 25 * time.Second
)

// A Watch says what the node has in force.
type Watch struct {
	PolicyVersion uint64    `json:"policy_version"` // 0: none yet
	Made          time.Time `json:"made,omitzero"`  // the policy; a database that was put back counts versions anew. Zero: the number alone counts
	BansRevision  string    `json:"bans_revision"`  // opaque; "" : none yet
	Instance      string    `json:"instance"`       // made up by each process: two nodes of one name differ in it
}

// Orders is what is new. Absent fields mean no change.
type Orders struct {
	Now          time.Time       `json:"now,omitzero"` // core's clock, which the times below are of
	Policy       *policy.Version `json:"policy,omitempty"`
	BansRevision string          `json:"bans_revision,omitempty"`
	Bans         *[]Ban          `json:"bans,omitempty"` // all bans in force, when the revision differs
	Questions    []Question      `json:"questions,omitempty"`
	Calls        []CallsQuestion `json:"calls,omitempty"` // for a node with a relay
}

// A Ban is a source that may not speak until a set time.
type Ban struct {
	Prefix netip.Prefix `json:"prefix"` // one IPv4 address (/32) or one IPv6 /64
	Reason string       `json:"reason"` // a phrase for a person
	Since  time.Time    `json:"since"`
	Until  time.Time    `json:"until"`
	By     string       `json:"by"`     // name of the node or operator
	Proven bool         `json:"proven"` // the evidence came over a connection; else only datagrams are dropped
}

// Holds tells whether the ban counts against a packet of a source that earned a class
// and had it without a break since then; tcp says that the packet is of a connection.
// What could be forged takes nothing from trust that was earned before, nor from a
// connection, which nobody forges.
func (b Ban) Holds(earned policy.Class, since time.Time, tcp bool) bool {
	return b.Proven || !tcp && (earned == policy.Unknown || since.After(b.Since))
}

// Spared says as something that would change the verdict why a ban that does not
// hold is none.
func (b Ban) Spared(earned policy.Class) string {
	if earned == policy.Unknown {
		return "its datagrams are dropped: it is banned on evidence that could be forged"
	}
	return "the end of its trust: the ban is on evidence that could be forged, which counts for nothing against a " + earned.String() + " source"
}

// A Question asks the node to explain; the answer comes in a Report.
type Question struct {
	ID      string     `json:"id"`
	Address netip.Addr `json:"address"`
	Service string     `json:"service"` // sip, web, media
}

// MaxCallIDs is how many calls one CallsQuestion may ask for, and MaxHistories how
// many when it wants their history.
const (
	MaxCallIDs   = 2000
	MaxHistories = 16
)

// A CallsQuestion asks the node's relay what it knows of calls; the answer comes in a
// Report. A node without a relay is not asked.
type CallsQuestion struct {
	ID      string   `json:"id"`
	CallIDs []string `json:"call_ids"`          // of SIP, as the edge told the relay
	History bool     `json:"history,omitempty"` // with the last five minutes of each leg
}

// A CallsAnswer is what the relay says of the calls that it has of those asked for.
type CallsAnswer struct {
	ID       string            `json:"id"` // of the question
	Sessions []session.Session `json:"sessions"`
}

// An Anchoring is how an edge chooses a relay: the first of its list that answers.
type Anchoring struct {
	Inside netip.AddrPort `json:"inside"` // where core reaches the edge
	Relays []string       `json:"relays"` // the preferred first
}

// A Report is what a node sees; sent every second or when an answer is due.
type Report struct {
	Instance      string        `json:"instance"`     // as in Watch
	Now           time.Time     `json:"now,omitzero"` // the node's clock, which the times below are of
	Role          string        `json:"role"`         // edge, relay, or up
	Mode          string        `json:"mode"`         // native, generic, user or off
	Reason        string        `json:"reason"`
	Devices       []string      `json:"devices,omitempty"`
	PolicyVersion uint64        `json:"policy_version"`
	TableVersion  string        `json:"table_version"`     // "" : no country database
	Counters      []Counter     `json:"counters"`          // totals since the filter was attached, of cells that are not 0
	Seen          []Seen        `json:"seen,omitempty"`    // sources noticed since the last report
	Banned        []Ban         `json:"banned,omitempty"`  // bans this node made since the last report that was taken
	Answers       []Explanation `json:"answers,omitempty"` // to questions

	Relay     string            `json:"relay,omitempty"`     // the relay of this process; empty: none, and nothing of calls is asked
	Anchoring *Anchoring        `json:"anchoring,omitempty"` // of the edge of this process; absent: none
	Ended     []session.Session `json:"ended,omitempty"`     // the last word on calls that ended since the last report that was taken
	Calls     []CallsAnswer     `json:"calls,omitempty"`     // to questions about calls
}

// A Counter is packets of a country that ended in a verdict.
type Counter struct {
	Country string `json:"country"` // ZZ: unknown
	Verdict string `json:"verdict"`
	Packets uint64 `json:"packets"`
}

// Seen is a source noticed, mostly by sampling.
type Seen struct {
	Address netip.Addr `json:"address"` // IPv6: the /64's first address
	Country string     `json:"country"`
	Class   string     `json:"class"`
	Service string     `json:"service"`
	Verdict string     `json:"verdict"` // the last one
	Packets uint64     `json:"packets"` // estimated from the samples
}

// An Explanation says what would happen to a source's next packet, and why.
type Explanation struct {
	ID            string     `json:"id,omitempty"` // of the question
	Node          string     `json:"node"`
	Address       netip.Addr `json:"address"`
	Service       string     `json:"service"`
	Verdict       string     `json:"verdict"`
	Drops         bool       `json:"drops"`
	Rule          string     `json:"rule"` // the rule that decided, as a phrase: "deny 203.0.113.0/24 (office of X)"
	PolicyVersion uint64     `json:"policy_version"`
	TableVersion  string     `json:"table_version"`
	Country       string     `json:"country"`
	Class         string     `json:"class"`
	BudgetLeft    *float64   `json:"budget_left,omitempty"` // packets; absent: no budget applies
	BudgetRate    uint32     `json:"budget_rate,omitempty"`
	BanEnds       *time.Time `json:"ban_ends,omitempty"`
	BanReason     string     `json:"ban_reason,omitempty"`
	Change        []string   `json:"change"` // what would change it, one phrase each
	Mode          string     `json:"mode"`   // who judges: native, generic or user
}
