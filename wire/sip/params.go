package sip

import "bytes"

// NextValue splits the first comma-separated value off list, respecting quotes
// and <>; both come without surrounding white space. Empty elements are stepped
// over; value is nil when there is none left.
func NextValue(list []byte) (value, rest []byte) {
	for len(list) > 0 {
		value, list, _ = cutValue(list)
		if len(value) > 0 {
			return value, list
		}
	}
	return nil, nil
}

// cutValue splits list at its first comma, even if nothing stands before it; more
// tells whether there was a comma.
func cutValue(list []byte) (value, rest []byte, more bool) {
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case ',':
			return trim(list[:i]), trim(list[i+1:]), true
		case '"':
			n := quoted(list[i:])
			if n < 0 {
				return trim(list), nil, false
			}
			i += n - 1
		case '<':
			n := bytes.IndexByte(list[i:], '>')
			if n < 0 {
				return trim(list), nil, false
			}
			i += n
		}
	}
	return trim(list), nil, false
}

// NextParam splits the first parameter off params, which is empty or begins with
// ';'. The value is as written, with its quotes, and nil for a flag. ok is false
// when params is exhausted or is not a list of parameters.
func NextParam(params []byte) (name, value, rest []byte, ok bool) {
	b := trimLeft(params)
	if len(b) == 0 || b[0] != ';' {
		return nil, nil, nil, false
	}
	b = trimLeft(b[1:])
	i := 0
	for i < len(b) && b[i] != ';' && b[i] != '=' && b[i] != '"' {
		i++
	}
	name = trim(b[:i])
	if i == len(b) || b[i] == ';' {
		return name, nil, b[i:], true
	}
	if b[i] == '"' {
		return nil, nil, nil, false
	}
	b = trimLeft(b[i+1:])
	if len(b) > 0 && b[0] == '"' {
		n := quoted(b)
		if n < 0 {
			return nil, nil, nil, false
		}
		rest = trimLeft(b[n:])
		return name, b[:n], rest, len(rest) == 0 || rest[0] == ';'
	}
	if i = bytes.IndexByte(b, ';'); i < 0 {
		i = len(b)
	}
	value = trim(b[:i])
	return name, value[:len(value):len(value)], b[i:], true
}

// Param finds name in ";a=b;c" text (case-insensitive); a quoted value comes
// without its outer quotes, its escapes as written; present tells a flag from an
// absent one. The first of several wins.
func Param(params []byte, name string) (value []byte, present bool) {
	for {
		n, v, rest, ok := NextParam(params)
		if !ok {
			return nil, false
		}
		if equalFold(n, name) {
			if len(v) > 1 && v[0] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, true
		}
		params = rest
	}
}

// validParams tells whether params is a well-formed list of at most MaxParams
// parameters (RFC 3261 §25.1, generic-param and uri-parameter) with names of the
// given class, in which those that identify things, tag and branch, appear once
// (§7.3.1).
func validParams(params []byte, names uint8) bool {
	tags, branches := 0, 0
	for n := 0; len(params) > 0; n++ {
		name, value, rest, ok := NextParam(params)
		if !ok || n == MaxParams || !all(name, names) {
			return false
		}
		if len(value) > 0 && value[0] != '"' && !all(value, paramByte) {
			return false
		}
		switch {
		case equalFold(name, "tag"):
			tags++
		case equalFold(name, "branch"):
			branches++
		}
		params = rest
	}
	return tags < 2 && branches < 2
}
