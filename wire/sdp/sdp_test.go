package sdp_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sdp"
)

var update = flag.Bool("update", false, "write what came out into testdata")

var ours = netip.MustParseAddr("192.0.2.1")

// anchor does to a description what a relay does: every address and port becomes
// ours, ICE goes away.
func anchor(s *sdp.Session) []byte {
	e := s.Edit()
	e.Address(s.Origin, ours)
	for _, c := range append([]*sdp.Address{s.Connection}, connections(s)...) {
		if !c.Held() {
			e.Address(c, ours)
		}
	}
	port := uint16(30000)
	for i := range s.Media {
		m := &s.Media[i]
		if m.Port == 0 {
			continue
		}
		e.Port(m, port)
		e.RTCP(m, netip.AddrPortFrom(ours, port+1))
		port += 2
	}
	e.RemoveICE()
	return e.Bytes()
}

func connections(s *sdp.Session) (all []*sdp.Address) {
	for i := range s.Media {
		all = append(all, s.Media[i].Connection)
	}
	return all
}

func TestAnchor(t *testing.T) {
	files, err := filepath.Glob("testdata/anchor/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			what, rest, ok := strings.Cut(string(text), "--- in\n")
			in, want, ok2 := strings.Cut(rest, "--- out\n")
			if !ok || !ok2 {
				t.Fatal("no --- in and --- out")
			}
			s, err := sdp.Parse([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			got := string(anchor(s))
			if *update {
				if err := os.WriteFile(file, []byte(what+"--- in\n"+in+"--- out\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("%sgot:\n%s\nwant:\n%s", what, got, want)
			}
			// The same with the line ends of the RFC, and with the last one missing.
			crlf := strings.ReplaceAll(in, "\n", "\r\n")
			for _, cut := range []int{0, 2} {
				s, err := sdp.Parse([]byte(crlf[:len(crlf)-cut]))
				if err != nil {
					t.Fatal(err)
				}
				want := strings.ReplaceAll(want, "\n", "\r\n")
				if got := string(anchor(s)); strings.TrimSuffix(got, "\r\n") != strings.TrimSuffix(want, "\r\n") {
					t.Errorf("with CRLF, %d bytes cut: %q, want %q", cut, got, want)
				}
			}
		})
	}
}

const offer = "v=0\r\no=- 20518 7 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\na=recvonly\r\n" +
	"m=audio 54400 RTP/AVP 0 97 101\r\na=rtpmap:97 opus/48000/2\r\na=fmtp:97 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\n" +
	"a=ptime:30\r\na=sendonly\r\na=rtcp-mux\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n" +
	"m=video 0 UDP/TLS/RTP/SAVPF 31\r\nc=IN IP4 203.0.113.10\r\na=fingerprint:sha-256 AA\r\na=rtcp:53020 IN IP4 126.16.64.4\r\na=candidate:1\r\n"

func TestParse(t *testing.T) {
	s, err := sdp.Parse([]byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	audio, video := &s.Media[0], &s.Media[1]
	opus, _ := audio.Codec("97")
	pcmu, _ := audio.Codec("0")
	_, unknown := audio.Codec("98")
	fmtp, _ := audio.Fmtp("97")
	version, _ := s.Version()
	for what, c := range map[string]struct{ got, want any }{
		"origin":          {s.Origin.Addr, netip.MustParseAddr("203.0.113.9")},
		"version":         {version, uint64(7)},
		"audio":           {fmt.Sprint(audio.Kind, audio.Port, audio.Proto, audio.Formats), "audio54400RTP/AVP[0 97 101]"},
		"audio address":   {audio.Address().Host, "203.0.113.9"},
		"audio direction": {audio.Direction, sdp.SendOnly},
		"audio rtcp":      {audio.RTCPAddr(), netip.MustParseAddrPort("203.0.113.9:54401")},
		"audio flags":     {[]bool{audio.Mux, audio.Crypto, audio.DTLS, audio.ICE, audio.RTP(), audio.Secure()}, []bool{true, true, false, false, true, false}},
		"ptime":           {audio.PTime(), 30},
		"opus":            {opus, sdp.Codec{Name: "opus", Clock: 48000, Channels: 2}},
		"pcmu":            {pcmu, sdp.Codec{Name: "PCMU", Clock: 8000, Channels: 1}},
		"unknown codec":   {unknown, false},
		"fmtp":            {fmtp, "useinbandfec=1"},
		"video address":   {video.Address().Host, "203.0.113.10"},
		"video direction": {video.Direction, sdp.RecvOnly},
		"video rtcp port": {int(video.RTCP.Port), 53020},
		"video flags":     {[]bool{video.Mux, video.Crypto, video.DTLS, video.ICE, video.RTP(), video.Secure()}, []bool{false, false, true, true, false, true}},
		"refused rtcp":    {video.RTCPAddr(), netip.AddrPort{}},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", what, c.got, c.want)
		}
	}
}

func TestDirection(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"in place":          {"v=0\nm=audio 1 x 0\na=sendrecv\na=b\n", "v=0\nm=audio 1 x 0\na=inactive\na=b\n"},
		"added":             {"v=0\r\nm=audio 1 x 0\r\nm=video 1 x 0\r\n", "v=0\r\nm=audio 1 x 0\r\na=inactive\r\nm=video 1 x 0\r\n"},
		"added at the end":  {"v=0\r\nm=audio 1 x 0", "v=0\r\nm=audio 1 x 0\r\na=inactive"},
		"over session's":    {"v=0\na=sendonly\nm=audio 1 x 0\n", "v=0\na=sendonly\nm=audio 1 x 0\na=inactive\n"},
		"after half an end": {"v=0\r\nm=audio 1 x 0\r", "v=0\r\nm=audio 1 x 0\r\na=inactive"},
	} {
		s, err := sdp.Parse([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		e := s.Edit()
		e.Direction(&s.Media[0], sdp.Inactive)
		if got := string(e.Bytes()); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"empty":                {"", sdp.ErrSyntax},
		"another version":      {"v=1\r\n", sdp.ErrSyntax},
		"no version":           {"o=- 1 1 IN IP4 192.0.2.1\r\n", sdp.ErrSyntax},
		"a blank line inside":  {"v=0\r\n\r\nm=audio 1 x 0\r\n", sdp.ErrSyntax},
		"a line without =":     {"v=0\r\nhello\r\n", sdp.ErrSyntax},
		"a bare CR":            {"v=0\r\ns=a\rb\r\n", sdp.ErrSyntax},
		"a NUL":                {"v=0\r\ns=a\x00b\r\n", sdp.ErrSyntax},
		"port too large":       {"v=0\r\nm=audio 65536 RTP/AVP 0\r\n", sdp.ErrSyntax},
		"port with sign":       {"v=0\r\nm=audio -1 RTP/AVP 0\r\n", sdp.ErrSyntax},
		"m= without format":    {"v=0\r\nm=audio 1 RTP/AVP\r\n", sdp.ErrSyntax},
		"c= of another net":    {"v=0\r\nc=ATM NSAP x\r\n", sdp.ErrSyntax},
		"c= without host":      {"v=0\r\nc=IN IP4 \r\n", sdp.ErrSyntax},
		"a=rtcp without port":  {"v=0\r\nm=audio 1 RTP/AVP 0\r\na=rtcp:x\r\n", sdp.ErrSyntax},
		"more than 16 KB":      {"v=0\r\ns=" + strings.Repeat("a", sdp.MaxSize) + "\r\n", sdp.ErrLimit},
		"more than 512 lines":  {"v=0\r\n" + strings.Repeat("a=b\r\n", sdp.MaxLines), sdp.ErrLimit},
		"more than 32 streams": {"v=0\r\n" + strings.Repeat("m=audio 1 x 0\r\n", sdp.MaxMedia+1), sdp.ErrLimit},
	} {
		if _, err := sdp.Parse([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What was never edited comes out as it went in, and what was anchored once is
// valid, names no address but ours and does not change when anchored again.
func FuzzAnchor(f *testing.F) {
	f.Add([]byte(offer))
	files, _ := filepath.Glob("testdata/anchor/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, in, _ := strings.Cut(string(text), "--- in\n")
		in, _, _ = strings.Cut(in, "--- out\n")
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		s, err := sdp.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Edit().Bytes(), b) {
			t.Fatalf("%q changed without an edit", b)
		}
		for i := range s.Media {
			s.Media[i].Codec("0")
			s.Media[i].PTime()
		}
		once := anchor(s)
		if !bytes.Equal(b, before) {
			t.Fatal("the text was written to")
		}
		s, err = sdp.Parse(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", b, once, err)
		}
		for i, c := range append(connections(s), s.Connection, s.Origin) {
			if c != nil && c.Addr != ours && !c.Held() {
				t.Fatalf("%q became %q: address %d is %v", b, once, i, c.Addr)
			}
		}
		if twice := anchor(s); !bytes.Equal(twice, once) {
			t.Fatalf("%q anchored again is %q", once, twice)
		}
	})
}

func BenchmarkAnchor(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := sdp.Parse([]byte(offer))
		if err != nil {
			b.Fatal(err)
		}
		anchor(s)
	}
}
