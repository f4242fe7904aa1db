package sip_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

func seeds(f *testing.F, add func(raw []byte)) {
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(raw)
	}
	add(wire(register))
	add(wire(invite))
	add(wire(small))
}

// bareBreak tells whether b has a CR or LF that is not half of a CRLF.
func bareBreak(b []byte) bool {
	return bytes.ContainsAny(bytes.ReplaceAll(b, []byte("\r\n"), nil), "\r\n")
}

func FuzzScan(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw) })
	from := netip.MustParseAddrPort("192.0.2.9:40000")
	var e sip.Editor
	f.Fuzz(func(t *testing.T, raw []byte) {
		kept := bytes.Clone(raw)
		m := new(sip.Message)
		err := m.Scan(raw)
		if !bytes.Equal(raw, kept) {
			t.Fatal("scanning changes its input")
		}
		var refusal *sip.ScanError
		switch {
		case errors.As(err, &refusal):
			if refusal.Code < 400 || refusal.Reason == "" {
				t.Fatalf("refusal %+v", refusal)
			}
			if refusal.Answerable {
				answer := sip.Respond(nil, m, from, sip.Response{Code: refusal.Code, ToTag: "x"})
				if bareBreak(answer) || bytes.Count(answer, []byte("\r\n\r\n")) != 1 {
					t.Fatalf("the answer repeats what was refused (%v):\n%q", err, answer)
				}
			}
			return
		case err != nil:
			t.Fatalf("error %v is not a ScanError", err)
		}
		checkScanned(t, m, raw)
		if e.Reset(m); !bytes.Equal(e.AppendTo(nil), m.Raw) {
			t.Fatal("the editor changes a message nobody edited")
		}
		if m.IsRequest() {
			answer := sip.Respond(nil, m, from, sip.Response{Code: 200, ToTag: "x"})
			if err := new(sip.Message).Scan(answer); err != nil {
				t.Fatalf("the answer is refused (%v):\n%q", err, answer)
			}
		}
	})
}

// checkScanned asks of an accepted message what everybody relies on.
func checkScanned(t *testing.T, m *sip.Message, raw []byte) {
	t.Helper()
	if !bytes.HasPrefix(raw, m.Raw) || !bytes.HasSuffix(m.Raw, m.Body) {
		t.Fatal("Raw and Body are not of the input")
	}
	head := m.Raw[:len(m.Raw)-len(m.Body)]
	if bareBreak(head) || !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		t.Fatalf("a bare CR or LF is let in: %q", head)
	}
	at := bytes.IndexByte(head, '\n') + 1
	for i := range m.Len() {
		h := m.Header(i)
		if int(h.Start) != at || h.NameEnd <= h.Start || h.ValueStart <= h.NameEnd || h.ValueEnd < h.ValueStart || h.End < h.ValueEnd+2 {
			t.Fatalf("line %d has offsets %+v, want it to begin at %d", i, h, at)
		}
		at = int(h.End)
	}
	if at != len(head)-2 {
		t.Fatalf("the last line ends at %d of %d", at, len(head))
	}
	for _, id := range []sip.HeaderID{sip.Via, sip.From, sip.To, sip.CallID, sip.CSeq} {
		if len(m.Get(id)) == 0 {
			t.Fatalf("accepted without %v", id)
		}
	}
	if _, err := sip.ParseVia(m.Topmost(sip.Via)); err != nil {
		t.Fatalf("accepted with the top Via %q", m.Topmost(sip.Via))
	}
	again := new(sip.Message)
	if err := again.Scan(m.Raw); err != nil || again.Len() != m.Len() || !bytes.Equal(again.Body, m.Body) {
		t.Fatalf("Raw is not the message: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := sip.Frame(raw)
		m := new(sip.Message)
		scanned := m.Scan(raw)
		if scanned == nil && m.Index(sip.ContentLength) >= 0 && (err != nil || n != len(m.Raw)) {
			t.Fatalf("Scan reads %d bytes, Frame %d, %v", len(m.Raw), n, err)
		}
		if err != nil {
			var refusal *sip.ScanError
			if n != 0 || !errors.Is(err, sip.ErrIncomplete) && !errors.As(err, &refusal) {
				t.Fatalf("error %v with length %d", err, n)
			}
			if refusal != nil {
				if _, again := sip.Frame(append(bytes.Clone(raw), "\r\n\r\n"...)); again == nil {
					t.Fatalf("%v heals with more bytes", err)
				}
			}
			return
		}
		if n <= 0 || n > len(raw) || n > sip.MaxStream {
			t.Fatalf("length %d of %d", n, len(raw))
		}
		for cut := range min(n, 600) {
			if _, err := sip.Frame(raw[:cut]); !errors.Is(err, sip.ErrIncomplete) {
				t.Fatalf("after %d of %d bytes: %v", cut, n, err)
			}
		}
		if err := m.Scan(raw[:n]); err == nil && len(m.Raw) != n {
			t.Fatalf("Frame cuts %d bytes, Scan reads %d", n, len(m.Raw))
		}
	})
}

