package sip

// longestName is the length of the longest name idOf knows.
const longestName = len("P-Preferred-Identity")

// idOf finds the header a name means, in any case, long or compact (RFC 3261
// §7.3.3, §20; RFC 3515, 3892, 4028, 6665 for their own letters).
func idOf(name []byte) HeaderID {
	const lindero = "lindero-"
	var buf [longestName]byte
	if len(name) > len(lindero) && equalFold(name[:len(lindero)], lindero) {
		if equalFold(name, "lindero-source") {
			return LinderoSource
		}
		return LinderoOther
	}
	if len(name) > len(buf) {
		return Other
	}
	for i, c := range name {
		buf[i] = lower(c)
	}
	if len(name) == 1 {
		return idOfCompact(buf[0])
	}
	switch string(buf[:len(name)]) {
	case "via":
		return Via
	case "from":
		return From
	case "to":
		return To
	case "call-id":
		return CallID
	case "cseq":
		return CSeq
	case "contact":
		return Contact
	case "route":
		return Route
	case "record-route":
		return RecordRoute
	case "max-forwards":
		return MaxForwards
	case "content-length":
		return ContentLength
	case "content-type":
		return ContentType
	}
	return idOfRarer(string(buf[:len(name)]))
}

func idOfCompact(c byte) HeaderID {
	switch c {
	case 'v':
		return Via
	case 'f':
		return From
	case 't':
		return To
	case 'i':
		return CallID
	case 'm':
		return Contact
	case 'l':
		return ContentLength
	case 'c':
		return ContentType
	case 'k':
		return Supported
	case 'o':
		return Event
	case 'r':
		return ReferTo
	case 'b':
		return ReferredBy
	case 'x':
		return SessionExpires
	}
	return Other
}

func idOfRarer(name string) HeaderID {
	switch name {
	case "expires":
		return Expires
	case "min-expires":
		return MinExpires
	case "authorization":
		return Authorization
	case "proxy-authorization":
		return ProxyAuthorization
	case "www-authenticate":
		return WWWAuthenticate
	case "proxy-authenticate":
		return ProxyAuthenticate
	case "path":
		return Path
	case "supported":
		return Supported
	case "require":
		return Require
	case "proxy-require":
		return ProxyRequire
	case "unsupported":
		return Unsupported
	case "allow":
		return Allow
	case "user-agent":
		return UserAgent
	case "server":
		return Server
	case "event":
		return Event
	case "refer-to":
		return ReferTo
	case "referred-by":
		return ReferredBy
	case "replaces":
		return Replaces
	case "session-expires":
		return SessionExpires
	case "min-se":
		return MinSE
	case "retry-after":
		return RetryAfter
	case "timestamp":
		return Timestamp
	case "date":
		return Date
	case "p-asserted-identity":
		return PAssertedIdentity
	case "p-preferred-identity":
		return PPreferredIdentity
	case "privacy":
		return PrivacyHeader
	}
	return Other
}

// longNames are the names that Set writes.
var longNames = [numHeaderIDs]string{
	Via: "Via", From: "From", To: "To", CallID: "Call-ID", CSeq: "CSeq", Contact: "Contact",
	Route: "Route", RecordRoute: "Record-Route", MaxForwards: "Max-Forwards",
	ContentLength: "Content-Length", ContentType: "Content-Type", Expires: "Expires",
	MinExpires: "Min-Expires", Authorization: "Authorization", ProxyAuthorization: "Proxy-Authorization",
	WWWAuthenticate: "WWW-Authenticate", ProxyAuthenticate: "Proxy-Authenticate", Path: "Path",
	Supported: "Supported", Require: "Require", ProxyRequire: "Proxy-Require", Unsupported: "Unsupported",
	Allow: "Allow", UserAgent: "User-Agent", Server: "Server", Event: "Event", ReferTo: "Refer-To",
	ReferredBy: "Referred-By", Replaces: "Replaces", SessionExpires: "Session-Expires", MinSE: "Min-SE",
	RetryAfter: "Retry-After", Timestamp: "Timestamp", Date: "Date",
	PAssertedIdentity: "P-Asserted-Identity", PPreferredIdentity: "P-Preferred-Identity",
	PrivacyHeader: "Privacy", LinderoSource: "Lindero-Source",
}

// String is the header's name in its long form; empty for Other and LinderoOther.
func (id HeaderID) String() string {
	if id < numHeaderIDs {
		return longNames[id]
	}
	return ""
}

// single tells whether a second line with id is an error: readers disagree on
// which of the two counts (RFC 3261 §7.3.1).
func (id HeaderID) single() bool {
	switch id {
	case From, To, CallID, CSeq, MaxForwards, ContentLength, ContentType, Expires, MinExpires,
		Event, ReferTo, ReferredBy, Replaces, SessionExpires, MinSE, RetryAfter, Timestamp, Date:
		return true
	}
	return false
}

// answered tells whether a response repeats the request's lines with id.
func (id HeaderID) answered() bool {
	switch id {
	case Via, From, To, CallID, CSeq, Timestamp:
		return true
	}
	return false
}
