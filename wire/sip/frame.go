package sip

import "bytes"

// Frame returns the length of the first message in a stream's buffer b (after the
// caller skipped leading CRLFs), ErrIncomplete, or a *ScanError that ends the
// stream: what cannot be a message, no, bad or two Content-Lengths (RFC 3261
// §18.3), over MaxStream. It sees a message as Scan does, so that what the one
// cuts the other reads whole. A caller who wants to answer before it closes asks
// Scan.
func Frame(b []byte) (int, error) {
	line, at, ok := cutLine(b, false)
	switch {
	case incomplete(b, at):
		return 0, wait(b, MaxLine)
	case !ok || len(line) > MaxLine || !plausible(line):
		return 0, &ScanError{Code: 400, Reason: "malformed start line"}
	}
	length := -1
	for n := 0; ; n++ {
		rest := b[at:]
		if len(rest) < 2 {
			return 0, wait(b, MaxStream)
		}
		if rest[0] == '\r' && rest[1] == '\n' {
			at += 2
			break
		}
		line, size, ok := cutLine(rest, true)
		switch {
		case incomplete(rest, size), size == len(rest): // the next byte may continue the line
			return 0, wait(b, MaxStream)
		case !ok:
			return 0, &ScanError{Code: 400, Reason: "header line without CRLF"}
		case n == MaxHeaders:
			return 0, &ScanError{Code: 400, Reason: "too many headers"}
		}
		at += size
		if name, value, _ := cutName(line); idOf(name) == ContentLength {
			n, ok := ParseInt(trim(value))
			if !ok || length >= 0 {
				return 0, &ScanError{Code: 400, Reason: "malformed Content-Length"}
			}
			length = int(n)
		}
	}
	switch {
	case length < 0:
		return 0, &ScanError{Code: 400, Reason: "missing Content-Length"}
	case length > MaxStream-at: // at may be beyond, too
		return 0, &ScanError{Code: 513, Reason: "message too large"}
	case length > len(b)-at:
		return 0, ErrIncomplete
	}
	return at + length, nil
}

// incomplete tells whether the n bytes that cutLine stepped over lack their LF.
func incomplete(b []byte, n int) bool { return n == 0 || b[n-1] != '\n' }

// wait asks for more bytes unless there are too many already.
func wait(b []byte, most int) error {
	if len(b) > most {
		return &ScanError{Code: 513, Reason: "message too large"}
	}
	return ErrIncomplete
}

// plausible tells a SIP start line from what else knocks at a SIP port, such as
// HTTP, before its headers are waited for.
func plausible(line []byte) bool {
	if len(line) > 4 && equalFold(line[:4], "SIP/") {
		return true
	}
	i := bytes.LastIndexByte(trim(line), ' ')
	return i > 0 && len(line)-i > 4 && equalFold(line[i+1:i+5], "SIP/")
}