// FuzzEditor makes edits out of bytes, does them to a slice of strings as well,
// and compares.
func FuzzEditor(f *testing.F) {
	seeds(f, func(raw []byte) {
		f.Add(raw, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
		f.Add(raw, []byte("edits are bytes"))
	})
	var e sip.Editor
	f.Fuzz(func(t *testing.T, raw, edits []byte) {
		m := new(sip.Message)
		if m.Scan(raw) != nil || len(edits) > 64 {
			return
		}
		model := newModel(m)
		e.Reset(m)
		for i := 0; i+1 < len(edits); i += 2 {
			model.edit(&e, edits[i], int(edits[i+1]))
		}
		got := e.AppendTo(nil)
		if want := model.String(); string(got) != want {
			t.Fatalf("printed\n%q, want\n%q", got, want)
		}
		again := new(sip.Message)
		if err := again.Scan(got); err == nil && again.Len() != model.count() {
			t.Fatalf("%d lines read again, want %d", again.Len(), model.count())
		}
	})
}

// A model is the editor done the slow way.
type model struct {
	m              *sip.Message
	uri            string
	before, values []string // of the line's bytes: up to its value, its value
	after          []string // the line's bytes after its value
	gone           []bool
	front, end     []string
	inserted       map[int][]string
	body           string
	ids            []sip.HeaderID
}

func newModel(m *sip.Message) *model {
	d := &model{m: m, uri: string(m.URI), body: string(m.Body), inserted: map[int][]string{}}
	for i := range m.Len() {
		h := m.Header(i)
		d.before = append(d.before, string(m.Raw[h.Start:h.ValueStart]))
		d.values = append(d.values, string(m.Value(i)))
		d.after = append(d.after, string(m.Raw[h.ValueEnd:h.End]))
		d.gone = append(d.gone, false)
		d.ids = append(d.ids, h.ID)
	}
	return d
}

func (d *model) edit(e *sip.Editor, op byte, arg int) {
	line, id := arg%d.m.Len(), d.ids[arg%d.m.Len()]
	value := fmt.Sprintf("new %d", arg)
	text := "N: " + value + "\r\n"
	switch op % 8 {
	case 0:
		if d.m.IsRequest() {
			e.SetURI([]byte("sip:" + value))
			d.uri = "sip:" + value
		}
	case 1:
		e.Remove(line)
		d.gone[line] = true
	case 2:
		e.Replace(line, []byte(value))
		d.gone[line], d.values[line] = false, value
	case 3:
		e.Prepend("N", []byte(value))
		d.front = append([]string{text}, d.front...)
	case 4:
		e.InsertBefore(line, "N", []byte(value))
		d.inserted[line] = append(d.inserted[line], text)
	case 5:
		e.Append("N", []byte(value))
		d.end = append(d.end, text)
	case 6:
		e.RemoveFirstValue(id)
		d.removeFirst(id)
	case 7:
		if id == sip.Other || id == sip.LinderoOther {
			e.RemoveAll(id)
		} else {
			e.Set(id, []byte(value))
		}
		d.set(id, value)
	}
}

func (d *model) removeFirst(id sip.HeaderID) {
	for i := range d.ids {
		if d.ids[i] != id || d.gone[i] {
			continue
		}
		_, rest := sip.NextValue([]byte(d.values[i]))
		d.values[i], d.gone[i] = string(rest), len(rest) == 0
		return
	}
}

func (d *model) set(id sip.HeaderID, value string) {
	first := true
	for i := range d.ids {
		if d.ids[i] != id {
			continue
		}
		d.gone[i] = true
		if first && id != sip.Other && id != sip.LinderoOther {
			d.gone[i], d.values[i] = false, value
		}
		first = false
	}
}

func (d *model) count() int {
	n := len(d.front) + len(d.end)
	for i := range d.gone {
		n += len(d.inserted[i])
		if !d.gone[i] {
			n++
		}
	}
	return n
}

func (d *model) String() string {
	var b bytes.Buffer
	if d.m.IsRequest() {
		fmt.Fprintf(&b, "%s %s", d.m.Method, d.uri)
		b.Write(d.m.Raw[len(d.m.Method)+1+len(d.m.URI) : d.m.Header(0).Start])
	} else {
		b.Write(d.m.Raw[:d.m.Header(0).Start])
	}
	for _, s := range d.front {
		b.WriteString(s)
	}
	for i := range d.gone {
		for _, s := range d.inserted[i] {
			b.WriteString(s)
		}
		if !d.gone[i] {
			b.WriteString(d.before[i] + d.values[i] + d.after[i])
		}
	}
	for _, s := range d.end {
		b.WriteString(s)
	}
	return b.String() + "\r\n" + d.body
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"<sip:a@b;x=y?h=v>;tag=1, \"B, b\" <sips:[::1]:5061>", "SIP/2.0/UDP h:5060;branch=z9hG4bK1, SIP / 2.0 / TLS [::1]",
		"sip:a:b@c:1;d=e;f?g=h", "tel:+1;x", "*", "\"\\", "<", ",", ";;", ";a=\"\\\"\";b"} {
		f.Add([]byte(s))
	}
	from := netip.MustParseAddrPort("[2001:db8::1]:1")
	f.Fuzz(func(t *testing.T, b []byte) {
		left := len(b) + 1
		for v, rest := sip.NextValue(b); v != nil; v, rest = sip.NextValue(rest) {
			if len(v) == 0 || len(rest) >= left || !bytes.Contains(b, v) {
				t.Fatalf("value %q, rest %q of %q", v, rest, b)
			}
			left = len(rest)
			checkURI(t, v)
			if n, err := sip.ParseNameAddr(v); err == nil {
				checkURI(t, n.URI)
				if len(n.URI) == 0 || len(n.Params) > 0 && n.Params[0] != ';' {
					t.Fatalf("%q reads %+v", v, n)
				}
			}
			if via, err := sip.ParseVia(v); err == nil {
				printed := sip.AppendReceived(nil, v, from)
				again, err := sip.ParseVia(printed)
				received, _ := sip.Param(again.Params, "received")
				rport, _ := sip.Param(again.Params, "rport")
				if err != nil && bytes.Count(via.Params, []byte(";")) < sip.MaxParams-2 || err == nil &&
					(!bytes.Equal(again.Branch(), via.Branch()) || !bytes.Equal(again.Host, via.Host) || string(received) != "2001:db8::1" || string(rport) != "1") {
					t.Fatalf("%q becomes %q, %v", v, printed, err)
				}
			}
		}
	})
}

