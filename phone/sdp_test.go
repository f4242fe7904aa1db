package phone

import (
	"net/netip"
	"strings"
	"testing"
)

const head = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"

func TestReadingADescription(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for name, c := range map[string]struct {
		body   string
		addr   netip.AddrPort
		codecs []Codec
		events uint8
		dir    direction
		fails  bool
	}{
		"plain":                       {body: head + "m=audio 4000 RTP/AVP 0 8\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU, PCMA}, dir: sendrecv},
		"bare line feeds":             {body: "c=IN IP4 198.51.100.1\nm=audio 4000 RTP/AVP 8\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMA}, dir: sendrecv},
		"the stream's own address":    {body: head + "m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n", addr: at("[2001:db8::1]:4000"), codecs: []Codec{PCMU}, dir: sendrecv},
		"events of another type":      {body: head + "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU}, events: 96, dir: sendrecv},
		"held":                        {body: head + "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU}, dir: sendonly},
		"the session's direction":     {body: head + "a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU}, dir: inactive},
		"held the old way":            {body: "c=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n", codecs: []Codec{PCMU}, dir: sendrecv},
		"video first":                 {body: head + "m=video 5000 RTP/AVP 96\r\na=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU}, dir: sendrecv},
		"a second stream is not ours": {body: head + "m=audio 4000 RTP/AVP 0\r\nm=audio 6000 RTP/AVP 8\r\na=inactive\r\n", addr: at("198.51.100.1:4000"), codecs: []Codec{PCMU}, dir: sendrecv},
		"refused":                     {body: head + "m=audio 0 RTP/AVP 0\r\n", codecs: []Codec{PCMU}, dir: sendrecv},
		"nothing we speak":            {body: head + "m=audio 4000 RTP/AVP 18\r\n", addr: at("198.51.100.1:4000"), dir: sendrecv},
		"encrypted only":              {body: head + "m=audio 4000 RTP/SAVP 0\r\n", fails: true},
		"no audio":                    {body: head + "m=video 4000 RTP/AVP 96\r\n", fails: true},
		"nothing":                     {fails: true},
	} {
		d, err := parseSDP([]byte(c.body))
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.fails {
			continue
		}
		same := len(d.codecs) == len(c.codecs)
		for i := 0; same && i < len(c.codecs); i++ {
			same = d.codecs[i] == c.codecs[i]
		}
		if d.addr != c.addr || !same || d.events != c.events || d.dir != c.dir {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

// An answer has the offer's streams, and refuses all but one (RFC 3264 §6).
func TestAnswering(t *testing.T) {
	s := speaker{at: netip.MustParseAddrPort("192.0.2.1:7000"), id: 9}
	o, err := parseSDP([]byte(head + "m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8 0 97\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(s.answer(o, PCMA, sendrecv.answer(o.dir)))
	want := "v=0\r\no=- 9 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nm=audio 7000 RTP/AVP 8 97\r\n" +
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\na=ptime:20\r\na=recvonly\r\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if again := string(s.offer([]Codec{PCMU}, sendonly)); !strings.Contains(again, "o=- 9 2 ") {
		t.Errorf("the version does not rise: %s", again)
	}
}

// Whatever came, an answer to it can be read and has as many streams.
func FuzzSDP(f *testing.F) {
	f.Add([]byte(head + "m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8 0 97\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\n"))
	f.Add([]byte("m=audio 1 RTP/AVP 0\nm=x\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parseSDP(body)
		if err != nil {
			return
		}
		s := speaker{at: netip.MustParseAddrPort("192.0.2.1:7000")}
		answer := s.answer(o, PCMU, sendrecv.answer(o.dir))
		a, err := parseSDP(answer)
		if err != nil || len(a.lines) != len(o.lines) || a.audio != o.audio || a.addr.Port() != 7000 {
			t.Errorf("%v: to\n%s\nwe answer\n%s", err, body, answer)
		}
	})
}
