// Package session is what a relay says of the calls it carries: to people at its
// control socket, and to core, which shows them beside the call and keeps the end
// result with the call's record. JSON; it knows nothing of how packets are moved or
// calls are routed.
package session

import (
	"net/netip"
	"time"
)

// A Session is one call at one relay: an anchor, the pair of legs lent to one side of
// a call, or the last word about it.
type Session struct {
	Relay    string    `json:"relay"`
	CallID   string    `json:"call_id"` // of SIP, as the edge said it
	Created  time.Time `json:"created"`
	Answered bool      `json:"answered"`
	Held     bool      `json:"held,omitempty"`   // silent by agreement
	Ended    time.Time `json:"ended,omitzero"`   // zero: it goes on
	Reason   string    `json:"reason,omitempty"` // why it ended: deleted, idle, unanswered, failed
	Streams  []Stream  `json:"streams"`
}

// A Stream is one m= line, with what came from each side.
type Stream struct {
	Kind string `json:"kind"` // audio, video, image
	Legs [2]Leg `json:"legs"` // from the offerer, from the answerer
}

// A Leg is one direction of a stream: what the relay took in from one side and sent
// to the other.
type Leg struct {
	Tag       string         `json:"tag"`       // of the side it comes from
	Interface string         `json:"interface"` // the relay's, by name
	Local     netip.AddrPort `json:"local"`     // where it arrives
	Remote    netip.AddrPort `json:"remote"`    // where it comes from; zero: nobody proved to be there yet
	Path      string         `json:"path"`      // kernel or user space
	Codec     string         `json:"codec,omitempty"`
	Quality
	History []Point `json:"history,omitempty"` // the last five minutes, oldest first; only when asked for one call
}

// Quality is what a leg's packets tell (RFC 3550), and what it sounds like (ITU-T G.107).
type Quality struct {
	Packets     uint64    `json:"packets"`
	Bytes       uint64    `json:"bytes"` // of UDP payload
	Lost        uint64    `json:"lost"`
	Reordered   uint64    `json:"reordered,omitempty"`
	Duplicate   uint64    `json:"duplicate,omitempty"`
	Jitter      float64   `json:"jitter_ms"`
	RoundTrip   float64   `json:"round_trip_ms,omitempty"` // relay to this side and back, by RTCP; absent: unknown
	MOS         float64   `json:"mos,omitempty"`           // 1 to 4.5; absent: too few packets, or no codec that can be judged
	LastSeen    time.Time `json:"last_seen,omitzero"`
	WrongSource uint64    `json:"wrong_source,omitempty"` // packets from elsewhere, dropped
	NotRTP      uint64    `json:"not_rtp,omitempty"`
}

// A Point is a leg over some seconds that ended at a time.
type Point struct {
	At     time.Time `json:"at"`
	Lost   float64   `json:"lost"` // of the packets that should have come, 0 to 1
	Jitter float64   `json:"jitter_ms"`
	Rate   float64   `json:"rate"` // packets a second
}

// Every is the seconds between two Points, and History how many are kept.
const (
	Every   = 5 * time.Second
	History = 60
)
