package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/shield/policy"
)

// A body is a request's body that is read by decode, so that every fault in it is
// told at once, each with its path, and a misspelt key is not a rule left out.
type body[T any] struct{ raw json.RawMessage }

// UnmarshalJSON keeps what came; it is known to be JSON.
func (b *body[T]) UnmarshalJSON(text []byte) error {
	b.raw = bytes.Clone(text)
	return nil
}

// Schema is that of T.
func (body[T]) Schema(r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }

// decode reads the body and adds what is wrong with it to f, below "body".
func (b body[T]) decode(f *faults) T { return b.decodeBy(decoder{f: f}) }

// lenient is decode for what nodes send: they may be newer and say more.
func (b body[T]) lenient(f *faults) T { return b.decodeBy(decoder{f: f, lenient: true}) }

func (b body[T]) decodeBy(d decoder) (v T) {
	d.f.check(!bytes.Equal(b.raw, []byte("null")), "body", "wants an object")
	if d.lenient && json.Unmarshal(b.raw, &v) == nil {
		return v
	}
	v = *new(T)
	d.value("body", b.raw, reflect.ValueOf(&v).Elem())
	return v
}

// A decoder walks JSON and a Go value together. Unlike encoding/json it goes on
// after a fault, refuses keys it does not know or that stand twice, and knows where it is.
type decoder struct {
	f       *faults
	lenient bool // passes over keys it does not know
}

func (d decoder) value(path string, raw json.RawMessage, v reflect.Value) {
	if bytes.Equal(raw, []byte("null")) {
		return // as if it were not there
	}
	into := v.Addr().Interface()
	_, own := into.(json.Unmarshaler)
	_, text := into.(encoding.TextUnmarshaler)
	if document, ok := into.(*policy.Document); ok {
		// A document can be long, and mostly nothing is wrong with it.
		if policy.DecodeJSON(raw, document) == nil {
			return
		}
		*document = policy.Document{}
	}
	switch {
	case own || text:
		d.leaf(path, raw, v)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, raw, v.Elem())
	case v.Kind() == reflect.Struct:
		d.object(path, raw, v)
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.members(path, raw, func(at, key string, raw json.RawMessage) {
			one := reflect.New(v.Type().Elem()).Elem()
			d.f.check(d.lenient || !bytes.Equal(raw, []byte("null")), at, "is null; leave it out, or write its rules")
			d.value(at, raw, one)
			v.SetMapIndex(reflect.ValueOf(key), one)
		})
	case v.Kind() == reflect.Slice:
		d.items(path, raw, v)
	default:
		d.leaf(path, raw, v)
	}
}

// object reads the fields of a struct. What the API's description calls required
// must be there: a body without its document is not a document that says nothing.
func (d decoder) object(path string, raw json.RawMessage, v reflect.Value) {
	fields := fieldsOf(v)
	d.members(path, raw, func(at, key string, raw json.RawMessage) {
		field, ok := fields[key]
		if !ok {
			d.f.check(d.lenient, at, "is no key that is known here")
			return
		}
		field.there = !bytes.Equal(raw, []byte("null"))
		d.value(at, raw, field.value)
	})
	for key, field := range fields {
		d.f.check(field.there || !field.required || d.lenient, join(path, key), "is missing")
	}
}

// leaf leaves one value to encoding/json.
func (d decoder) leaf(path string, raw json.RawMessage, v reflect.Value) {
	err := json.Unmarshal(raw, v.Addr().Interface())
	if err == nil {
		return
	}
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		d.f.add(path, "wants %s, not %s", kind(v.Type()), e.Value)
		return
	}
	message := err.Error()
	for _, prefix := range []string{"policy: ", "geo: ", "netip."} {
		message = strings.TrimPrefix(message, prefix)
	}
	d.f.add(path, "%s", message)
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String, reflect.Struct:
		return "a string"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0 up"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	}
	return "another kind of value"
}

func (d decoder) members(path string, raw json.RawMessage, each func(at, key string, raw json.RawMessage)) {
	if raw[0] != '{' {
		d.f.add(path, "wants an object")
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token() // raw is known to be JSON, here and below
	seen := map[string]bool{}
	for dec.More() {
		token, _ := dec.Token()
		key, _ := token.(string)
		var one json.RawMessage
		_ = dec.Decode(&one)
		at := join(path, short(key))
		if seen[key] {
			d.f.add(at, "stands twice")
			continue
		}
		seen[key] = true
		each(at, key, one)
	}
}

func (d decoder) items(path string, raw json.RawMessage, v reflect.Value) {
	if raw[0] != '[' {
		d.f.add(path, "wants a list")
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token()
	for i := 0; dec.More(); i++ {
		var item json.RawMessage
		_ = dec.Decode(&item)
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(fmt.Sprintf("%s[%d]", path, i), item, one)
		v.Set(reflect.Append(v, one))
	}
}

// A field is one of a struct that JSON may fill.
type field struct {
	value    reflect.Value
	required bool // by the same rules as in the API's description
	there    bool
}

func fieldsOf(v reflect.Value) map[string]*field {
	fields := map[string]*field{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" {
			required := !strings.Contains(options, "omit") && f.Tag.Get("required") != "false"
			fields[name] = &field{value: v.Field(i), required: required}
		}
	}
	return fields
}

// short is text from a request as it may stand in an answer.
func short(s string) string {
	if len(s) > maxShort {
		s = strings.ToValidUTF8(s[:maxShort], "") + "…"
	}
	return s
}

const maxShort = 80
