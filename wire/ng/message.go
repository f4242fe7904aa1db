package ng

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// A Command is what an edge asks of a relay. Fields that are empty are not sent.
type Command struct {
	Name      string // one of Ping, Offer, Answer, Delete, Query, List
	CallID    string
	FromTag   string // of the offerer, also in an answer
	ToTag     string
	ViaBranch string
	SDP       []byte

	// Direction names the interface on the side of the SDP's sender, then the
	// one on the side of its receiver.
	Direction [2]string

	ReceivedFrom netip.Addr // where the signalling of the SDP's sender came from
	Replace      []string   // ReplaceOrigin, ReplaceSession
	Flags        []string   // FlagTrustAddress and flags of later
	ICE          string     // ICERemove, or ""
	Transport    string     // transport-protocol, "" leaves it
	Limit        int        // of List; 0 leaves it to the relay
}

// A Reply is what a relay says to a Command.
type Reply struct {
	Result      string // ResultOK, ResultPong, ResultError or ResultLoadLimit
	ErrorReason string
	Warning     string
	SDP         []byte
	More        Dict // what else it says: totals, tags, calls; may be nil
}

// Err is nil unless the relay refused; then it is the reason as a *RefusedError.
func (r Reply) Err() error {
	if r.Result == ResultOK || r.Result == ResultPong {
		return nil
	}
	return &RefusedError{Reason: r.ErrorReason, Busy: r.Result == ResultLoadLimit}
}

// A RefusedError is a relay's "result: error" or "load limit".
type RefusedError struct {
	Reason string
	Busy   bool // the relay is at a limit: nothing is wrong with the command
}

func (e *RefusedError) Error() string { return "ng: relay refused: " + e.Reason }

// Refuse is the Reply that says no, and why in plain words.
func Refuse(format string, args ...any) Reply {
	return Reply{Result: ResultError, ErrorReason: fmt.Sprintf(format, args...)}
}

// RefuseLoad is the Reply of a relay that is at a limit, and which in plain words.
func RefuseLoad(format string, args ...any) Reply {
	return Reply{Result: ResultLoadLimit, ErrorReason: fmt.Sprintf(format, args...)}
}

// Errors of messages that cannot be understood.
var (
	ErrNoCookie  = errors.New("ng: no cookie before the dictionary")
	ErrNoCommand = errors.New("ng: no command in the dictionary")
	ErrNoResult  = errors.New("ng: no result in the dictionary")
)

const maxCookie = 256

// SplitCookie splits a datagram into its cookie and the dictionary's bytes. Both
// are borrowed from b.
func SplitCookie(b []byte) (cookie, dict []byte, err error) {
	i := bytes.IndexByte(b[:min(len(b), maxCookie+1)], ' ')
	if i <= 0 {
		return nil, nil, ErrNoCookie
	}
	return b[:i], b[i+1:], nil
}

// AppendCommand appends the whole datagram of c to b.
func AppendCommand(b []byte, cookie string, c Command) []byte {
	b = append(append(b, cookie...), ' ')
	return c.Dict().Append(b)
}

// Dict is c as it is written.
func (c Command) Dict() Dict {
	d := Dict{KeyCommand: c.Name}
	for _, f := range []struct{ key, value string }{
		{KeyCallID, c.CallID}, {KeyFromTag, c.FromTag}, {KeyToTag, c.ToTag}, {KeyViaBranch, c.ViaBranch},
		{KeySDP, string(c.SDP)}, {KeyICE, c.ICE}, {KeyTransportProtocol, c.Transport},
	} {
		if f.value != "" {
			d[f.key] = f.value
		}
	}
	if c.Direction != [2]string{} {
		d[KeyDirection] = c.Direction[:]
	}
	if a := c.ReceivedFrom.Unmap(); a.Is4() {
		d[KeyReceivedFrom] = []string{"IP4", a.String()}
	} else if a.IsValid() {
		d[KeyReceivedFrom] = []string{"IP6", a.WithZone("").String()}
	}
	if len(c.Replace) > 0 {
		d[KeyReplace] = c.Replace
	}
	if len(c.Flags) > 0 {
		d[KeyFlags] = c.Flags
	}
	if c.Limit > 0 {
		d[KeyLimit] = c.Limit
	}
	return d
}

// ParseCommand reads a dictionary as a Command. Keys it does not know are
// ignored, as rtpengine does; values that are malformed are errors, since a
// relay that guesses sends audio to the wrong place.
func ParseCommand(b []byte) (Command, error) {
	d, err := Decode(b)
	if err != nil {
		return Command{}, err
	}
	c := Command{
		Name: d.Text(KeyCommand), CallID: d.Text(KeyCallID), FromTag: d.Text(KeyFromTag), ToTag: d.Text(KeyToTag),
		ViaBranch: d.Text(KeyViaBranch), SDP: []byte(d.Text(KeySDP)), ICE: d.Text(KeyICE),
		Transport: d.Text(KeyTransportProtocol), Replace: d.Texts(KeyReplace), Flags: d.Texts(KeyFlags),
		Limit: int(min(max(d.Int(KeyLimit), 0), maxItems)),
	}
	if c.Name == "" {
		return c, ErrNoCommand
	}
	switch dir := d.Texts(KeyDirection); len(dir) {
	case 0:
	case 2:
		c.Direction = [2]string(dir)
	default:
		return c, fmt.Errorf("ng: %s: wants two interface names", KeyDirection)
	}
	if from := d.Texts(KeyReceivedFrom); len(from) > 0 {
		// Older Kamailio modules send only the address; the family is in it anyway.
		if c.ReceivedFrom, err = netip.ParseAddr(from[len(from)-1]); err != nil {
			return c, fmt.Errorf("ng: %s: %w", KeyReceivedFrom, err)
		}
		c.ReceivedFrom = c.ReceivedFrom.Unmap().WithZone("")
	}
	return c, nil
}

// Has says whether flag is among the flags.
func (c Command) Has(flag string) bool {
	for _, f := range c.Flags {
		if f == flag {
			return true
		}
	}
	return false
}

// AppendReply appends the whole datagram of r to b.
func AppendReply(b []byte, cookie string, r Reply) []byte {
	b = append(append(b, cookie...), ' ')
	d := Dict{KeyResult: r.Result}
	for k, v := range r.More {
		d[k] = v
	}
	if r.ErrorReason != "" {
		d[KeyErrorReason] = r.ErrorReason
	}
	if r.Warning != "" {
		d[KeyWarning] = r.Warning
	}
	if len(r.SDP) > 0 {
		d[KeySDP] = r.SDP
	}
	return d.Append(b)
}

// ParseReply reads a dictionary as a Reply.
func ParseReply(b []byte) (Reply, error) {
	d, err := Decode(b)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Result: d.Text(KeyResult), ErrorReason: d.Text(KeyErrorReason), Warning: d.Text(KeyWarning), More: d}
	if sdp := d.Text(KeySDP); sdp != "" {
		r.SDP = []byte(sdp)
	}
	if r.Result == "" {
		return r, ErrNoResult
	}
	for _, k := range []string{KeyResult, KeyErrorReason, KeyWarning, KeySDP} {
		delete(d, k)
	}
	if len(d) == 0 {
		r.More = nil
	}
	return r, nil
}
