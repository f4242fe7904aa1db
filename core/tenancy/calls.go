package tenancy

import (
	"net/netip"
	"time"
)

// A CDR is the record of one call, written once, at its end.
type CDR struct {
	ID         string // random, unique
	Company    CompanyID
	CallerUser UserID // zero when not one of ours
	CalleeUser UserID // who answered, or was called; zero when none
	From, To   string // numbers as dialled
	CallID     string // Call-ID of the caller's leg
	Start      time.Time
	Answer     time.Time // zero when never answered
	End        time.Time
	Verdict    Verdict
	Code       int      // final SIP status, 200 when answered
	HungUpBy   string   // caller, callee, core
	Reason     string   // one phrase for a person
	Dialogs    []Dialog // that had audio: the caller's, and those of who answered
}

// A Side says whose dialog one of a call is.
type Side string

// The two sides.
const (
	CallerSide Side = "caller"
	CalleeSide Side = "callee"
)

// A Dialog is a call's dialog with one phone, by which relays know its audio.
type Dialog struct {
	CallID string
	Side   Side
	Tag    string         // of the phone; empty until it has one
	Edge   netip.AddrPort // the edge it goes by, as core reaches it; not kept in records
}

// A CallState is how far a live call is.
type CallState string

// The states of a live call, in their order.
const (
	Trying  CallState = "trying"  // it is looked for who is called
	Ringing CallState = "ringing" // a phone rings
	Talking CallState = "talking" // answered
	Ending  CallState = "ending"  // hung up; loose ends remain
)

// A LiveCall is a call that goes on. Its ID will be that of its CDR.
type LiveCall struct {
	ID         string
	Company    CompanyID // zero until it is known
	CallerUser UserID
	CalleeUser UserID
	From, To   string
	State      CallState // empty when the call was too busy to say
	Start      time.Time
	Answer     time.Time // zero until it is answered
	Dialogs    []Dialog
}

// A Quality is what one relay took in from one side of a dialog, when that had ended.
type Quality struct {
	CallID     string // of the dialog
	Relay      string
	Created    time.Time // the anchor
	Ended      time.Time
	Stream     int    // the m= line
	Leg        int    // 0: from who offered the session, 1: from who answered
	Kind       string // audio, video, image
	Tag        string // of the side it came from
	Path       string // kernel or user space
	Codec      string
	Packets    uint64
	Lost       uint64
	Jitter     time.Duration
	RoundTrip  time.Duration // relay to that side and back; 0: not known
	MOS        float64       // 1 to 4.5; 0: it cannot be said
	EndReason  string
	Dialog     Dialog // set when it was read with a record
	CDR        string // likewise
	CDRCompany CompanyID
}

// A CDRFilter picks records, newest first.
type CDRFilter struct {
	From, To time.Time // begun at or after, begun before; zero: any
	Before   Place     // the next page: those after it in the list; zero: from the first
	Limit    int
}

// A Place is where a record stands in the list of all.
type Place struct {
	Start time.Time
	ID    string
}
