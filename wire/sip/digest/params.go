package digest

import "strings"

// maxParams bounds the parameters of one header; RFC 7616 has twelve.
const maxParams = 32

// eachParam calls f with the parameters of a Digest challenge or credentials in
// order, names in lower case, values without quotes and escapes. It fails for
// another scheme, for what is not a list, and when a name comes twice, since two
// readers could see two values.
func eachParam(header []byte, f func(name, value string) error) error {
	s, ok := cutScheme(string(header))
	if !ok {
		return ErrScheme
	}
	seen := make([]string, 0, 12)
	for s != "" {
		name, value, rest, ok := cutParam(s)
		if !ok || len(seen) == maxParams {
			return ErrMalformed
		}
		name = strings.ToLower(name)
		for _, n := range seen {
			if n == name {
				return ErrMalformed
			}
		}
		seen = append(seen, name)
		if err := f(name, value); err != nil {
			return err
		}
		s = rest
	}
	if len(seen) == 0 {
		return ErrMalformed
	}
	return nil
}

func cutScheme(s string) (rest string, ok bool) {
	const scheme = "Digest"
	s = trim(s)
	if len(s) < len(scheme) || !equalFold(s[:len(scheme)], scheme) {
		return "", false
	}
	rest = trim(s[len(scheme):])
	return rest, rest == "" || len(rest) < len(s)-len(scheme)
}

// cutParam splits name=value off s, and the comma after it.
func cutParam(s string) (name, value, rest string, ok bool) {
	i := strings.IndexByte(s, '=')
	if i < 0 {
		return "", "", "", false
	}
	name, s = trim(s[:i]), trim(s[i+1:])
	if !isToken(name) {
		return "", "", "", false
	}
	if s != "" && s[0] == '"' {
		value, s, ok = cutQuoted(s)
		if s = trim(s); !ok || s != "" && s[0] != ',' {
			return "", "", "", false
		}
	} else {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		if value, s = trim(s[:end]), s[end:]; !isToken(value) {
			return "", "", "", false
		}
	}
	if s == "" {
		return name, value, "", true
	}
	rest = trim(s[1:])
	return name, value, rest, rest != ""
}

// cutQuoted takes the quoted string off s and undoes its escapes. Line breaks and
// NUL, which only an attack has there, end it badly.
func cutQuoted(s string) (value, rest string, ok bool) {
	escapes := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\r', '\n', 0:
			return "", "", false
		case '\\':
			escapes = true
			if i++; i == len(s) || s[i] < ' ' {
				return "", "", false
			}
		case '"':
			value = s[1:i]
			if escapes {
				value = unescape(value)
			}
			return value, s[i+1:], true
		}
	}
	return "", "", false
}

func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// appendQuoted prints name="value" with its escapes, after a comma when dst does
// not end in the scheme's space.
func appendQuoted(dst []byte, name, value string) []byte {
	dst = append(appendName(dst, name), '"')
	for i := range len(value) {
		if value[i] == '"' || value[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, value[i])
	}
	return append(dst, '"')
}

func appendToken(dst []byte, name, value string) []byte {
	return append(appendName(dst, name), value...)
}

func appendName(dst []byte, name string) []byte {
	if len(dst) > 0 && dst[len(dst)-1] != ' ' {
		dst = append(dst, ", "...)
	}
	return append(append(dst, name...), '=')
}

// trim takes linear white space off, folds included.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// isToken asks for a token of RFC 3261 §25.1, or what old phones leave unquoted
// (URIs, base64): anything that cannot end the parameter.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
