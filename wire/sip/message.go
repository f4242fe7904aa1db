package sip

import "errors"

// Hard limits of a message. Whatever exceeds one is refused while scanning, so
// that every later step is linear in a small number.
const (
	MaxDatagram = 16 << 10 // bytes of a message in a datagram
	MaxStream   = 64 << 10 // bytes of a message on a stream
	MaxHeaders  = 128      // header lines of a message
	MaxParams   = 64       // parameters of one header value or URI
)

// A Header is one header line (with its continuation lines) of a Message, as
// offsets into Message.Raw.
type Header struct {
	ID         HeaderID
	Start, End int32 // the whole line, End is after its CRLF
	NameEnd    int32 // end of the name as written; it begins at Start
	ValueStart int32 // the value without surrounding white space; inner folds stay as they came
	ValueEnd   int32
}

// A Message is a scanned request or response. It borrows Raw: it is valid while
// the bytes given to Scan are. The zero Message is ready for Scan and may be
// scanned again without allocating.
type Message struct {
	Raw  []byte // the message: start line to the end of the body
	Body []byte // what follows the empty line, cut to Content-Length

	Method []byte // requests: as written, case matters; nil for responses
	URI    []byte // requests: Request-URI as written
	Code   int    // responses: 100 to 699; 0 for requests
	Reason []byte // responses

	CSeqNumber uint32
	CSeqMethod []byte

	headers [MaxHeaders]Header
	n       int
	first   [numHeaderIDs]int16 // 1 + index of the first header with this id; 0 when absent
	bodyAt  int                 // offset of the empty line's end
}

// A ScanError says why bytes are not an acceptable message. When Answerable, the
// message is a request other than ACK whose top Via could be read, so a response
// with Code can be made from the Message by Respond; otherwise it is only counted.
type ScanError struct {
	Code       int    // the SIP status the sender deserves: 400, 413, 505, …
	Reason     string // what is wrong, for the reason phrase and a counter's label; never text from the wire
	Answerable bool
}

func (e *ScanError) Error() string { return "sip: " + e.Reason }

// ErrIncomplete is returned by Frame when more bytes are needed.
var ErrIncomplete = errors.New("sip: message is not complete yet")
