package sip

import "net/netip"

// --- scan.go ---------------------------------------------------------------

// Scan reads one whole message. The error, if any, is a *ScanError. Limits: MaxStream bytes, MaxHeaders; bare CR, LF or NUL
// outside the body, duplicate singletons (From, To, Call-ID, CSeq, Max-Forwards, Content-Length, Content-Type, …), missing mandatory headers,
// CSeq method different from the request's, bad SIP version, Content-Length larger than what came → error. Linear time, no allocation.
func (m *Message) Scan(raw []byte) error { panic("skeleton") }

// Frame returns the length of the first message in a stream's buffer b (after the caller skipped leading CRLFs), ErrIncomplete, or a *ScanError that ends the
// stream (no or bad Content-Length, over MaxStream).
func Frame(b []byte) (int, error) { panic("skeleton") }

func (m *Message) IsRequest() bool { panic("skeleton") }

// Is tells whether the request's method is exactly method.
func (m *Message) Is(method string) bool { panic("skeleton") }

// Len is the number of header lines; Header returns line i.
func (m *Message) Len() int            { panic("skeleton") }
func (m *Message) Header(i int) Header { panic("skeleton") }
func (m *Message) Name(i int) []byte   { panic("skeleton") }
func (m *Message) Value(i int) []byte  { panic("skeleton") }

// Index is the first header line with id, or -1. Next is the next one after i with the same id, or -1.
func (m *Message) Index(id HeaderID) int { panic("skeleton") }
func (m *Message) Next(i int) int        { panic("skeleton") }

// Get is the value of the first header line with id, nil when absent. Find does so for a name unknown to HeaderID (case-insensitive).
func (m *Message) Get(id HeaderID) []byte  { panic("skeleton") }
func (m *Message) Find(name string) []byte { panic("skeleton") }

// --- values.go: readers of header values; all borrow, none allocates ------------

// NextValue splits the first comma-separated value off list, respecting quotes and <>; both come without surrounding white space.
func NextValue(list []byte) (value, rest []byte) { panic("skeleton") }

// Param finds name in ";a=b;c" text (case-insensitive); a quoted value comes unquoted of its outer quotes; present tells a flag from an absent one.
func Param(params []byte, name string) (value []byte, present bool) { panic("skeleton") }

// A NameAddr is a value of From, To, Contact, Route, Record-Route, Path, Refer-To (RFC 3261 §20.10).
type NameAddr struct {
	Display []byte // as written
	URI     []byte
	Params  []byte // after the address, beginning with ';' or empty
}

func ParseNameAddr(value []byte) (NameAddr, error) { panic("skeleton") }

// A URI is a sip: or sips: URI in its parts (RFC 3261 §19.1); other schemes keep Scheme and put the rest in User.
type URI struct {
	Scheme   []byte // as written
	User     []byte // still escaped; nil when absent
	Password []byte
	Host     []byte // IPv6 without brackets
	Port     uint16 // 0 when absent
	Params   []byte // beginning with ';' or empty
	Headers  []byte // after '?'
}

func ParseURI(b []byte) (URI, error) { panic("skeleton") }

// Addr is the host as an IP literal, and the port or the scheme's default.
func (u URI) Addr() (netip.AddrPort, bool) { panic("skeleton") }

// A ViaValue is one Via hop (RFC 3261 §20.42).
type ViaValue struct {
	Transport []byte // "UDP", as written
	Host      []byte
	Port      uint16
	Params    []byte
}

func ParseVia(value []byte) (ViaValue, error) { panic("skeleton") }
func (v ViaValue) Branch() []byte             { panic("skeleton") }

// ParseInt reads a decimal like Max-Forwards or Expires; ok is false for anything else or an overflow of 32 bits.
func ParseInt(b []byte) (n uint32, ok bool) { panic("skeleton") }

// --- edit.go ---------------------------------------------------------------

// An Editor makes a new message out of a scanned one by changing some lines and passing every other byte as it came.
// It is reused: Reset starts anew. Edits of one line win in order of call.
type Editor struct{ m *Message }

func (e *Editor) Reset(m *Message)                              {}
func (e *Editor) SetURI(uri []byte)                             {} // Request-URI
func (e *Editor) Remove(i int)                                  {} // header line i
func (e *Editor) RemoveAll(id HeaderID)                         {}
func (e *Editor) RemoveFirstValue(id HeaderID)                  {} // the first comma-separated value of the first line with id
func (e *Editor) Replace(i int, value []byte)                   {} // the value of line i, keeping its name
func (e *Editor) Set(id HeaderID, value []byte)                 {} // replace the first line with id (dropping others) or append it
func (e *Editor) Prepend(name string, value []byte)             {} // a line before the first header line; the last call comes first
func (e *Editor) InsertBefore(i int, name string, value []byte) {}
func (e *Editor) Append(name string, value []byte)              {} // a line after the last header
func (e *Editor) SetBody(body []byte)                           {} // and Content-Length with it

// AppendTo prints the edited message at the end of dst.
func (e *Editor) AppendTo(dst []byte) []byte { panic("skeleton") }

// AppendReceived prints the top Via value of m with received and rport of the source set (RFC 3581 §4, RFC 3261 §18.2.1), always both, whatever the sender wrote there.
func AppendReceived(dst []byte, via []byte, from netip.AddrPort) []byte { panic("skeleton") }

// --- respond.go --------------------------------------------------------------

// A Response is what Respond needs beside the request.
type Response struct {
	Code    int
	Reason  string // empty: the RFC's phrase
	ToTag   string // added to To when the request's has no tag and Code > 100; empty: none is added
	Headers []byte // whole lines, each ending in CRLF
	Type    string // Content-Type of Body
	Body    []byte
}

// Respond prints the response to req at the end of dst (RFC 3261 §8.2.6): Vias, From, To, Call-ID and CSeq copied, Content-Length set. from, when valid, is written into the top Via by AppendReceived.
func Respond(dst []byte, req *Message, from netip.AddrPort, r Response) []byte { panic("skeleton") }

// ReasonPhrase is the default phrase of a status code.
func ReasonPhrase(code int) string { panic("skeleton") }
