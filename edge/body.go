package edge

import (
	"bytes"
	"errors"
	"strings"

	"github.com/lindero/lindero/wire/sip"
)

var errNoSDP = errors.New("edge: no SDP in the body")

// A part is where the SDP stands in a body: all of it, or one part of a
// multipart/mixed (RFC 5621).
type part struct{ from, to int }

func (p part) of(body []byte) []byte { return body[p.from:p.to] }

// splice appends body with text in place of the part.
func (p part) splice(dst, body, text []byte) []byte {
	dst = append(dst, body[:p.from]...)
	dst = append(dst, text...)
	return append(dst, body[p.to:]...)
}

// hasSDP tells whether the type of m's body is one that an SDP stands in.
func hasSDP(m *sip.Message) bool {
	media, _ := mediaType(m.Get(sip.ContentType))
	return media == "application/sdp" || media == "multipart/mixed" && bytes.Contains(bytes.ToLower(m.Body), []byte("application/sdp"))
}

// findSDP finds the SDP in the body of m.
func findSDP(m *sip.Message) (part, error) {
	media, params := mediaType(m.Get(sip.ContentType))
	switch {
	case len(m.Body) == 0:
	case media == "application/sdp":
		return part{0, len(m.Body)}, nil
	case media == "multipart/mixed":
		if boundary, _ := sip.Param(params, "boundary"); len(boundary) > 0 && len(boundary) <= 70 {
			return findPart(m.Body, append([]byte("--"), boundary...))
		}
	}
	return part{}, errNoSDP
}

// mediaType reads a Content-Type: the type in lower case, and its parameters.
func mediaType(value []byte) (media string, params []byte) {
	i := bytes.IndexByte(value, ';')
	if i < 0 {
		i = len(value)
	}
	name := bytes.TrimSpace(value[:i])
	if len(name) > 64 {
		return "", nil
	}
	if string(name) == "application/sdp" {
		return "application/sdp", value[i:] // the common case does not allocate
	}
	return strings.ToLower(string(name)), value[i:]
}

// findPart finds the first part of type application/sdp between lines that begin
// with delimiter (RFC 2046 §5.1).
func findPart(body, delimiter []byte) (part, error) {
	at := bytes.Index(body, delimiter)
	for at >= 0 {
		head := at + len(delimiter)
		line := bytes.Index(body[head:], []byte("\r\n"))
		if line < 0 || bytes.HasPrefix(body[head:], []byte("--")) {
			break
		}
		head += line // the CRLF stays: an empty head ends at once
		gap := bytes.Index(body[head:], []byte("\r\n\r\n"))
		next := bytes.Index(body[head:], append([]byte("\r\n"), delimiter...))
		if gap < 0 || next < 0 {
			break
		}
		if gap < next && partIsSDP(body[head:head+gap]) {
			return part{head + gap + 4, head + max(next, gap+4)}, nil
		}
		at = head + next + 2
	}
	return part{}, errNoSDP
}

func partIsSDP(head []byte) bool {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && strings.EqualFold(string(bytes.TrimSpace(name)), "content-type") {
			media, _ := mediaType(value)
			return media == "application/sdp"
		}
	}
	return false
}

// setBody replaces the body in w when it was anchored: by nothing, if body is
// empty and not nil.
func setBody(w *work, body []byte) {
	if body == nil {
		return
	}
	w.edit.SetBody(body)
	if len(body) == 0 {
		w.edit.RemoveAll(sip.ContentType)
	}
}
