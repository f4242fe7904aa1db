package sip_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

func TestEditorWithoutEditsPrintsRaw(t *testing.T) {
	var e sip.Editor
	for _, raw := range [][]byte{wire(register), wire(invite), torture(t, "wsinv"), torture(t, "intmeth"), torture(t, "mpart01"), torture(t, "unreason")} {
		m := scan(t, raw)
		if e.Reset(m); !bytes.Equal(e.AppendTo(nil), m.Raw) {
			t.Errorf("printed\n%s\nof\n%s", e.AppendTo(nil), m.Raw)
		}
	}
}

const small = `
OPTIONS sip:a@b SIP/2.0
v: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1,
 SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK2
To: <sip:a@b>
From : <sip:c@d>;tag=1
Call-ID: x
CSeq: 1 OPTIONS
Route: <sip:r1;lr> ,  "r, 2" <sip:r2;lr>
Route: <sip:r3;lr>
Z: 1
Z: 2

body`

const head, tail = "Call-ID: x\n", "Z: 2\n"

func setLine(id sip.HeaderID, value string) func(*sip.Editor, *sip.Message) {
	return func(e *sip.Editor, _ *sip.Message) { e.Set(id, []byte(value)) }
}

// Each row edits small and says what is different afterwards.
var edited = map[string]struct {
	edit     func(e *sip.Editor, m *sip.Message)
	old, new string
}{
	"Request-URI": {func(e *sip.Editor, _ *sip.Message) { e.SetURI([]byte("sip:x@y;z")) }, "sip:a@b SIP", "sip:x@y;z SIP"},
	"a line goes": {func(e *sip.Editor, m *sip.Message) { e.Remove(m.Index(sip.CallID)) }, head, ""},
	"all lines with a name go": {func(e *sip.Editor, _ *sip.Message) { e.RemoveAll(sip.Route) },
		"Route: <sip:r1;lr> ,  \"r, 2\" <sip:r2;lr>\nRoute: <sip:r3;lr>\n", ""},
	"the first value goes": {func(e *sip.Editor, _ *sip.Message) { e.RemoveFirstValue(sip.Route) }, "<sip:r1;lr> ,  ", ""},
	"two values go, and the line with them": {func(e *sip.Editor, _ *sip.Message) {
		e.RemoveFirstValue(sip.Route)
		e.RemoveFirstValue(sip.Route)
	}, "Route: <sip:r1;lr> ,  \"r, 2\" <sip:r2;lr>\n", ""},
	"values go across lines": {func(e *sip.Editor, _ *sip.Message) {
		for range 5 {
			e.RemoveFirstValue(sip.Route)
		}
	}, "Route: <sip:r1;lr> ,  \"r, 2\" <sip:r2;lr>\nRoute: <sip:r3;lr>\n", ""},
	"a folded value goes": {func(e *sip.Editor, _ *sip.Message) { e.RemoveFirstValue(sip.Via) },
		"v: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1,\n SIP", "v: SIP"},
	"a value of a replaced line goes": {func(e *sip.Editor, m *sip.Message) {
		e.Replace(m.Index(sip.Route), []byte("<sip:n1>, <sip:n2>"))
		e.RemoveFirstValue(sip.Route)
	}, "<sip:r1;lr> ,  \"r, 2\" <sip:r2;lr>", "<sip:n2>"},
	"no value to go":                   {func(e *sip.Editor, _ *sip.Message) { e.RemoveFirstValue(sip.Contact) }, head, head},
	"a value changes, its name stays":  {func(e *sip.Editor, m *sip.Message) { e.Replace(m.Index(sip.From), []byte("<sip:n>")) }, "From : <sip:c@d>;tag=1", "From : <sip:n>"},
	"the later of two edits wins":      {func(e *sip.Editor, m *sip.Message) { e.Remove(3); e.Replace(3, []byte("y")) }, head, "Call-ID: y\n"},
	"the later of two edits wins, too": {func(e *sip.Editor, m *sip.Message) { e.Replace(3, []byte("y")); e.Remove(3) }, head, ""},
	"a line is set":                    {setLine(sip.CallID, "y"), head, "Call-ID: y\n"},
	"the first of several is set":      {setLine(sip.Route, "<sip:n>"), "<sip:r1;lr> ,  \"r, 2\" <sip:r2;lr>\nRoute: <sip:r3;lr>\n", "<sip:n>\n"},
	"an absent line is set":            {setLine(sip.MaxForwards, "69"), tail, tail + "Max-Forwards: 69\n"},
	"an absent line is set twice": {func(e *sip.Editor, _ *sip.Message) {
		e.Set(sip.MaxForwards, []byte("69"))
		e.Set(sip.MaxForwards, []byte("68"))
	}, tail, tail + "Max-Forwards: 68\n"},
	"a set line goes again": {func(e *sip.Editor, _ *sip.Message) {
		e.Set(sip.MaxForwards, []byte("69"))
		e.RemoveAll(sip.MaxForwards)
	}, tail, tail},
	"lines before the first, the last one first": {func(e *sip.Editor, _ *sip.Message) {
		e.Prepend("Via", []byte("1"))
		e.InsertBefore(0, "A", []byte("2"))
		e.Prepend("Via", []byte("3"))
	}, "v: SIP", "Via: 3\nVia: 1\nA: 2\nv: SIP"},
	"lines before one, in order": {func(e *sip.Editor, m *sip.Message) {
		e.InsertBefore(3, "A", []byte("1"))
		e.InsertBefore(3, "B", []byte("2"))
		e.InsertBefore(1, "C", []byte("3"))
	}, "To: <sip:a@b>\nFrom : <sip:c@d>;tag=1\nCall", "C: 3\nTo: <sip:a@b>\nFrom : <sip:c@d>;tag=1\nA: 1\nB: 2\nCall"},
	"lines before one that goes": {func(e *sip.Editor, m *sip.Message) {
		e.Remove(3)
		e.InsertBefore(3, "A", []byte("1"))
	}, head, "A: 1\n"},
	"lines at the end": {func(e *sip.Editor, _ *sip.Message) {
		e.Append("A", []byte("1"))
		e.Append("B", nil)
	}, tail, tail + "A: 1\nB: \n"},
	"a body":               {func(e *sip.Editor, _ *sip.Message) { e.SetBody([]byte("other body")) }, tail + "\nbody", tail + "Content-Length: 10\n\nother body"},
	"no body":              {func(e *sip.Editor, _ *sip.Message) { e.SetBody(nil) }, tail + "\nbody", tail + "Content-Length: 0\n\n"},
	"a length for streams": {func(e *sip.Editor, _ *sip.Message) { e.SetLength() }, tail, tail + "Content-Length: 4\n"},
	"a length after a body": {func(e *sip.Editor, _ *sip.Message) {
		e.SetBody([]byte("xy"))
		e.SetLength()
	}, tail + "\nbody", tail + "Content-Length: 2\n\nxy"},
}

