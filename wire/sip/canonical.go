package sip

import (
	"bytes"
	"strconv"
)

// AppendCanonical prints m at the end of dst in its plainest spelling, for readers
// that know fewer of the spellings RFC 3261 allows: long names, no folds, one value
// of an address list to a line, addresses in <>, no white space around parameters,
// numbers without leading zeros, Content-Length always. What it means stays the
// same; names and values that it does not know stay as written, folds apart.
func AppendCanonical(dst []byte, m *Message) []byte {
	if m.IsRequest() {
		dst = append(append(append(dst, m.Method...), ' '), m.URI...)
		dst = append(dst, " SIP/2.0\r\n"...)
	} else {
		dst = append(dst, "SIP/2.0 "...)
		dst = strconv.AppendInt(dst, int64(m.Code), 10)
		dst = append(append(append(dst, ' '), m.Reason...), "\r\n"...)
	}
	for i := range m.n {
		id := m.headers[i].ID
		name := m.Name(i)
		if long := id.String(); long != "" {
			name = []byte(long)
		}
		switch id {
		case Via, From, To, Contact, Route, RecordRoute, Path:
			list, more := m.Value(i), true
			for more {
				var value []byte
				value, list, more = cutCanonical(list, id)
				dst = append(append(dst, name...), ": "...)
				dst = append(appendCanonicalValue(dst, id, value), "\r\n"...)
			}
		case ContentLength:
		case CSeq:
			dst = append(dst, "CSeq: "...)
			dst = strconv.AppendUint(dst, uint64(m.CSeqNumber), 10)
			dst = append(append(append(dst, ' '), m.CSeqMethod...), "\r\n"...)
		default:
			dst = append(append(dst, name...), ": "...)
			dst = append(appendPlain(dst, id, m.Value(i)), "\r\n"...)
		}
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(m.Body)), 10)
	return append(append(dst, "\r\n\r\n"...), m.Body...)
}

// cutCanonical splits lists; From and To are none.
func cutCanonical(list []byte, id HeaderID) (value, rest []byte, more bool) {
	if id == From || id == To {
		return list, nil, false
	}
	return cutValue(list)
}

// appendPlain unfolds a value, and takes the zeros off a number.
func appendPlain(dst []byte, id HeaderID, value []byte) []byte {
	switch id {
	case MaxForwards, Expires, MinExpires:
		if n, ok := ParseInt(value); ok {
			return strconv.AppendUint(dst, uint64(n), 10)
		}
	}
	return appendUnfolded(dst, value)
}

// appendUnfolded prints value with each fold, and the white space around it, as
// one space (RFC 3261 §7.3.1).
func appendUnfolded(dst, value []byte) []byte {
	for {
		i := bytes.IndexByte(value, '\r')
		if i < 0 {
			return append(dst, value...)
		}
		line := value[:i]
		for len(line) > 0 && space(line[len(line)-1]) {
			line = line[:len(line)-1]
		}
		dst = append(append(dst, line...), ' ')
		value = trimLeft(value[i:])
	}
}

// appendCanonicalValue prints a Via or an address. Scan has found it readable.
func appendCanonicalValue(dst []byte, id HeaderID, value []byte) []byte {
	if id == Via {
		v, err := ParseVia(value)
		if err != nil {
			return appendUnfolded(dst, value)
		}
		dst = append(append(append(dst, "SIP/2.0/"...), v.Transport...), ' ')
		if bytes.IndexByte(v.Host, ':') >= 0 {
			dst = append(append(append(dst, '['), v.Host...), ']')
		} else {
			dst = append(dst, v.Host...)
		}
		if v.Port != 0 {
			dst = strconv.AppendUint(append(dst, ':'), uint64(v.Port), 10)
		}
		return appendParams(dst, v.Params)
	}
	n, err := ParseNameAddr(value)
	if err != nil { // Contact's *
		return appendUnfolded(dst, value)
	}
	if len(n.Display) > 0 {
		dst = append(appendUnfolded(dst, n.Display), ' ')
	}
	dst = append(append(append(dst, '<'), n.URI...), '>')
	return appendParams(dst, n.Params)
}

func appendParams(dst, params []byte) []byte {
	for {
		name, value, rest, ok := NextParam(params)
		if !ok {
			return dst
		}
		dst = append(append(dst, ';'), name...)
		if value != nil {
			dst = appendUnfolded(append(dst, '='), value)
		}
		params = rest
	}
}
