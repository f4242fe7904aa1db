package sip_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

// A tortureRow is a line of testdata/torture/expected.txt, the one table of RFC
// 4475, which end-to-end tests drive through a live border too.
type tortureRow struct{ name, scanner, element, section string }

func tortureTable(t *testing.T) []tortureRow {
	t.Helper()
	text, err := os.ReadFile("testdata/torture/expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []tortureRow
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) < 5 {
			t.Fatalf("expected.txt: short line %q", line)
		}
		rows = append(rows, tortureRow{f[0], f[1], f[2], f[3]})
	}
	return rows
}

func torture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "torture", name+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTorture(t *testing.T) {
	rows := tortureTable(t)
	if len(rows) != 49 {
		t.Errorf("the table has %d rows, RFC 4475 has 49 messages", len(rows))
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { checkTorture(t, row, torture(t, row.name)) })
	}
}

func checkTorture(t *testing.T, row tortureRow, raw []byte) {
	m := new(sip.Message)
	err := m.Scan(raw)
	var refusal *sip.ScanError
	switch {
	case err == nil:
		if row.scanner != "accept" {
			t.Fatalf("accepted, want %s (RFC 4475 §%s)", row.scanner, row.section)
		}
		var e sip.Editor
		if e.Reset(m); !bytes.Equal(e.AppendTo(nil), m.Raw) || !bytes.HasPrefix(raw, m.Raw) {
			t.Error("forwarding changes bytes that nobody edited")
		}
		return
	case !errors.As(err, &refusal):
		t.Fatalf("error %v is not a ScanError", err)
	case row.scanner == "drop":
		if refusal.Answerable {
			t.Errorf("would be answered: %v", err)
		}
		return
	case row.scanner != strconv.Itoa(refusal.Code):
		t.Fatalf("refused with %d (%v), want %s (RFC 4475 §%s)", refusal.Code, err, row.scanner, row.section)
	case !refusal.Answerable:
		t.Fatalf("refused without an answer (%v), want %s (RFC 4475 §%s)", err, row.element, row.section)
	}
	if !slices.Contains(strings.Split(row.element, "|"), row.scanner) {
		t.Errorf("the scanner answers %s, which the element may not: %s", row.scanner, row.element)
	}
	answer := sip.Respond(nil, m, netip.MustParseAddrPort("192.0.2.77:5060"), sip.Response{Code: refusal.Code, ToTag: "x"})
	if !bytes.HasPrefix(answer, []byte("SIP/2.0 "+row.scanner+" ")) || !bytes.Contains(answer, []byte("received=192.0.2.77;rport=5060")) {
		t.Errorf("answer is\n%s", answer)
	}
}

// Every file has a row: none is left out of the table.
func TestTortureTableIsComplete(t *testing.T) {
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil {
		t.Fatal(err)
	}
	rows := tortureTable(t)
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".dat")
		if !slices.ContainsFunc(rows, func(r tortureRow) bool { return r.name == name }) {
			t.Errorf("%s has no row", f)
		}
	}
	if len(files) != len(rows) {
		t.Errorf("%d files, %d rows", len(files), len(rows))
	}
}

// What the readers make of the valid messages' odd corners.
func TestTortureValues(t *testing.T) {
	type values struct {
		method, uri string
		fromTag     string
		vias        string // transport/host branch, …
		cseq        uint32
		contacts    string // URIs
		body        int
	}
	for name, want := range map[string]values{
		"wsinv": {method: "INVITE", uri: "sip:vivekg@chair-dnrc.example.com;unknownparam", fromTag: "98asjd8",
			vias: "UDP/192.0.2.2 390skdjuw, TCP/spindle.example.com z9hG4bK9ikj8, UDP/192.168.255.111 z9hG4bK30239",
			cseq: 9, contacts: "sip:jdrosen@example.com", body: 150},
		"intmeth": {method: "!interesting-Method0123456789_*+`.%indeed'~",
			uri:     "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
			fromTag: "_token~1'+`*%!-.", vias: "TCP/host1.example.com z9hG4bK-.!%66*_+`'~", cseq: 139122385},
		"esc01": {method: "INVITE", uri: "sip:sips%3Auser%40example.com@example.net", fromTag: "938", vias: "UDP/host5.example.net z9hG4bKkdjuw",
			cseq: 234234, contacts: "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31", body: 150},
		"esc02": {method: "RE%47IST%45R", uri: "sip:registrar.example.com", fromTag: "f232jadfj23", vias: "TCP/host.example.com z9hG4bK209%fzsnel234",
			cseq: 29344, contacts: "sip:alias1@host1.example.com sip:alias3@host3.example.com"},
		"dblreq":  {method: "REGISTER", uri: "sip:example.com", fromTag: "43251j3j324", vias: "UDP/192.0.2.125 z9hG4bKkdjuw23492", cseq: 8, contacts: "sip:j.user@host.example.com"},
		"lwsdisp": {method: "OPTIONS", uri: "sip:user@example.com", fromTag: "323", vias: "UDP/funky.example.com z9hG4bKkdjuw", cseq: 60},
		"mpart01": {method: "MESSAGE", uri: "sip:kumiko@example.org", fromTag: "2fb0dcc9", vias: "UDP/127.0.0.1 z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-", cseq: 1, contacts: "sip:fluffy@127.0.0.1:5070", body: 553},
		"inv2543": {method: "INVITE", uri: "sip:UserB@example.com", vias: "UDP/iftgw.example.com ", cseq: 56, body: 105},
	} {
		m := scan(t, torture(t, name))
		var vias, contacts []string
		eachValue(m, sip.Via, func(v []byte) {
			via, err := sip.ParseVia(v)
			if err != nil {
				t.Errorf("%s: Via %q: %v", name, v, err)
			}
			vias = append(vias, string(via.Transport)+"/"+string(via.Host)+" "+string(via.Branch()))
		})
		eachValue(m, sip.Contact, func(v []byte) {
			c, err := sip.ParseNameAddr(v)
			if err != nil {
				t.Errorf("%s: Contact %q: %v", name, v, err)
			}
			contacts = append(contacts, string(c.URI))
		})
		got := values{string(m.Method), string(m.URI), string(m.Tag(sip.From)), strings.Join(vias, ", "), m.CSeqNumber, strings.Join(contacts, " "), len(m.Body)}
		if got != want {
			t.Errorf("%s reads\n%+v, want\n%+v", name, got, want)
		}
	}
}

func eachValue(m *sip.Message, id sip.HeaderID, f func(value []byte)) {
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		for v, rest := sip.NextValue(m.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			f(v)
		}
	}
}

// The semicolon of semiuri is in the user part (RFC 4475 §3.1.1.9), the password
// of intmeth after its colon (§3.1.1.2).
func TestTortureURIs(t *testing.T) {
	for name, want := range map[string][3]string{
		"semiuri": {"user;par=u%40example.net", "", "example.com"},
		"intmeth": {"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)", "example.com"},
	} {
		u, err := sip.ParseURI(scan(t, torture(t, name)).URI)
		if got := [3]string{string(u.User), string(u.Password), string(u.Host)}; err != nil || got != want {
			t.Errorf("%s: URI reads %q, %v, want %q", name, got, err, want)
		}
	}
}
