package sip

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
)

var errVia = errors.New("sip: malformed Via")

// A ViaValue is one Via hop (RFC 3261 §20.42). It borrows the bytes it was parsed
// from.
type ViaValue struct {
	Transport []byte // "UDP", as written
	Host      []byte // IPv6 without brackets
	Port      uint16 // 0 when absent
	Params    []byte // beginning with ';' or empty
}

// ParseVia reads one Via value, with white space wherever the grammar allows it.
func ParseVia(value []byte) (ViaValue, error) {
	v, version, ok := readVia(value)
	if !ok || string(version) != "2.0" || !validParams(v.Params, tokenByte) {
		return ViaValue{}, errVia
	}
	return v, nil
}

// readVia reads a Via as far as an answer needs it: of any version, whatever the
// parameters.
func readVia(b []byte) (v ViaValue, version []byte, ok bool) {
	var name []byte
	if name, b, ok = cutSlash(b); !ok || !equalFold(name, "SIP") {
		return v, nil, false
	}
	if version, b, ok = cutSlash(b); !ok {
		return v, nil, false
	}
	end := 0
	for end < len(b) && classes[b[end]]&tokenByte != 0 {
		end++
	}
	if end == 0 || end == len(b) || !space(b[end]) {
		return v, nil, false
	}
	v.Transport, b = b[:end], trim(b[end:])
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		v.Params, b = b[i:], trim(b[:i])
	}
	v.Host, v.Port, ok = parseHostPort(b)
	return v, version, ok
}

func cutSlash(b []byte) (before, after []byte, ok bool) {
	i := bytes.IndexByte(b, '/')
	if i < 0 {
		return nil, nil, false
	}
	before = trim(b[:i])
	return before, trimLeft(b[i+1:]), all(before, tokenByte)
}

// Branch is the branch parameter, nil when absent.
func (v ViaValue) Branch() []byte {
	b, _ := Param(v.Params, "branch")
	return b
}

// AppendReceived prints via, the top Via value of a request, with received and
// rport of the source set (RFC 3581 §4, RFC 3261 §18.2.1), always both, whatever
// the sender wrote there.
func AppendReceived(dst []byte, via []byte, from netip.AddrPort) []byte {
	i := bytes.IndexByte(via, ';')
	if i < 0 {
		i = len(via)
	}
	dst = append(dst, trim(via[:i])...)
	params := via[i:]
	for {
		name, value, rest, ok := NextParam(params)
		if !ok {
			break
		}
		params = rest
		if len(name) == 0 || equalFold(name, "received") || equalFold(name, "rport") {
			continue
		}
		dst = append(append(dst, ';'), name...)
		if value != nil {
			dst = append(append(dst, '='), value...)
		}
	}
	dst = append(dst, ";received="...)
	dst = from.Addr().Unmap().WithZone("").AppendTo(dst)
	dst = append(dst, ";rport="...)
	return strconv.AppendUint(dst, uint64(from.Port()), 10)
}
