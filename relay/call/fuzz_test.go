package call_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sdp"
)

// Whatever a stranger offers, what comes out names no address but ours, no port
// but ours, and the answer to it can be anchored as well.
func FuzzOffer(f *testing.F) {
	files, _ := filepath.Glob("testdata/sdp/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range strings.Split(string(text), "\n--- ")[1:] {
			if head, body, _ := strings.Cut(section, "\n"); strings.HasPrefix(head, "offer") {
				f.Add([]byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLab(t)
		m := offer("", natted)
		m.SDP, m.Replace.Origin = b, true
		out, err := l.Offer(m)
		if err != nil {
			if l.live() != 0 {
				t.Errorf("%q was refused (%v) and is a call", b, err)
			}
			return
		}
		s, err := sdp.Parse(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", b, out, err)
		}
		for i := range s.Media {
			d := &s.Media[i]
			if a := d.Connection; a != nil && a.Host != "10.2.0.1" && !a.Held() {
				t.Errorf("%q became %q: stream %d is at %s", b, out, i, a.Host)
			}
			if d.Port != 0 && (d.Port < 30200 || d.Port > 30399) || d.ICE {
				t.Errorf("%q became %q: stream %d has port %d, ICE %v", b, out, i, d.Port, d.ICE)
			}
			if d.RTCP != nil && d.RTCP.Address != nil && d.RTCP.Address.Host != "10.2.0.1" {
				t.Errorf("%q became %q: RTCP of stream %d is at %s", b, out, i, d.RTCP.Address.Host)
			}
		}
		reply := answer()
		reply.SDP = out
		if _, err := l.Answer(reply); err != nil {
			t.Errorf("%q, answered by itself: %v", out, err)
		}
	})
}
