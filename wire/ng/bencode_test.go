package ng_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/ng"
)

func TestDecode(t *testing.T) {
	for in, want := range map[string]ng.Dict{
		"de":                            {},
		"d4:ping4:ponge":                {"ping": "pong"},
		"d1:ai-7e1:bi0ee":               {"a": int64(-7), "b": int64(0)},
		"d1:b0:1:a1:xe":                 {"a": "x", "b": ""}, // not sorted
		"d1:al3:one3:twoei0e0:d1:k0:ee": nil,
		"d1:al3:oned1:k0:eee":           {"a": []any{"one", ng.Dict{"k": ""}}},
		"d2:\r\n3:\x00:ee":              {"\r\n": "\x00:e"},
	} {
		got, err := ng.Decode([]byte(in))
		if want == nil {
			if err == nil {
				t.Errorf("%q is %v", in, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":                   {"", ng.ErrSyntax},
		"no dictionary":             {"4:ping", ng.ErrSyntax},
		"no end":                    {"d4:ping4:pong", ng.ErrSyntax},
		"something after":           {"deX", ng.ErrSyntax},
		"a key without value":       {"d1:ae", ng.ErrSyntax},
		"an integer as key":         {"di1e0:e", ng.ErrSyntax},
		"a string past the end":     {"d1:a99:xe", ng.ErrSyntax},
		"a huge string":             {"d1:a99999999999999999999:xe", ng.ErrSyntax},
		"a length with zeros ahead": {"d01:a0:e", ng.ErrSyntax},
		"a length with sign":        {"d1:a-1:e", ng.ErrSyntax},
		"an empty integer":          {"d1:aiee", ng.ErrSyntax},
		"an integer with plus":      {"d1:ai+1ee", ng.ErrSyntax},
		"minus zero":                {"d1:ai-0ee", ng.ErrSyntax},
		"zeros ahead":               {"d1:ai01ee", ng.ErrSyntax},
		"an integer without end":    {"d1:ai1", ng.ErrSyntax},
		"an integer over 64 bits":   {"d1:ai9223372036854775808ee", ng.ErrSyntax},
		"an unknown type":           {"d1:axe", ng.ErrSyntax},
		"too deep":                  {"d1:a" + strings.Repeat("l", 100) + strings.Repeat("e", 101), ng.ErrLimit},
		"too many":                  {"d1:al" + strings.Repeat("0:", 20000) + "ee", ng.ErrLimit},
	} {
		if _, err := ng.Decode([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendSortsAndKnowsItsTypes(t *testing.T) {
	d := ng.Dict{
		"z": "s", "b": []byte{0xff}, "int": -1, "int64": int64(2), "uint64": uint64(3), "yes": true, "no": false,
		"texts": []string{"a", ""}, "list": []any{"a", 1}, "dict": ng.Dict{},
	}
	want := "d1:b1:\xff4:dictde3:inti-1e5:int64i2e4:listl1:ai1ee2:noi0e5:textsl1:a0:e6:uint64i3e3:yesi1e1:z1:se"
	if got := string(d.Append(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What is read can be written, and reading that gives the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"de", "d4:ping4:ponge", "d1:ai-7e1:bl3:oned1:k0:eee", "d7:command5:offer3:sdp5:v=0\r\ne"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ng.Decode(b)
		if err != nil {
			return
		}
		again, err := ng.Decode(d.Append(nil))
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Errorf("%q: %v, then %v, %v", b, d, again, err)
		}
		if c, err := ng.ParseCommand(b); err == nil {
			c.Dict().Append(nil)
		}
		_, _ = ng.ParseReply(b)
	})
}
