package ng

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dict is a bencoded dictionary. Its values are string, int64, []any and Dict.
type Dict map[string]any

// Limits of the decoder. What we read comes from a private network, and still a
// decoder that trusts its input is how one bad datagram takes a relay down.
const (
	maxDepth = 16    // of lists and dictionaries in each other; a query reply has 9
	maxItems = 16384 // values in one message
)

// Errors of the decoder.
var (
	ErrSyntax = errors.New("bencode: syntax error")
	ErrLimit  = errors.New("bencode: too deep or too many values")
)

// Decode reads one bencoded dictionary that fills b. It is strict: lengths and
// integers have one spelling only, nothing may follow. Keys may come in any order,
// and more than once, when the last one counts: rtpengine and Kamailio neither sort
// them nor look for what a script has said twice. The strings in the result are
// copies.
func Decode(b []byte) (Dict, error) {
	d := decoder{b: string(b)}
	if len(b) == 0 || b[0] != 'd' {
		return nil, d.fault("a dictionary expected")
	}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.pos != len(b) {
		return nil, d.fault("something follows the dictionary")
	}
	return v.(Dict), nil
}

type decoder struct {
	b     string // of which all strings are parts
	pos   int
	items int
}

func (d *decoder) fault(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, d.pos)
}

func (d *decoder) value(depth int) (any, error) {
	d.items++
	if depth > maxDepth || d.items > maxItems {
		return nil, ErrLimit
	}
	if d.pos >= len(d.b) {
		return nil, d.fault("a value expected")
	}
	switch c := d.b[d.pos]; {
	case c == 'i':
		d.pos++
		return d.integer('e', true)
	case c >= '0' && c <= '9':
		return d.text()
	case c == 'l':
		return d.list(depth)
	case c == 'd':
		return d.dict(depth)
	default:
		return nil, d.fault("no such type")
	}
}

// integer reads digits up to end and steps over end.
func (d *decoder) integer(end byte, signed bool) (int64, error) {
	start := d.pos
	for d.pos < len(d.b) && d.b[d.pos] != end && d.pos-start < 21 {
		d.pos++
	}
	if d.pos >= len(d.b) || d.b[d.pos] != end {
		return 0, d.fault("an integer without end")
	}
	s := d.b[start:d.pos]
	digits := s
	if signed {
		digits = strings.TrimPrefix(s, "-")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || digits == "" || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && s != "0" {
		return 0, d.fault("not an integer")
	}
	d.pos++
	return n, nil
}

func (d *decoder) text() (string, error) {
	n, err := d.integer(':', false)
	if err != nil {
		return "", err
	}
	if n > int64(len(d.b)-d.pos) {
		return "", d.fault("a string longer than the message")
	}
	s := d.b[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return s, nil
}

func (d *decoder) list(depth int) ([]any, error) {
	d.pos++
	l := []any{}
	for d.pos < len(d.b) {
		if d.b[d.pos] == 'e' {
			d.pos++
			return l, nil
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return nil, d.fault("a list without end")
}

func (d *decoder) dict(depth int) (Dict, error) {
	m := Dict{}
	err := d.each(depth, func(key string, v any) error {
		m[key] = v
		return nil
	})
	return m, err
}

// each reads a dictionary and gives its entries to take, in their order.
func (d *decoder) each(depth int, take func(key string, v any) error) error {
	d.pos++
	for d.pos < len(d.b) {
		if d.b[d.pos] == 'e' {
			d.pos++
			return nil
		}
		if c := d.b[d.pos]; c < '0' || c > '9' {
			return d.fault("a key that is no string")
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return err
		}
		if err := take(key, v); err != nil {
			return err
		}
	}
	return d.fault("a dictionary without end")
}

// Append appends d to b, keys sorted. Values may be string, []byte, int, int64,
// uint64, bool (as 0 or 1), []string, []any and Dict; any other type is a fault
// of the program and panics.
func (d Dict) Append(b []byte) []byte { return appendValue(b, d) }

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
		return append(b, v...)
	case []byte:
		b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
		return append(b, v...)
	case int:
		return append(strconv.AppendInt(append(b, 'i'), int64(v), 10), 'e')
	case int64:
		return append(strconv.AppendInt(append(b, 'i'), v, 10), 'e')
	case uint64:
		return append(strconv.AppendUint(append(b, 'i'), v, 10), 'e')
	case bool:
		if v {
			return append(b, "i1e"...)
		}
		return append(b, "i0e"...)
	case []string:
		b = append(b, 'l')
		for _, s := range v {
			b = appendValue(b, s)
		}
		return append(b, 'e')
	case []any:
		b = append(b, 'l')
		for _, e := range v {
			b = appendValue(b, e)
		}
		return append(b, 'e')
	case Dict:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b = append(b, 'd')
		for _, k := range keys {
			b = appendValue(appendValue(b, k), v[k])
		}
		return append(b, 'e')
	default:
		panic(fmt.Sprintf("ng: %T cannot be bencoded", v))
	}
}

// Text returns the string under key, or "" when it is missing or no string.
func (d Dict) Text(key string) string { s, _ := d[key].(string); return s }

// Int returns the integer under key, or 0.
func (d Dict) Int(key string) int64 { n, _ := d[key].(int64); return n }

// Dict returns the dictionary under key, or nil, which may be read like an empty one.
func (d Dict) Dict(key string) Dict { m, _ := d[key].(Dict); return m }

// List returns the list under key, or nil.
func (d Dict) List(key string) []any { l, _ := d[key].([]any); return l }

// Texts returns the strings in the list under key; a single string is a list of one.
func (d Dict) Texts(key string) []string {
	if s, ok := d[key].(string); ok {
		return []string{s}
	}
	var out []string
	for _, v := range d.List(key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
