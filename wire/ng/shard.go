package ng

import "strconv"

// callID finds the call-id of a dictionary without reading the rest; nil when
// there is none or the dictionary is malformed, which whoever reads it will see.
func callID(dict []byte) []byte {
	if len(dict) == 0 {
		return nil
	}
	if dict[0] == '{' {
		d, err := DecodeJSON(dict)
		if err != nil {
			return nil
		}
		for key, v := range d {
			if isCallID(key) {
				return []byte(text(v))
			}
		}
		return nil
	}
	var found []byte
	for i := 1; i < len(dict) && dict[i] != 'e'; {
		key, next := skim(dict, i)
		if next == 0 || key == nil {
			return found
		}
		value, end := skim(dict, next)
		if end == 0 {
			return found
		}
		if isCallID(key) {
			found = value // the last one counts
		}
		i = end
	}
	return found
}

// isCallID says whether a key, in whatever spelling, is call-id.
func isCallID[T string | []byte](key T) bool {
	const want = "call-id"
	if len(key) != len(want) {
		return false
	}
	for i := range len(want) {
		c := key[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == ' ' || c == '_' {
			c = '-'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// skim steps over the bencoded value at i. It returns where the next one begins,
// 0 when there is none, and the bytes of the value when it is a string.
func skim(b []byte, i int) (s []byte, next int) {
	for depth := 0; i < len(b); {
		s = nil
		switch c := b[i]; {
		case c == 'd' || c == 'l':
			depth++
			i++
		case c == 'e':
			depth--
			i++
		case c == 'i':
			for i < len(b) && b[i] != 'e' {
				i++
			}
			i++
		default:
			begin := i
			for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-begin < 9 {
				i++
			}
			n, err := strconv.Atoi(string(b[begin:i]))
			if err != nil || i >= len(b) || b[i] != ':' || n > len(b)-i-1 {
				return nil, 0
			}
			s = b[i+1 : i+1+n]
			i += 1 + n
		}
		if depth <= 0 {
			if depth < 0 || i > len(b) {
				return nil, 0
			}
			return s, i
		}
	}
	return nil, 0
}
