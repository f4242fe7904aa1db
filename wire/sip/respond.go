package sip

import (
	"net/netip"
	"strconv"
)

// A Response is what Respond needs beside the request.
type Response struct {
	Code    int
	Reason  string // empty: the RFC's phrase
	ToTag   string // added to To when the request's has no tag and Code > 100; empty: none is added
	Headers []byte // whole lines, each ending in CRLF
	Type    string // Content-Type of Body
	Body    []byte
}

// Respond prints the response to req at the end of dst (RFC 3261 §8.2.6): Vias,
// From, To, Call-ID and CSeq copied, and Timestamp in a 100; Content-Length set.
// from, when valid, is written into the top Via by AppendReceived. req may be a
// request that Scan refused as Answerable: what it lacks, the response lacks.
func Respond(dst []byte, req *Message, from netip.AddrPort, r Response) []byte {
	reason := r.Reason
	if reason == "" {
		reason = ReasonPhrase(r.Code)
	}
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(r.Code), 10)
	dst = append(append(dst, ' '), reason...)
	dst = append(dst, "\r\n"...)
	dst = appendVias(dst, req, from)
	for _, id := range [...]HeaderID{From, To, CallID, CSeq} {
		i := req.Index(id)
		if i < 0 {
			continue
		}
		h := req.Header(i)
		dst = append(dst, req.Raw[h.Start:h.ValueEnd]...)
		if id == To && r.ToTag != "" && r.Code > 100 && !hasTag(req.Value(i)) {
			dst = append(append(dst, ";tag="...), r.ToTag...)
		}
		dst = append(dst, "\r\n"...)
	}
	if i := req.Index(Timestamp); i >= 0 && r.Code == 100 {
		h := req.Header(i)
		dst = append(dst, req.Raw[h.Start:h.End]...)
	}
	dst = append(dst, r.Headers...)
	if r.Type != "" {
		dst = append(append(append(dst, "Content-Type: "...), r.Type...), "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, r.Body...)
}

func appendVias(dst []byte, req *Message, from netip.AddrPort) []byte {
	for i, top := req.Index(Via), true; i >= 0; i, top = req.Next(i), false {
		h := req.Header(i)
		if !top || !from.IsValid() {
			dst = append(dst, req.Raw[h.Start:h.End]...)
			continue
		}
		via, rest := NextValue(req.Value(i))
		dst = append(dst, req.Raw[h.Start:h.ValueStart]...)
		dst = AppendReceived(dst, via, from)
		if len(rest) > 0 {
			dst = append(append(dst, ", "...), rest...)
		}
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// hasTag tells whether a To or From value carries a tag.
func hasTag(value []byte) bool {
	n, err := ParseNameAddr(value)
	if err != nil {
		return false
	}
	_, present := Param(n.Params, "tag")
	return present
}

// Tag is the tag of the From or To header, nil when it has none.
func (m *Message) Tag(id HeaderID) []byte {
	n, err := ParseNameAddr(m.Get(id))
	if err != nil {
		return nil
	}
	tag, _ := Param(n.Params, "tag")
	return tag
}
