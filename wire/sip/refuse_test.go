package sip_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// Each row changes a good INVITE in one place.
var refused = map[string]struct {
	old, new string
	code     int
	reason   string
	mute     bool
}{
	"a NUL in a value":                     {"X-Odd : value", "X-Odd : va\x00lue", 400, "bare NUL", false},
	"a bare CR in a value":                 {"X-Odd : value", "X-Odd : va\rlue", 400, "bare CR", false},
	"a bare CR at a value's end":           {"X-Odd : value", "X-Odd : value\r", 400, "bare CR", false},
	"a bare LF that begins a header":       {"X-Odd : value", "X-Odd : value\nVia: SIP/2.0/UDP 192.0.2.66", 400, "header line without CRLF", false},
	"a bare CR in Call-ID":                 {"a84b4c76e66710", "a84b\r4c76", 400, "malformed Call-ID", true},
	"a bare LF in To":                      {"To: Bob", "To: Bo\nb", 400, "header line without CRLF", true},
	"a NUL in From":                        {"101@demo.lindero.test>;tag", "101@demo.lindero.test>;x=\x00;tag", 400, "malformed From", true},
	"a NUL in a quoted string, unescaped":  {"From: \"Alice", "From: \"Al\x00ice", 400, "bare NUL", true},
	"a NUL in the start line":              {"SIP/2.0\r\nVia", "SIP/2.0\x00\r\nVia", 400, "malformed start line", true},
	"an empty header name":                 {"X-Odd : value", ": value", 400, "malformed header name", false},
	"a header name of two words":           {"X-Odd :", "X Odd:", 400, "malformed header name", false},
	"a header without a colon":             {"X-Odd : value", "X-Odd", 400, "malformed header name", false},
	"a non-ASCII header name":              {"X-Odd", "X-Ödd", 400, "malformed header name", false},
	"a fold before the first header":       {"SIP/2.0\r\nVia", "SIP/2.0\r\n Via", 400, "malformed header name", false},
	"a second From":                        {"X-Odd :", "f:", 400, "duplicate From", false},
	"a second To":                          {"X-Odd : value", "t: sip:x@y", 400, "duplicate To", false},
	"a second Call-ID":                     {"X-Odd :", "i:", 400, "duplicate Call-ID", false},
	"a second CSeq":                        {"X-Odd : value", "cseq: 314159 INVITE", 400, "duplicate CSeq", false},
	"a second Max-Forwards":                {"X-Odd : value", "max-forwards: 70", 400, "duplicate Max-Forwards", false},
	"a second Content-Length, equal":       {"X-Odd : value", "l: 4", 400, "duplicate Content-Length", false},
	"a second Content-Type":                {"X-Odd : value", "c: a/b", 400, "duplicate Content-Type", false},
	"no Via":                               {"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport\r\nVia: SIP/2.0/TCP 198.51.100.3;branch=z9hG4bK2, SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bK3\r\n", "", 400, "missing Via", true},
	"no From":                              {"From:", "X-From:", 400, "missing From", false},
	"no To":                                {"To:", "X-To:", 400, "missing To", false},
	"no Call-ID":                           {"Call-ID:", "X-Call-ID:", 400, "missing Call-ID", false},
	"no CSeq":                              {"CSeq:", "X-CSeq:", 400, "missing CSeq", false},
	"an empty Call-ID":                     {"a84b4c76e66710", "", 400, "malformed Call-ID", false},
	"a Call-ID of two words":               {"a84b4c76e66710", "a84b 4c76", 400, "malformed Call-ID", false},
	"CSeq of another method":               {"314159 INVITE", "314159 invite", 400, "CSeq of another method", false},
	"CSeq of 2^31":                         {"314159 INVITE", "2147483648 INVITE", 400, "malformed CSeq", false},
	"CSeq without a method":                {"314159 INVITE", "314159", 400, "malformed CSeq", false},
	"a signed CSeq":                        {"314159 INVITE", "+314159 INVITE", 400, "malformed CSeq", false},
	"Max-Forwards of 256":                  {"Max-Forwards: 70", "Max-Forwards: 256", 400, "malformed Max-Forwards", false},
	"Max-Forwards in words":                {"Max-Forwards: 70", "Max-Forwards: seventy", 400, "malformed Max-Forwards", false},
	"version 3":                            {"SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 505, "version not supported", false},
	"version 2.00":                         {"SIP/2.0\r\nVia", "SIP/2.00\r\nVia", 505, "version not supported", false},
	"another protocol":                     {"SIP/2.0\r\nVia", "HTTP/1.1\r\nVia", 400, "malformed request line", false},
	"a method that is no token":            {"INVITE sip:102", "INV(TE sip:102", 400, "malformed start line", true},
	"a tab in the request line":            {"INVITE sip:102", "INVITE\tsip:102", 400, "malformed start line", true},
	"a Request-URI without a scheme":       {"sip:102@demo.lindero.test SIP", "102@demo.lindero.test SIP", 400, "malformed Request-URI", false},
	"a Request-URI with two hosts":         {"sip:102@demo.lindero.test SIP", "sip:102@a@demo.lindero.test SIP", 400, "malformed Request-URI", false},
	"a Request-URI with a broken escape":   {"sip:102@demo.lindero.test SIP", "sip:10%2@demo.lindero.test SIP", 400, "malformed Request-URI", false},
	"a Request-URI with port 0":            {"sip:102@demo.lindero.test SIP", "sip:102@demo.lindero.test:0 SIP", 400, "malformed Request-URI", false},
	"a Request-URI with port 65536":        {"sip:102@demo.lindero.test SIP", "sip:102@demo.lindero.test:65536 SIP", 400, "malformed Request-URI", false},
	"Content-Length beyond the datagram":   {"Content-Length: 4", "Content-Length: 40", 400, "body shorter than Content-Length", false},
	"Content-Length beyond 64 bits":        {"Content-Length: 4", "Content-Length: 18446744073709551620", 400, "malformed Content-Length", false},
	"a Content-Length in hex":              {"Content-Length: 4", "Content-Length: 0x4", 400, "malformed Content-Length", false},
	"a top Via of another version":         {"Via: SIP/2.0/UDP", "Via: SIP/1.0/UDP", 400, "malformed Via", false},
	"a top Via without a host":             {"UDP 192.0.2.10:5060", "UDP :5060", 400, "malformed Via", true},
	"a lower Via without a transport":      {"SIP/2.0/TCP 198.51.100.3", "SIP/2.0 198.51.100.3", 400, "malformed Via", false},
	"a Via with an unclosed IPv6":          {"[2001:db8::9]:5061", "[2001:db8::9:5061", 400, "malformed Via", false},
	"a branch twice":                       {"branch=z9hG4bK776asdhds", "branch=z9hG4bK776asdhds;Branch=z9hG4bKx", 400, "malformed Via", false},
	"a tag twice":                          {"tag=1928301774", "tag=1928301774;TAG=2", 400, "malformed From", false},
	"an unclosed quote in From":            {`\"A\""`, `\"A\"`, 400, "malformed From", false},
	"an unclosed < in To":                  {"<sip:102@demo.lindero.test>\r\nFrom", "<sip:102@demo.lindero.test\r\nFrom", 400, "malformed To", false},
	"text after To's address":              {"<sip:102@demo.lindero.test>\r\nFrom", "<sip:102@demo.lindero.test> x\r\nFrom", 400, "malformed To", false},
	"a From that is no URI":                {"<sip:101@demo.lindero.test>;tag", "<101>;tag", 400, "malformed From", false},
	"a Contact with an empty value":        {"Contact: <sip:101@192.0.2.10:5060>", "Contact: <sip:101@192.0.2.10:5060>,", 400, "malformed Contact", false},
	"a Contact with an empty URI":          {"Contact: <sip:101@192.0.2.10:5060>", "Contact: <>", 400, "malformed Contact", false},
	"a Route without <>":                   {"Route: <sip:192.0.2.3;lr>", "Route: sip:192.0.2.3;lr", 400, "malformed Route", false},
	"a Route that is not SIP":              {"Route: <sip:192.0.2.3;lr>", "Route: <tel:192>", 400, "malformed Route", false},
	"an unclosed quote in a Record-Route":  {"X-Odd : value", `Record-Route: <sip:a>;x="y`, 400, "malformed Record-Route", false},
	"a Path without a URI":                 {"X-Odd : value", `Path: x`, 400, "malformed Path", false},
	"no empty line":                        {"Content-Length: 4\r\n\r\nv=0\r\n", "", 400, "no empty line after the headers", false},
	"65 parameters of From":                {"tag=1928301774", "tag=1" + strings.Repeat(";p", 64), 400, "malformed From", false},
	"65 parameters of a Contact's URI":     {"192.0.2.10:5060>", "192.0.2.10:5060" + strings.Repeat(";p=q", 65) + ">", 400, "malformed Contact", false},
	"65 parameters of Via":                 {";rport", strings.Repeat(";p=q", 65), 400, "malformed Via", false},
	"a header line over 8 KB":              {"X-Odd : value", "X-Odd : " + strings.Repeat("x", sip.MaxLine), 400, "header line too long", false},
	"129 header lines":                     {"X-Odd : value  \r\n", strings.Repeat("z:y\r\n", 129), 400, "too many headers", false},
	"an oversized header line of the many": {"To: Bob", "To: " + strings.Repeat("B", sip.MaxLine), 400, "header line too long", true},
}

func TestScanRefuses(t *testing.T) {
	for name, row := range refused {
		t.Run(name, func(t *testing.T) {
			text := string(wire(invite))
			if !strings.Contains(text, row.old) {
				t.Fatalf("the row changes nothing: %q", row.old)
			}
			err := new(sip.Message).Scan([]byte(strings.Replace(text, row.old, row.new, 1)))
			var refusal *sip.ScanError
			if !errors.As(err, &refusal) {
				t.Fatalf("error is %v, want a refusal", err)
			}
			if refusal.Code != row.code || refusal.Reason != row.reason || refusal.Answerable == row.mute {
				t.Errorf("refused with %d %q, answerable %v; want %d %q, %v",
					refusal.Code, refusal.Reason, refusal.Answerable, row.code, row.reason, !row.mute)
			}
		})
	}
}

// What looks odd and is legal.
func TestScanAccepts(t *testing.T) {
	for name, row := range map[string]struct{ old, new string }{
		"a lower-case version":                {"SIP/2.0\r\nVia", "sip/2.0\r\nVia"},
		"a tel Request-URI":                   {"sip:102@demo.lindero.test SIP", "tel:+1-201-555-0123;phone-context=x SIP"},
		"an IPv6 Request-URI":                 {"sip:102@demo.lindero.test SIP", "sips:102@[2001:db8::1]:5061;transport=tcp SIP"},
		"no Content-Length in a datagram":     {"Content-Length: 4\r\n", ""},
		"no Max-Forwards":                     {"Max-Forwards: 70\r\n", ""},
		"Max-Forwards 0":                      {"Max-Forwards: 70", "Max-Forwards: 0"},
		"a tab before the colon":              {"X-Odd : value", "X-Odd\t \t: value"},
		"a value of folds only":               {"X-Odd : value", "X-Odd:\r\n\t\r\n "},
		"an empty value":                      {"X-Odd : value", "X-Odd:"},
		"a value in UTF-8":                    {"X-Odd : value", "X-Odd: größer"},
		"two lists of the same":               {"X-Odd : value", "k: a, b"},
		"a star for a Contact":                {"<sip:101@192.0.2.10:5060>", "*"},
		"a Contact with an instance":          {"<sip:101@192.0.2.10:5060>", `<sip:101@192.0.2.10:5060>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1`},
		"a comma in a quoted display name":    {"<sip:101@192.0.2.10:5060>", `"A, B" <sip:101@192.0.2.10:5060>, <sip:x@y>`},
		"a display name in UTF-8, unquoted":   {"To: Bob", "To: Björn (office)"},
		"a bare address":                      {"To: Bob <sip:102@demo.lindero.test>", "To: sip:102@demo.lindero.test"},
		"a received IPv6 without brackets":    {";rport", ";received=2001:db8::9;rport=5060"},
		"a quoted Via parameter with a comma": {";rport", `;x="a,b;c";rport`},
		"an underscore in a host":             {"@demo.lindero.test>\r\nFrom", "@demo_1.lindero.test>\r\nFrom"},
		"64 parameters":                       {"tag=1928301774", "tag=1" + strings.Repeat(";p", 63)},
		"an escaped NUL in a quoted string":   {`"Alice`, "\"Al\\\x00ice"},
		"a parameter without a value":         {"tag=1928301774", "tag=1928301774;x="},
		"bare CR, LF and NUL in the body":     {"v=0\r", "\r\n\x00\n"},
	} {
		text := strings.Replace(string(wire(invite)), row.old, row.new, 1)
		if !strings.Contains(string(wire(invite)), row.old) {
			t.Fatalf("%s: the row changes nothing: %q", name, row.old)
		}
		if err := new(sip.Message).Scan([]byte(text)); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
}

func TestScanLimitsAreExact(t *testing.T) {
	lines := 128 - strings.Count(invite, "\n") + 2 + 2 + 2 + 1 // start line and empty line; two folds; body; the replaced line
	for extra, want := range map[int]bool{0: true, 1: false} {
		text := strings.Replace(string(wire(invite)), "X-Odd : value  \r\n", strings.Repeat("z:y\r\n", lines+extra), 1)
		m := new(sip.Message)
		if err := m.Scan([]byte(text)); (err == nil) != want {
			t.Errorf("%d lines over the limit: %d read, error %v", extra, m.Len(), err)
		}
	}
	body := func(n int) []byte {
		head := strings.Replace(string(wire(register)), "Content-Length: 0", "Content-Length: %05d", 1)
		return fmt.Appendf(nil, head+"%s", n-len(head)-1, strings.Repeat("x", n-len(head)-1))
	}
	if err := new(sip.Message).Scan(body(sip.MaxStream)); err != nil {
		t.Errorf("a message of %d bytes is refused: %v", len(body(sip.MaxStream)), err)
	}
	var refusal *sip.ScanError
	if err := new(sip.Message).Scan(body(sip.MaxStream + 1)); !errors.As(err, &refusal) || refusal.Code != 513 || !refusal.Answerable {
		t.Errorf("a message over the limit: %v", err)
	}
}

// An ACK is never answered (RFC 3261 §17), nor is a response.
func TestNothingAnswersAckOrResponse(t *testing.T) {
	ack := strings.ReplaceAll(string(wire(invite)), "INVITE", "ACK")
	response := strings.Replace(string(wire(invite)), "INVITE sip:102@demo.lindero.test SIP/2.0", "SIP/2.0 200 OK", 1)
	for name, text := range map[string]string{"ACK": ack, "response": response} {
		if err := new(sip.Message).Scan([]byte(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var refusal *sip.ScanError
		err := new(sip.Message).Scan([]byte(strings.Replace(text, "X-Odd :", "X Odd:", 1)))
		if !errors.As(err, &refusal) || refusal.Answerable {
			t.Errorf("a bad %s is answerable: %v", name, err)
		}
	}
}

func TestScanResponses(t *testing.T) {
	const rest = "\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"
	for line, code := range map[string]int{
		"SIP/2.0 200 OK": 200, "sip/2.0 180 Ringing": 180, "SIP/2.0 100 ": 100, "SIP/2.0 699 x": 699, "SIP/2.0 404 Not Found\t(ünknown)": 404,
		"SIP/2.0 200": 0, "SIP/2.0 099 x": 0, "SIP/2.0 700 x": 0, "SIP/2.0 2000 x": 0, "SIP/2.0  200 x": 0, "SIP/3.0 200 x": 0, "SIP/2.0 -99 x": 0, "SIP/2.0 20 x": 0, "SIP/": 0,
	} {
		m := new(sip.Message)
		err := m.Scan([]byte(line + rest))
		if (err == nil) != (code != 0) || m.Code != code || err == nil && m.IsRequest() {
			t.Errorf("%q reads as %d, %v; want %d", line, m.Code, err, code)
		}
	}
}

// A message of thousands of parameters is refused as fast as any of its size is
// read: nothing here grows faster than the bytes do.
func TestScanIsLinear(t *testing.T) {
	best := func(raw []byte) time.Duration {
		var m sip.Message
		least := time.Hour
		for range 10 {
			start := time.Now()
			for range 10 {
				_ = m.Scan(raw)
			}
			least = min(least, time.Since(start))
		}
		return least
	}
	for name, size := range map[string]func(n int) []byte{
		"parameters of an unread header": func(n int) []byte { return manyParams("X-Params: x", n) },
		"parameters of a Contact":        func(n int) []byte { return manyParams("Contact: <sip:a@b>", n) },
		"values of a Via list": func(n int) []byte {
			return []byte(strings.Replace(string(wire(register)), ";rport", strings.Repeat(", SIP/2.0/UDP a", n), 1))
		},
		"quotes in a Contact list": func(n int) []byte {
			return []byte(strings.Replace(string(wire(register)), "Contact: ", "Contact: "+strings.Repeat(`"\"" <sip:a@b>, `, n), 1))
		},
		"spaces": func(n int) []byte { return manyParams("X-Params: "+strings.Repeat(" ", 2*n), n) },
	} {
		small, large := size(60), size(480)
		ratio := float64(best(large)) / float64(best(small))
		if grown := float64(len(large)) / float64(len(small)); ratio > 4*grown {
			t.Errorf("%s: %.1f times the bytes take %.1f times as long", name, grown, ratio)
		}
	}
}

func manyParams(header string, n int) []byte {
	return []byte(strings.Replace(string(wire(register)), "Expires:", header+strings.Repeat(";a=b", n)+"\r\nExpires:", 1))
}

func TestRespondToRefused(t *testing.T) {
	m := new(sip.Message)
	err := m.Scan(torture(t, "insuf"))
	if err == nil {
		t.Fatal("insuf is accepted")
	}
	got := string(sip.Respond(nil, m, netip.MustParseAddrPort("203.0.113.5:40000"), sip.Response{Code: 400}))
	want := "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf;received=203.0.113.5;rport=40000\r\n" +
		"CSeq: 193942 INVITE\r\nContent-Length: 0\r\n\r\n"
	if got != want {
		t.Errorf("answer is\n%s\nwant\n%s", got, want)
	}
}
