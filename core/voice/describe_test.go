package voice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lindero/lindero/core/voice"
)

// TestAnswer has offers and the media part of what they get; PORT is the session's.
func TestAnswer(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
	const pcmu, pcma = "a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:8 PCMA/8000\r\n"
	tests := map[string]struct{ offer, want string }{
		"the offer's order counts":         {"m=audio 4000 RTP/AVP 8 0\r\n", "m=audio PORT RTP/AVP 8\r\n" + pcma + "a=ptime:20\r\na=sendrecv\r\n"},
		"what we do not speak is left out": {"m=audio 4000 RTP/AVP 9 18 0 8\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=sendrecv\r\n"},
		"events under their number": {"m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n",
			"m=audio PORT RTP/AVP 0 96\r\n" + pcmu + "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:20\r\na=sendrecv\r\n"},
		"events of another clock": {"m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/48000\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=sendrecv\r\n"},
		"a law under a dynamic number": {"m=audio 4000 RTP/AVP 97\r\na=rtpmap:97 pcma/8000/1\r\n",
			"m=audio PORT RTP/AVP 97\r\na=rtpmap:97 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n"},
		"video is refused": {"m=video 5000 RTP/AVP 96 97\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 0\r\n",
			"m=video 0 RTP/AVP 96 97\r\nm=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=sendrecv\r\nm=audio 0 RTP/AVP 0\r\n"},
		"hold":                  {"m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=recvonly\r\n"},
		"only listening":        {"m=audio 4000 RTP/AVP 0\r\na=recvonly\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=sendonly\r\n"},
		"inactive":              {"a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=inactive\r\n"},
		"hold of the old way":   {"m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "m=audio PORT RTP/AVP 0\r\n" + pcmu + "a=ptime:20\r\na=sendrecv\r\n"},
		"no common codec":       {"m=audio 4000 RTP/AVP 9 18\r\n", ""},
		"only encrypted":        {"m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", ""},
		"only video":            {"m=video 4000 RTP/AVP 0\r\n", ""},
		"nothing":               {"", ""},
		"a name for an address": {"m=audio 4000 RTP/AVP 0\r\nc=IN IP4 host.example\r\n", ""},
	}
	e := engine(t, 42300, 42399)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := e.Open(voice.Echo, voice.Events{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			answer, err := s.Answer([]byte(head + tt.offer))
			if tt.want == "" {
				if !errors.Is(err, voice.ErrNoCodec) {
					t.Errorf("got %v:\n%s", err, answer)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, media, _ := strings.Cut(string(answer), "t=0 0\r\n")
			if want := strings.ReplaceAll(tt.want, "PORT", fmt.Sprint(s.Local().Port())); media != want {
				t.Errorf("got\n%swant\n%s", media, want)
			}
		})
	}
}

// TestVersion keeps the o= line while nothing changes (RFC 3264 §8).
func TestVersion(t *testing.T) {
	e := engine(t, 42300, 42399)
	s, _ := e.Open(voice.Echo, voice.Events{})
	defer s.Close()
	c := newCaller(t)
	origin := func(offer string) string {
		lines := strings.Split(c.connect(s, offer), "\r\n")
		return strings.TrimPrefix(lines[1], "o=lindero ")
	}
	first := origin(c.offer("0"))
	if again := origin(c.offer("0")); again != first {
		t.Errorf("o= was %s, then %s, and nothing had changed", first, again)
	}
	held := origin(c.offer("0", "a=sendonly"))
	id := strings.Fields(first)
	if want := id[0] + " 2 IN IP4 127.0.0.1"; held != want {
		t.Errorf("o= is %s, want %s", held, want)
	}
}

// TestOffer makes the first description, and takes the answer to it.
func TestOffer(t *testing.T) {
	e := engine(t, 42300, 42399)
	s, _ := e.Open(voice.Echo, voice.Events{})
	defer s.Close()
	if offer := string(s.Offer()); !strings.Contains(offer, fmt.Sprintf("m=audio %d RTP/AVP 0 8 101\r\n", s.Local().Port())) {
		t.Errorf("the offer is\n%s", offer)
	}
	c := newCaller(t)
	if err := s.Accept([]byte(c.offer("8 101", events))); err != nil {
		t.Error(err)
	}
	if err := s.Accept([]byte("v=0\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n")); !errors.Is(err, voice.ErrNoCodec) {
		t.Errorf("an answer that refuses gave %v", err)
	}
}

// TestPorts lends each port once, gives the others a rest first, and says when none is left.
func TestPorts(t *testing.T) {
	e := engine(t, 42401, 42410)
	var open []*voice.Session
	var got []uint16
	for range 5 { // 42402 to 42410, even
		s, err := e.Open(voice.Echo, voice.Events{})
		if err != nil {
			t.Fatal(err)
		}
		open, got = append(open, s), append(got, s.Local().Port())
	}
	if fmt.Sprint(got) != "[42402 42404 42406 42408 42410]" {
		t.Errorf("ports %v", got)
	}
	if _, err := e.Open(voice.Echo, voice.Events{}); !errors.Is(err, voice.ErrFull) {
		t.Errorf("a sixth gave %v", err)
	}
	open[1].Close()
	open[1].Close()
	open[3].Close()
	s, err := e.Open(voice.Echo, voice.Events{})
	if err != nil || s.Local().Port() != 42404 {
		t.Fatalf("got %v, %v", s, err)
	}
	s.Close()
	s, err = e.Open(voice.Echo, voice.Events{})
	if err != nil || s.Local().Port() != 42408 {
		t.Fatalf("the port just closed was lent again: %v, %v", s, err)
	}
	s.Close()
	for _, s := range []*voice.Session{open[0], open[2], open[4]} {
		s.Close()
	}
	if _, err := e.Open(0, voice.Events{}); err == nil {
		t.Error("a session without a mode was opened")
	}
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]voice.Config{
		"no address": {MinPort: 1000, MaxPort: 2000},
		"no port":    {Media: here},
		"odd only":   {Media: here, MinPort: 1001, MaxPort: 1001},
		"reversed":   {Media: here, MinPort: 2000, MaxPort: 1000},
	} {
		if _, err := voice.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
