package sip_test

import (
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

// wire makes CRLF lines out of a readable text; its first line break is left out.
func wire(text string) []byte {
	return []byte(strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "\n", "\r\n"))
}

const register = `
REGISTER sip:demo.lindero.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
To: "User 101" <sip:101@demo.lindero.test>
From: "User 101" <sip:101@demo.lindero.test>;tag=456248
Call-ID: 843817637684230@998sdasdh09
CSeq: 1826 REGISTER
Contact: <sip:101@192.0.2.10:5060;transport=udp>;methods="INVITE, ACK"
Expires: 7200
User-Agent: phone/1.0
Content-Length: 0

`

const invite = `
INVITE sip:102@demo.lindero.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport
Via: SIP/2.0/TCP 198.51.100.3;branch=z9hG4bK2, SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bK3
Max-Forwards: 70
Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>
Route: <sip:192.0.2.3;lr>
To: Bob <sip:102@demo.lindero.test>
From: "Alice, \"A\"" <sip:101@demo.lindero.test>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:101@192.0.2.10:5060>
Supported: 100rel, timer, path
Subject: I know you're there,
 pick up the phone
 and answer!
X-Odd : value  
Content-Type: application/sdp
Content-Length: 4

v=0
`

func scan(t testing.TB, raw []byte) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Scan(raw); err != nil {
		t.Fatalf("Scan: %v\n%s", err, raw)
	}
	return m
}

func TestScanReadsRequest(t *testing.T) {
	m := scan(t, wire(invite))
	if !m.Is("INVITE") || !m.IsRequest() || string(m.URI) != "sip:102@demo.lindero.test" {
		t.Errorf("request line reads %q %q", m.Method, m.URI)
	}
	if m.CSeqNumber != 314159 || string(m.CSeqMethod) != "INVITE" {
		t.Errorf("CSeq reads %d %q", m.CSeqNumber, m.CSeqMethod)
	}
	if string(m.Body) != "v=0\r" {
		t.Errorf("body is %q, want it cut to Content-Length", m.Body)
	}
	if got := string(m.Find("subject")); got != "I know you're there,\r\n pick up the phone\r\n and answer!" {
		t.Errorf("folded value reads %q", got)
	}
	if got := string(m.Find("x-odd")); got != "value" {
		t.Errorf("value with spaces around reads %q", got)
	}
	var routes []string
	for i := m.Index(sip.Route); i >= 0; i = m.Next(i) {
		for v, rest := sip.NextValue(m.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			routes = append(routes, string(v))
		}
	}
	if got := strings.Join(routes, "|"); got != "<sip:192.0.2.1;lr>|<sip:192.0.2.2;lr>|<sip:192.0.2.3;lr>" {
		t.Errorf("routes read %s", got)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	var m sip.Message
	for name, text := range map[string]string{"REGISTER": register, "INVITE": invite} {
		raw := wire(text)
		if n := testing.AllocsPerRun(100, func() {
			if err := m.Scan(raw); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("scanning %s allocates %v times", name, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := sip.Frame(raw); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("framing %s allocates %v times", name, n)
		}
	}
}
