package ng

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Encoding is how a dictionary is written. Replies have their command's.
type Encoding uint8

// The encodings.
const (
	Bencode Encoding = iota
	JSON
)

// DecodeAny reads a dictionary in the encoding that its first byte shows.
func DecodeAny(b []byte) (Dict, Encoding, error) {
	if len(b) > 0 && b[0] == '{' {
		d, err := DecodeJSON(b)
		return d, JSON, err
	}
	d, err := Decode(b)
	return d, Bencode, err
}

// DecodeJSON reads one JSON object (RFC 8259) that fills b, within the limits of
// Decode. Booleans are 1 and 0 as bencode would have them, null is left out, and
// a number must be an integer.
func DecodeJSON(b []byte) (Dict, error) {
	r := jsonReader{d: json.NewDecoder(bytes.NewReader(b))}
	r.d.UseNumber()
	v, _, err := r.value(0)
	if err != nil {
		return nil, jsonFault(err)
	}
	d, ok := v.(Dict)
	if !ok {
		return nil, jsonFault(errors.New("an object expected"))
	}
	if _, err := r.d.Token(); err != io.EOF {
		return nil, jsonFault(errors.New("something follows the object"))
	}
	return d, nil
}

func jsonFault(err error) error {
	if errors.Is(err, ErrLimit) {
		return ErrLimit
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("json: %w", err)
}

type jsonReader struct {
	d     *json.Decoder
	items int
}

// value reads one value; end says that it was a closing bracket instead.
func (r *jsonReader) value(depth int) (v any, end bool, err error) {
	if r.items++; depth > maxDepth || r.items > 2*maxItems { // keys count, too
		return nil, false, ErrLimit
	}
	t, err := r.d.Token()
	if err != nil {
		return nil, false, err
	}
	switch t := t.(type) {
	case json.Delim:
		switch t {
		case '{':
			v, err = r.object(depth)
		case '[':
			v, err = r.array(depth)
		default:
			end = true
		}
	case json.Number:
		if v, err = strconv.ParseInt(t.String(), 10, 64); err != nil {
			err = fmt.Errorf("%.20s is not an integer", t.String())
		}
	case bool:
		if t {
			v = int64(1)
		} else {
			v = int64(0)
		}
	case string:
		v = t
	}
	return v, end, err
}

func (r *jsonReader) array(depth int) (any, error) {
	l := []any{}
	for {
		v, end, err := r.value(depth + 1)
		switch {
		case err != nil:
			return nil, err
		case end:
			return l, nil
		case v != nil:
			l = append(l, v)
		}
	}
}

func (r *jsonReader) object(depth int) (any, error) {
	d := Dict{}
	for {
		key, end, err := r.value(depth + 1)
		switch {
		case err != nil:
			return nil, err
		case end:
			return d, nil
		}
		v, _, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if v != nil {
			d[key.(string)] = v // the decoder lets nothing else be a key
		}
	}
}

// AppendJSON appends d to b as JSON, keys sorted. Bytes that are not UTF-8 become
// U+FFFD.
func (d Dict) AppendJSON(b []byte) []byte { return appendJSON(b, d) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendJSONString(b, v)
	case []byte:
		return appendJSONString(b, string(v))
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case bool:
		if v {
			return append(b, '1')
		}
		return append(b, '0')
	case []string:
		return appendJSONList(b, v)
	case []any:
		return appendJSONList(b, v)
	case Dict:
		b = append(b, '{')
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, k), ':')
			b = appendJSON(b, v[k])
		}
		return append(b, '}')
	default:
		panic(fmt.Sprintf("ng: %T cannot be written as JSON", v))
	}
}

func appendJSONList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, e)
	}
	return append(b, ']')
}

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s { // what is not UTF-8 comes as U+FFFD
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r < 0x20:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
