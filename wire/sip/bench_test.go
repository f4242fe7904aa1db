package sip_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

func BenchmarkScan(b *testing.B) {
	plain := []byte(strings.Replace(string(wire(register)), "Expires:", "X-Plain: "+strings.Repeat("abcd", 2000)+"\r\nY-Plain: "+strings.Repeat("abcd", 1800)+"\r\nExpires:", 1))
	for name, raw := range map[string][]byte{
		"REGISTER":                 wire(register),
		"INVITE":                   wire(invite),
		"wsinv":                    torture(b, "wsinv"),
		"longreq":                  torture(b, "longreq"),
		"16KB plain":               plain,
		"16KB parameters unread":   []byte(strings.Replace(string(manyParams("X-P: x", 2000)), "Expires:", "Y-P: x"+strings.Repeat(";a=b", 1800)+"\r\nExpires:", 1)),
		"16KB parameters, refused": []byte(strings.Replace(string(manyParams("X-P: x", 2000)), ";tag=456248", ";tag=456248"+strings.Repeat(";a=b", 1800), 1)),
		"16KB of Contacts":         []byte(strings.Replace(string(wire(register)), "Contact: ", "Contact: "+strings.Repeat("<sip:a@b;x=y>;q=1,", 430)+" ", 1)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			var m sip.Message
			for b.Loop() {
				_ = m.Scan(raw)
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	raw := wire(invite)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := sip.Frame(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEditorForward(b *testing.B) {
	m := scan(b, wire(invite))
	var e sip.Editor
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = forward(&e, m, buf[:0])
	}
}

func BenchmarkRespond(b *testing.B) {
	m := scan(b, wire(register))
	from := netip.MustParseAddrPort("192.0.2.10:5060")
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = sip.Respond(buf[:0], m, from, sip.Response{Code: 401, ToTag: "x"})
	}
}