func TestEditor(t *testing.T) {
	for name, row := range edited {
		t.Run(name, func(t *testing.T) {
			m := scan(t, wire(small))
			var e sip.Editor
			e.Reset(m)
			e.Append("Old", []byte("edits are forgotten"))
			e.Remove(0)
			e.Reset(m)
			row.edit(&e, m)
			got := strings.ReplaceAll(string(e.AppendTo(nil)), "\r\n", "\n")
			want := strings.Replace(strings.TrimPrefix(small, "\n"), row.old, row.new, 1)
			if got != want {
				t.Errorf("printed\n%s\nwant\n%s", got, want)
			}
			if again := strings.ReplaceAll(string(e.AppendTo([]byte("x"))), "\r\n", "\n"); again != "x"+want {
				t.Error("printing again prints something else")
			}
		})
	}
}

// forward is what an edge does to a request on its way in.
func forward(e *sip.Editor, m *sip.Message, dst []byte) []byte {
	e.Reset(m)
	e.RemoveAll(sip.Via)
	e.RemoveFirstValue(sip.Route)
	e.Prepend("Via", []byte("SIP/2.0/TCP 127.0.0.1:5065;branch=z9hG4bK0123456789abcdef"))
	e.Prepend("Record-Route", []byte("<sip:192.0.2.1:5060;transport=udp;lr>"))
	e.Prepend("Record-Route", []byte("<sip:AbCdEfGhIjKlMnOpQrStUvWxYz@127.0.0.1:5065;transport=tcp;lr>"))
	e.Set(sip.MaxForwards, []byte("69"))
	e.Append("Lindero-Source", []byte("192.0.2.10:5060;transport=udp;edge=a;nat=1"))
	e.SetBody([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"))
	return e.AppendTo(dst)
}

func TestEditorDoesNotAllocate(t *testing.T) {
	var e sip.Editor
	m := scan(t, wire(invite))
	buf := forward(&e, m, nil)
	if n := testing.AllocsPerRun(100, func() { buf = forward(&e, m, buf[:0]) }); n != 0 {
		t.Errorf("forwarding allocates %v times", n)
	}
	scan(t, buf)
}

// Buffers given to the editor may be used again at once.
func TestEditorCopiesValues(t *testing.T) {
	m := scan(t, wire(small))
	var e sip.Editor
	e.Reset(m)
	scratch := []byte("sip:one@two")
	e.SetURI(scratch)
	e.Append("X", scratch)
	e.SetBody(scratch)
	copy(scratch, "xxxxxxxxxxx")
	if out := string(e.AppendTo(nil)); strings.Contains(out, "xxxxx") || strings.Count(out, "sip:one@two") != 3 {
		t.Errorf("printed\n%s", out)
	}
}

func TestAppendReceived(t *testing.T) {
	for via, want := range map[string]string{
		"SIP/2.0/UDP h;branch=z9hG4bK1":                                 "SIP/2.0/UDP h;branch=z9hG4bK1;received=192.0.2.9;rport=40000",
		"SIP/2.0/UDP h":                                                 "SIP/2.0/UDP h;received=192.0.2.9;rport=40000",
		"SIP/2.0/UDP 192.0.2.9:40000;rport;branch=z9hG4bK1":             "SIP/2.0/UDP 192.0.2.9:40000;branch=z9hG4bK1;received=192.0.2.9;rport=40000",
		"SIP/2.0/UDP h;RPORT=1;received=198.51.100.1;branch=x;Received": "SIP/2.0/UDP h;branch=x;received=192.0.2.9;rport=40000",
		`SIP/2.0/UDP h;foo="a;rport";bar`:                               `SIP/2.0/UDP h;foo="a;rport";bar;received=192.0.2.9;rport=40000`,
		"SIP / 2.0 / UDP h ;  branch = x":                               "SIP / 2.0 / UDP h;branch=x;received=192.0.2.9;rport=40000",
	} {
		got := sip.AppendReceived(nil, []byte(via), netip.MustParseAddrPort("192.0.2.9:40000"))
		if string(got) != want {
			t.Errorf("%s\nbecomes %s\n   want %s", via, got, want)
		}
		if _, err := sip.ParseVia(got); err != nil {
			t.Errorf("%s cannot be read: %v", got, err)
		}
	}
	for from, want := range map[string]string{
		"[2001:db8::1]:5":        ";received=2001:db8::1;rport=5",
		"[::ffff:192.0.2.1]:5":   ";received=192.0.2.1;rport=5",
		"[fe80::1%eth0]:5":       ";received=fe80::1;rport=5",
		"255.255.255.255:65535":  ";received=255.255.255.255;rport=65535",
		"[2001:db8::9:0:1]:5060": ";received=2001:db8::9:0:1;rport=5060",
	} {
		got := sip.AppendReceived(nil, []byte("SIP/2.0/UDP h"), netip.MustParseAddrPort(from))
		if string(got) != "SIP/2.0/UDP h"+want {
			t.Errorf("from %s: %s", from, got)
		}
	}
}

func TestRespond(t *testing.T) {
	m := scan(t, wire(`
INVITE sip:a@b SIP/2.0
v: SIP/2.0/UDP h;branch=z9hG4bK1;rport, SIP/2.0/UDP i
Via: SIP/2.0/TCP j
t: Bob <sip:a@b>
From: <sip:c@d>;tag=1
i: x
CSeq: 0007
 INVITE
Timestamp: 54
Record-Route: <sip:r;lr>

`))
	from := netip.MustParseAddrPort("192.0.2.9:40000")
	const vias = "v: SIP/2.0/UDP h;branch=z9hG4bK1;received=192.0.2.9;rport=40000, SIP/2.0/UDP i\nVia: SIP/2.0/TCP j\n"
	const plain = "v: SIP/2.0/UDP h;branch=z9hG4bK1;rport, SIP/2.0/UDP i\nVia: SIP/2.0/TCP j\n"
	for name, row := range map[string]struct {
		from netip.AddrPort
		r    sip.Response
		want string
	}{
		"100": {from, sip.Response{Code: 100, ToTag: "t"},
			"SIP/2.0 100 Trying\n" + vias + "From: <sip:c@d>;tag=1\nt: Bob <sip:a@b>\ni: x\nCSeq: 0007\n INVITE\nTimestamp: 54\nContent-Length: 0\n\n"},
		"404": {from, sip.Response{Code: 404, ToTag: "t"},
			"SIP/2.0 404 Not Found\n" + vias + "From: <sip:c@d>;tag=1\nt: Bob <sip:a@b>;tag=t\ni: x\nCSeq: 0007\n INVITE\nContent-Length: 0\n\n"},
		"200 with all": {netip.AddrPort{}, sip.Response{Code: 200, Reason: "Fine", Headers: []byte("A: b\r\n"), Type: "a/b", Body: []byte("xyz")},
			"SIP/2.0 200 Fine\n" + plain + "From: <sip:c@d>;tag=1\nt: Bob <sip:a@b>\ni: x\nCSeq: 0007\n INVITE\nA: b\nContent-Type: a/b\nContent-Length: 3\n\nxyz"},
	} {
		got := string(sip.Respond(nil, m, row.from, row.r))
		if strings.ReplaceAll(got, "\r\n", "\n") != row.want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, row.want)
		}
		scan(t, []byte(got))
	}
	tagged := scan(t, []byte(strings.Replace(string(m.Raw), "Bob <sip:a@b>", "<sip:a@b>;TAG=z", 1)))
	if got := string(sip.Respond(nil, tagged, from, sip.Response{Code: 404, ToTag: "t"})); !strings.Contains(got, "t: <sip:a@b>;TAG=z\r\n") {
		t.Errorf("a tag that was there is lost:\n%s", got)
	}
}

func TestReasonPhrase(t *testing.T) {
	for code, want := range map[int]string{200: "OK", 407: "Proxy Authentication Required", 487: "Request Terminated", 505: "Version Not Supported", 499: "Client Error", 699: "Global Failure"} {
		if got := sip.ReasonPhrase(code); got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}
