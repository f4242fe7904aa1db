package ng

import (
	"bytes"
	"errors"
	"fmt"
)

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

// AppendReply appends the whole datagram of r to b, in bencode.
func AppendReply(b []byte, cookie string, r Reply) []byte {
	return appendReply(append(append(b, cookie...), ' '), r, Bencode)
}

// appendReply appends the dictionary of r.
func appendReply(b []byte, r Reply, as Encoding) []byte {
	d := Dict{KeyResult: r.Result}
	for k, v := range r.More {
		d[k] = v
	}
	if r.ErrorReason != "" {
		d[KeyErrorReason] = r.ErrorReason
		if r.Result == ResultLoadLimit {
			d[KeyMessage] = r.ErrorReason // where a proxy looks for it
		}
	}
	if r.Warning != "" {
		d[KeyWarning] = r.Warning
	}
	if len(r.SDP) > 0 {
		d[KeySDP] = r.SDP
	}
	if as == JSON {
		return d.AppendJSON(b)
	}
	return d.Append(b)
}

// ParseReply reads a dictionary, bencode or JSON, as a Reply.
func ParseReply(b []byte) (Reply, error) {
	d, _, err := DecodeAny(b)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Result: d.Text(KeyResult), ErrorReason: d.Text(KeyErrorReason), Warning: d.Text(KeyWarning), More: d}
	if r.Result == ResultLoadLimit && r.ErrorReason == "" {
		r.ErrorReason = d.Text(KeyMessage)
	}
	if sdp := d.Text(KeySDP); sdp != "" {
		r.SDP = []byte(sdp)
	}
	if r.Result == "" {
		return r, ErrNoResult
	}
	for _, k := range []string{KeyResult, KeyErrorReason, KeyMessage, KeyWarning, KeySDP} {
		delete(d, k)
	}
	if len(d) == 0 {
		r.More = nil
	}
	return r, nil
}
