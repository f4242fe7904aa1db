package sip

// check looks into the values that the border reads, so that nobody behind it
// meets a broken one.
func (s *scanner) check(id HeaderID, value []byte) {
	ok := true
	switch id {
	case Via:
		ok = eachValue(value, validVia)
	case From, To:
		ok = validAddress(value)
	case Contact:
		ok = string(value) == "*" || eachValue(value, validAddress)
	case Route, RecordRoute, Path:
		ok = eachValue(value, validRoute)
	case CallID:
		ok = validCallID(value)
	case CSeq:
		if s.m.CSeqMethod == nil {
			s.m.CSeqNumber, s.m.CSeqMethod, ok = parseCSeq(value)
		}
	case MaxForwards:
		n, decimal := ParseInt(value)
		ok = decimal && n < 256
	}
	if !ok {
		s.fault(400, malformed[id])
	}
}

// Reasons by header, so that a fault names it without building text.
var (
	malformed = [numHeaderIDs]string{
		Via: "malformed Via", From: "malformed From", To: "malformed To", CallID: "malformed Call-ID",
		CSeq: "malformed CSeq", Contact: "malformed Contact", Route: "malformed Route",
		RecordRoute: "malformed Record-Route", Path: "malformed Path", MaxForwards: "malformed Max-Forwards",
	}
	missing = [numHeaderIDs]string{
		Via: "missing Via", From: "missing From", To: "missing To", CallID: "missing Call-ID", CSeq: "missing CSeq",
	}
	duplicates = [numHeaderIDs]string{
		From: "duplicate From", To: "duplicate To", CallID: "duplicate Call-ID", CSeq: "duplicate CSeq",
		MaxForwards: "duplicate Max-Forwards", ContentLength: "duplicate Content-Length",
		ContentType: "duplicate Content-Type", Expires: "duplicate Expires", MinExpires: "duplicate Min-Expires",
		Event: "duplicate Event", ReferTo: "duplicate Refer-To", ReferredBy: "duplicate Referred-By",
		Replaces: "duplicate Replaces", SessionExpires: "duplicate Session-Expires", MinSE: "duplicate Min-SE",
		RetryAfter: "duplicate Retry-After", Timestamp: "duplicate Timestamp", Date: "duplicate Date",
	}
)

// required asks for what no message may lack (RFC 3261 §8.1.1; Max-Forwards is not
// asked for, as RFC 2543 did not have it), and that CSeq tells of the same method.
func (s *scanner) required() {
	m := s.m
	for _, id := range [...]HeaderID{Via, From, To, CallID, CSeq} {
		if m.first[id] == 0 {
			s.fault(400, missing[id])
		}
	}
	if m.Method != nil && m.first[CSeq] != 0 && string(m.CSeqMethod) != string(m.Method) {
		s.fault(400, "CSeq of another method")
	}
}

// body cuts Raw and Body at Content-Length.
func (s *scanner) body(raw []byte) {
	m := s.m
	end := len(raw)
	if i := m.Index(ContentLength); i >= 0 {
		n, ok := ParseInt(m.Value(i))
		switch {
		case !ok:
			s.fault(400, "malformed Content-Length")
		case uint64(n) > uint64(end-m.bodyAt):
			s.fault(400, "body shorter than Content-Length")
		default:
			end = m.bodyAt + int(n)
		}
	}
	m.Raw, m.Body = raw[:end:end], raw[m.bodyAt:end:end]
}

// eachValue tells whether list has values, none of them empty, all good.
func eachValue(list []byte, good func([]byte) bool) bool {
	for more := true; more; {
		var value []byte
		if value, list, more = cutValue(list); !good(value) {
			return false
		}
	}
	return true
}

// validVia also refuses a branch that claims to be unique and is empty: it would
// match every other transaction of that kind (RFC 4475 §3.2.1).
func validVia(value []byte) bool {
	v, err := ParseVia(value)
	return err == nil && !equalFold(v.Branch(), "z9hG4bK")
}

func validAddress(value []byte) bool {
	n, err := ParseNameAddr(value)
	if err != nil {
		return false
	}
	_, err = ParseURI(n.URI)
	return err == nil
}

// validRoute asks for <>, which Route and its relatives always have (RFC 3261
// §20.34), and for a place to go to.
func validRoute(value []byte) bool {
	n, angle, err := parseNameAddr(value)
	if err != nil || !angle {
		return false
	}
	u, err := ParseURI(n.URI)
	return err == nil && u.sip()
}

// validCallID allows more than word ["@" word], but no white space.
func validCallID(value []byte) bool {
	for _, c := range value {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(value) > 0
}
