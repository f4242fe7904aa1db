package sip_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

// Messages back to back, in whatever pieces they come, are cut where they end.
func TestFrameCutsAStream(t *testing.T) {
	var stream []byte
	want := [][]byte{wire(register), scan(t, wire(invite)).Raw, scan(t, torture(t, "wsinv")).Raw, scan(t, torture(t, "mpart01")).Raw}
	for _, m := range want {
		stream = append(stream, m...)
	}
	for _, piece := range []int{1, 7, 100, len(stream)} {
		var got [][]byte
		var buf []byte
		for rest := stream; len(rest) > 0; {
			n := min(piece, len(rest))
			buf, rest = append(buf, rest[:n]...), rest[n:]
			for {
				n, err := sip.Frame(buf)
				if errors.Is(err, sip.ErrIncomplete) {
					break
				}
				if err != nil {
					t.Fatalf("in pieces of %d: %v", piece, err)
				}
				got = append(got, bytes.Clone(buf[:n]))
				buf = buf[n:]
			}
		}
		if len(got) != len(want) || len(buf) > 0 {
			t.Fatalf("in pieces of %d: %d messages and %d bytes left, want %d", piece, len(got), len(buf), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("in pieces of %d: message %d is\n%s", piece, i, got[i])
			}
		}
	}
}

func TestFrameEndsAStream(t *testing.T) {
	const head = "OPTIONS sip:a@b SIP/2.0\r\n"
	for name, row := range map[string]struct {
		stream string
		code   int
	}{
		"no Content-Length":             {head + "To: x\r\n\r\n", 400},
		"a negative Content-Length":     {head + "Content-Length: -1\r\nT", 400},
		"a Content-Length in words":     {head + "l: five\r\nT", 400},
		"an empty Content-Length":       {head + "Content-Length:\r\nT", 400},
		"a Content-Length twice":        {head + "Content-Length: 0\r\nl: 0\r\nT", 400},
		"a Content-Length over 64 KB":   {head + "Content-Length: 65536\r\n\r\n", 513},
		"a Content-Length over 2^32":    {head + "Content-Length: 4294967296\r\n\r\n", 400},
		"a message just over 64 KB":     {head + "Content-Length: 65487\r\n\r\n", 513},
		"a bare LF":                     {head + "To: x\nl: 0\r\n", 400},
		"a start line with a bare LF":   {"OPTIONS sip:a@b SIP/2.0\n", 400},
		"HTTP":                          {"GET / HTTP/1.1\r\n", 400},
		"TLS":                           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400},
		"a start line of one word":      {"hello\r\n", 400},
		"a start line that never ends":  {strings.Repeat("x", sip.MaxLine+1), 513},
		"headers that never end":        {head + strings.Repeat("x: y\r\n ", sip.MaxStream/7), 513},
		"129 headers":                   {head + strings.Repeat("x: y\r\n", 130), 400},
		"a header that is all one line": {head + "x: " + strings.Repeat("y", sip.MaxStream), 513},
	} {
		n, err := sip.Frame([]byte(row.stream))
		var refusal *sip.ScanError
		if n != 0 || !errors.As(err, &refusal) || refusal.Code != row.code {
			t.Errorf("%s: length %d, %v; want the stream to end with %d", name, n, err, row.code)
		}
	}
}

func TestFrameWaits(t *testing.T) {
	const head = "OPTIONS sip:a@b SIP/2.0\r\n"
	for _, stream := range []string{"", "O", "OPTIONS sip:a@b SIP/2.0\r", head, head + "\r", head + "l: 5", head + "l: 5\r\n", head + "l: 5\r\n\r",
		head + "l: 5\r\n\r\n1234", head + "l:\r\n", head + "l:\r\n 5\r\n", head + "To: x\r\n y\r\n", head + "l: 1\r\n\r\n", head + "Content-Length: 65486\r\n\r\n"} {
		if n, err := sip.Frame([]byte(stream)); n != 0 || !errors.Is(err, sip.ErrIncomplete) {
			t.Errorf("%q: length %d, %v; want to wait", stream, n, err)
		}
	}
}
