package b2bua

import (
	"bytes"
	"strconv"
)

// Session descriptions pass as they came: the edges anchor them, and nobody here
// needs to understand them. What this file does is only what a change of the
// peer in the middle of a dialog asks for (RFC 3264 §8): the o= line must stay
// the one the phone knows, with a higher version, and a description that was
// given while on hold must not hold the next peer.

// adapt makes a description fit for a leg whose peer was changed by a transfer.
// Before that, it passes unchanged.
func (l *leg) adapt(b body) body {
	if l.origin == "" || !b.isSDP() {
		return b
	}
	if !sameButOrigin(b.data, l.said.data) {
		l.version++
	}
	return body{kind: b.kind, disposition: b.disposition, data: withOrigin(b.data, l.origin, l.version)}
}

// pin keeps the o= line that the leg's peer knows, because its descriptions will
// come from somebody else from now on.
func (l *leg) pin() {
	if l.origin != "" {
		return
	}
	line := originOf(l.said.data)
	fields := bytes.Fields(line)
	if len(fields) != 6 { // o=user id version IN IP4 addr
		return
	}
	l.version, _ = strconv.ParseUint(string(fields[2]), 10, 63)
	l.origin = string(line)
}

func originOf(sdp []byte) []byte {
	for line := range bytes.Lines(sdp) {
		if bytes.HasPrefix(line, []byte("o=")) {
			return bytes.TrimRight(line, "\r\n")
		}
	}
	return nil
}

// withOrigin replaces the o= line, with another version.
func withOrigin(sdp []byte, origin string, version uint64) []byte {
	fields := bytes.Fields([]byte(origin))
	fields[2] = strconv.AppendUint(nil, version, 10)
	var out []byte
	for line := range bytes.Lines(sdp) {
		if bytes.HasPrefix(line, []byte("o=")) {
			out = append(out, bytes.Join(fields, []byte(" "))...)
			out = append(out, "\r\n"...)
			continue
		}
		out = append(out, line...)
	}
	return out
}

func sameButOrigin(a, b []byte) bool {
	const any = "o=- 0 0 IN IP4 0.0.0.0"
	return len(a) > 0 && len(b) > 0 && bytes.Equal(withOrigin(a, any, 0), withOrigin(b, any, 0))
}

// silenced tells whether a description gives no address to send to: the old way
// to hold (RFC 2543 §B.5), which leaves nothing a new peer could use.
func silenced(sdp []byte) bool {
	for line := range bytes.Lines(sdp) {
		switch string(bytes.TrimSpace(line)) {
		case "c=IN IP4 0.0.0.0", "c=IN IP6 ::":
			return true
		}
	}
	return false
}

// talking is a description with every direction set to both ways.
func talking(b body) body {
	var out []byte
	for line := range bytes.Lines(b.data) {
		switch string(bytes.TrimSpace(line)) {
		case "a=sendonly", "a=recvonly", "a=inactive":
			line = []byte("a=sendrecv\r\n")
		}
		out = append(out, line...)
	}
	return body{kind: b.kind, disposition: b.disposition, data: out}
}
