package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lindero/lindero/phone/audio"
)

// Alice's NAT keeps ports, Bob's gives every flow a random one.
func twoHomes(l *Lab) (alice, bob *Home) {
	return l.Home("alice", aliceHome, NAT{Mapping: Preserving}), l.Home("bob", bobHome, NAT{Mapping: Random})
}

func TestPhonesBehindDifferentNATsTalk(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			l := New(t)
			b := startBorder(t, l.Server("server", serverAddr), "{}")
			aliceHome, bobHome := twoHomes(l)
			wires := []*capture{watch(t, aliceHome.Phone), watch(t, bobHome.Phone)}

			alice := StartBaresip(t, aliceHome.Phone, b.phone(t, "101", transport))
			bob := StartBaresip(t, bobHome.Phone, b.phone(t, "102", transport))
			talk(t, alice, bob)

			// The callee's battery is taken out and put back.
			bob.Kill()
			bob = StartBaresip(t, bobHome.Phone, b.phone(t, "102", transport))
			talk(t, alice, bob)

			for _, w := range wires {
				w.mustNotShow(t, "127.0.0.", "Lindero-")
			}
		})
	}
}

// Each calls the other by NATs of the hardest kind on both sides.
func TestPhonesBehindRandomNATsTalk(t *testing.T) {
	l := New(t)
	b := startBorder(t, l.Server("server", serverAddr), "{}")
	aliceHome := l.Home("alice", aliceHome, NAT{Mapping: Random})
	bobHome := l.Home("bob", bobHome, NAT{Mapping: Random})
	alice := StartBaresip(t, aliceHome.Phone, b.phone(t, "101", "udp"))
	bob := StartBaresip(t, bobHome.Phone, b.phone(t, "102", "udp"))
	talk(t, alice, bob)
}

// talk has alice call bob and talk for some five seconds, and judges what each heard.
func talk(t *testing.T, alice, bob *BaresipPhone) {
	t.Helper()
	before := alice.count("Call established")
	alice.Say("/dial sip:102@demo.lindero.test")
	bob.Await("Call established", 1, 15*time.Second)
	alice.Await("Call established", before+1, 15*time.Second)
	bob.Await("[0:00:05]", 1, 15*time.Second) // its own clock of the call, which counts begun seconds
	alice.Say("/hangup")
	alice.Await("terminated (duration", before+1, 10*time.Second)
	bob.Await("terminated (duration", 1, 10*time.Second)
	heard(t, alice, bobTone, aliceTone)
	heard(t, bob, aliceTone, bobTone)
}

// heard judges a recording: wanted sounds nearly all the time, unwanted never,
// and no more than one packet in fifty is missing.
func heard(t *testing.T, p *BaresipPhone, wanted, unwanted float64) {
	t.Helper()
	recording := p.Heard()
	length := time.Duration(len(recording)) * time.Second / audio.Rate
	verdicts := audio.Judge(recording, wanted, unwanted)
	w, u := verdicts[0], verdicts[1]
	t.Logf("%s heard %v: %v Hz for %v in %.1f %% at %.0f dB, %d gaps", p.Name, length, w.Hz, w.To-w.From, 100*w.Share, w.Level, len(w.Gaps))
	if length < 3*time.Second { // begun seconds are counted, and phones take their time to start
		t.Errorf("%s recorded %v of a call of four seconds and more", p.Name, length)
	}
	if !w.Heard || w.From > 500*time.Millisecond {
		t.Errorf("%s did not hear the other: %+v", p.Name, w)
	}
	if u.Heard {
		t.Errorf("%s heard itself: %+v", p.Name, u)
	}
	if span := w.To - w.From; span < length-time.Second {
		t.Errorf("%s heard the other for %v of %v", p.Name, span, length)
	}
	lost := time.Duration(0)
	for _, g := range w.Gaps {
		lost += g.To - g.From
	}
	if lost > length/50 {
		t.Errorf("%s missed %v of %v: %v", p.Name, lost, length, w.Gaps)
	}
}

// A capture is every packet of a host's device, kept as a file.
type capture struct {
	*Process
	file string
}

func watch(t *testing.T, h *Host) *capture {
	t.Helper()
	file := filepath.Join(t.TempDir(), h.Name+".pcap")
	c := &capture{file: file}
	c.Process = Start(t, "capture at "+h.Name, h.Command(t.Context(), "tcpdump", "-Z", "root", "-U", "-s", "0", "-i", "eth0", "-w", file))
	c.Await("listening on", 1, 10*time.Second)
	return c
}

// mustNotShow looks for words in every byte that crossed the wire.
func (c *capture) mustNotShow(t *testing.T, words ...string) {
	t.Helper()
	c.Signal(os.Interrupt)
	if err := c.Wait(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10_000 {
		t.Errorf("%s: only %d bytes; that is no call", c.Name, len(all))
	}
	for _, word := range words {
		if at := bytes.Index(all, []byte(word)); at >= 0 {
			t.Errorf("%s: %q left the inside: …%s…", c.Name, word, fmt.Sprintf("%q", all[max(0, at-80):min(len(all), at+80)]))
		}
	}
}
