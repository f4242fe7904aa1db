package sip

// A HeaderID names a header the border knows by sight, whatever the case or the
// compact form (RFC 3261 §7.3.3, §20) it came in.
type HeaderID uint8

// The headers the border knows; Other is any other.
const (
	Other HeaderID = iota
	Via
	From
	To
	CallID
	CSeq
	Contact
	Route
	RecordRoute
	MaxForwards
	ContentLength
	ContentType
	Expires
	MinExpires
	Authorization
	ProxyAuthorization
	WWWAuthenticate
	ProxyAuthenticate
	Path
	Supported
	Require
	ProxyRequire
	Unsupported
	Allow
	UserAgent
	Server
	Event
	ReferTo
	ReferredBy
	Replaces
	SessionExpires
	MinSE
	RetryAfter
	Timestamp
	Date
	PAssertedIdentity
	PPreferredIdentity
	PrivacyHeader
	LinderoSource
	LinderoOther // any other header whose name begins with Lindero-
	numHeaderIDs
)