// checkURI puts a URI together again out of its parts.
func checkURI(t *testing.T, b []byte) {
	t.Helper()
	u, err := sip.ParseURI(b)
	if err != nil || u.Host == nil {
		return
	}
	s := string(u.Scheme) + ":"
	if u.User != nil {
		s += string(u.User)
		if u.Password != nil {
			s += ":" + string(u.Password)
		}
		s += "@"
	}
	if bytes.IndexByte(u.Host, ':') >= 0 {
		s += "[" + string(u.Host) + "]"
	} else {
		s += string(u.Host)
	}
	rest := string(u.Params)
	if u.Headers != nil {
		rest += "?" + string(u.Headers)
	}
	// The port may have been written with zeros in front.
	if !bytes.HasPrefix(b, []byte(s)) || !bytes.HasSuffix(b, []byte(rest)) {
		t.Fatalf("%q reads %+v", b, u)
	}
	if port := b[len(s) : len(b)-len(rest)]; len(port) > 0 {
		if n, ok := sip.ParseInt(port[1:]); !ok || port[0] != ':' || n != uint32(u.Port) {
			t.Fatalf("%q reads port %d", b, u.Port)
		}
	} else if u.Port != 0 {
		t.Fatalf("%q reads port %d", b, u.Port)
	}
}
