package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ParseJSON reads a document strictly: a key that it does not know or that stands
// twice, and anything behind the document, is an error, so that a misspelt rule is
// not a rule left out. The document may still have faults; Validate finds them.
func ParseJSON(data []byte) (Document, error) {
	var d Document
	err := DecodeJSON(data, &d)
	return d, err
}

// DecodeJSON is ParseJSON for other values, such as Access and Version.
func DecodeJSON(data []byte, into any) error {
	if err := checkKeys(data); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if d, ok := into.(*Document); ok && len(d.Services) > 0 {
		return noNulls(data)
	}
	return nil
}

// noNulls finds services of null: to encoding/json they are the same as {}, which
// lets everybody in, while whoever wrote one may have meant that nothing is said.
func noNulls(data []byte) error {
	var d struct{ Services map[string]json.RawMessage }
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	var f Faults
	for name, raw := range d.Services {
		f.check(string(raw) != "null", "services."+name, "is null; leave it out, or write its rules")
	}
	return f.err()
}

// JSON is the document's canonical form: defaults written out, lists in order. Two
// documents that mean the same have the same bytes.
func (d Document) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(d.Canonical(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return append(data, '\n'), nil
}

// checkKeys finds keys that stand twice in one object, which encoding/json lets
// through, and data after the end.
func checkKeys(data []byte) error {
	type object struct {
		keys  []string
		array bool
		value bool // the next token is a value, not a key
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var open []object
	for first := true; first || len(open) > 0; first = false {
		token, err := dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		top := len(open) - 1
		if key, ok := token.(string); ok && top >= 0 && !open[top].array && !open[top].value {
			if slices.ContainsFunc(open[top].keys, func(k string) bool { return strings.EqualFold(k, key) }) {
				return fmt.Errorf("the key %q stands twice", key)
			}
			open[top].keys, open[top].value = append(open[top].keys, key), true
			continue
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open = append(open, object{array: token == json.Delim('[')})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if top := len(open) - 1; top >= 0 {
			open[top].value = false
		}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}
