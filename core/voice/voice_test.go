package voice_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/voice"
	"github.com/lindero/lindero/wire/rtp"
)

var here = netip.MustParseAddr("127.0.0.1")

// engine runs an Engine on a few ports.
func engine(t *testing.T, first, last uint16) *voice.Engine {
	t.Helper()
	e, err := voice.New(voice.Config{Media: here, MinPort: first, MaxPort: last, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if n := e.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
	return e
}

// A caller is the other end of a session's stream.
type caller struct {
	t    *testing.T
	conn *net.UDPConn
	port uint16
	to   netip.AddrPort
	h    rtp.Header
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &caller{t: t, conn: conn, port: conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), h: rtp.Header{SSRC: 77, Sequence: 65530, Timestamp: 1<<32 - 400}}
}

// offer is a description of the caller.
func (c *caller) offer(formats string, lines ...string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\n", c.port, formats) +
		strings.Join(append(lines, ""), "\r\n")
}

const events = "a=rtpmap:101 telephone-event/8000"

// connect gives the session the caller's offer.
func (c *caller) connect(s *voice.Session, offer string) string {
	c.t.Helper()
	answer, err := s.Answer([]byte(offer))
	if err != nil {
		c.t.Fatal(err)
	}
	c.to = s.Local()
	return string(answer)
}

func (c *caller) send(pt uint8, payload []byte) {
	c.h.PayloadType = pt
	c.h.Sequence++
	c.h.Timestamp += uint32(len(payload))
	c.write(c.conn, payload)
}

func (c *caller) write(conn *net.UDPConn, payload []byte) {
	if _, err := conn.WriteToUDPAddrPort(append(c.h.Append(nil), payload...), c.to); err != nil {
		c.t.Error(err)
	}
}

// receive waits for a packet; ok is false when none comes within d.
func (c *caller) receive(d time.Duration) (h rtp.Header, payload []byte, ok bool) {
	c.t.Helper()
	b := make([]byte, 2000)
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	n, from, err := c.conn.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return h, nil, false
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if from != c.to {
		c.t.Errorf("a packet came from %v, not %v", from, c.to)
	}
	if h, payload, err = rtp.Parse(b[:n]); err != nil {
		c.t.Error(err)
	}
	return h, payload, true
}

// tone is 20 ms of a sine, beginning at sample n.
func tone(n int, hz float64, encode func(int16) byte) []byte {
	b := make([]byte, 160)
	for i := range b {
		b[i] = encode(int16(8000 * math.Sin(2*math.Pi*hz*float64(n+i)/8000)))
	}
	return b
}

// power is the share of a signal's energy at a frequency, by Goertzel's filter.
func power(samples []float64, hz float64) float64 {
	w := 2 * math.Cos(2*math.Pi*hz/8000)
	var s1, s2, all float64
	for _, x := range samples {
		s1, s2 = x+w*s1-s2, s1
		all += x * x
	}
	return (s1*s1 + s2*s2 - w*s1*s2) * 2 / (float64(len(samples)) * all)
}

// TestEcho plays a tone and measures what comes back, in either law.
func TestEcho(t *testing.T) {
	e := engine(t, 42200, 42299)
	for name, tt := range map[string]struct {
		formats string
		pt      uint8
		encode  func(int16) byte
		decode  func(byte) int16
	}{
		"mu-law": {"0 8 101", 0, rtp.EncodePCMU, rtp.DecodePCMU},
		"A-law":  {"9 8 0", 8, rtp.EncodePCMA, rtp.DecodePCMA},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := e.Open(voice.Echo, voice.Events{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := newCaller(t)
			c.connect(s, c.offer(tt.formats, events))
			var heard []float64
			var last rtp.Header
			for i := range 50 {
				if i == 20 { // one is lost on the way in, and seen to be lost on the way back
					c.h.Sequence++
					c.h.Timestamp += 160
				}
				c.send(tt.pt, tone(160*i, 440, tt.encode))
				h, payload, ok := c.receive(time.Second)
				if !ok {
					t.Fatal("nothing came back")
				}
				gap := uint16(1)
				if i == 20 {
					gap = 2
				}
				if h.SSRC == c.h.SSRC || h.PayloadType != tt.pt || i > 0 && (h.SSRC != last.SSRC || h.Sequence-last.Sequence != gap || h.Timestamp-last.Timestamp != uint32(gap)*160) {
					t.Fatalf("after %+v came %+v", last, h)
				}
				last = h
				for _, b := range payload {
					heard = append(heard, float64(tt.decode(b)))
				}
			}
			if p := power(heard, 440); p < 0.95 {
				t.Errorf("%.2f of what came back is the tone", p)
			}
			if p := power(heard, 1000); p > 0.01 {
				t.Errorf("%.2f of it is another", p)
			}
		})
	}
}

// TestEchoOfNewSource goes on smoothly when the caller's source changes.
func TestEchoOfNewSource(t *testing.T) {
	e := engine(t, 42200, 42299)
	s, _ := e.Open(voice.Echo, voice.Events{})
	defer s.Close()
	c := newCaller(t)
	c.connect(s, c.offer("0"))
	c.send(0, tone(0, 440, rtp.EncodePCMU))
	first, _, _ := c.receive(time.Second)
	c.h = rtp.Header{SSRC: 78, Sequence: 9, Timestamp: 12345}
	c.send(0, tone(0, 440, rtp.EncodePCMU))
	second, _, ok := c.receive(time.Second)
	if !ok || second.SSRC != first.SSRC || second.Sequence != first.Sequence+1 || second.Timestamp != first.Timestamp+160 {
		t.Errorf("after %+v came %+v", first, second)
	}
}

// Keys are not echoed; what misses them has not lost a packet.
func TestKeysInAnEchoAreNoLoss(t *testing.T) {
	e := engine(t, 42200, 42299)
	s, err := e.Open(voice.Echo, voice.Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := newCaller(t)
	c.connect(s, c.offer("0 101", events))
	c.send(0, tone(0, 440, rtp.EncodePCMU))
	first, _, _ := c.receive(time.Second)
	for range 3 {
		c.send(101, []byte{5, 10, 0, 160})
	}
	c.send(0, tone(160, 440, rtp.EncodePCMU))
	second, _, ok := c.receive(time.Second)
	if !ok || second.PayloadType != 0 || second.Sequence != first.Sequence+1 {
		t.Errorf("after %+v came %+v", first, second)
	}
}

// TestStrangersAreNotHeard has packets from another address, and of another kind.
func TestStrangersAreNotHeard(t *testing.T) {
	e := engine(t, 42200, 42299)
	s, _ := e.Open(voice.Echo, voice.Events{})
	defer s.Close()
	c := newCaller(t)
	c.connect(s, c.offer("0"))
	stranger, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.2:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	c.write(stranger, tone(0, 440, rtp.EncodePCMU))
	for _, b := range []string{"", "x", "GET / HTTP/1.1", "\x80", "\x80\xc8\x00\x01aaaabbbb", "\x8f\x00aaaaaaaaaa"} {
		_, _ = c.conn.WriteToUDPAddrPort([]byte(b), c.to)
	}
	c.send(18, []byte("not agreed"))
	if h, _, ok := c.receive(100 * time.Millisecond); ok {
		t.Errorf("%+v came back", h)
	}
	// Another port of the same address is NAT, and is learned.
	moved := newCaller(t)
	moved.to, moved.h = c.to, c.h
	moved.send(0, tone(0, 440, rtp.EncodePCMU))
	if _, _, ok := moved.receive(time.Second); !ok {
		t.Error("the port behind NAT hears nothing")
	}
}

// TestGreeting compares what is heard with the file, byte for byte and by the clock.
func TestGreeting(t *testing.T) {
	file, err := os.ReadFile("greeting.ulaw")
	if err != nil {
		t.Fatal(err)
	}
	if len(file) < 8000*2 || len(file) > 8000*6 {
		t.Errorf("the greeting lasts %.1f s", float64(len(file))/8000)
	}
	e := engine(t, 42200, 42299)
	ended := make(chan struct{})
	s, _ := e.Open(voice.Greeting, voice.Events{Ended: func() { close(ended) }})
	defer s.Close()
	c := newCaller(t)
	c.connect(s, c.offer("0 101", events))
	if _, _, ok := c.receive(50 * time.Millisecond); ok {
		t.Error("it speaks before Start")
	}
	began := time.Now()
	s.Start()
	s.Start() // once is enough
	var heard []byte
	var last rtp.Header
	for len(heard) < len(file) {
		h, payload, ok := c.receive(time.Second)
		if !ok {
			t.Fatalf("it stopped after %d of %d bytes", len(heard), len(file))
		}
		if first := len(heard) == 0; first != h.Marker || !first && (h.Sequence != last.Sequence+1 || h.Timestamp != last.Timestamp+160) {
			t.Fatalf("after %+v came %+v", last, h)
		}
		heard, last = append(heard, payload...), h
	}
	want := time.Duration(len(file)) * time.Second / 8000
	if took := time.Since(began); took < want-40*time.Millisecond || took > want+250*time.Millisecond {
		t.Errorf("%v of speech took %v", want, took)
	}
	if string(heard) != string(file) {
		t.Error("what was heard is not the file")
	}
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("it did not say that it ended")
	}
}

// TestGreetingOnHold waits with its words while the caller holds, and speaks A-law.
func TestGreetingOnHold(t *testing.T) {
	e := engine(t, 42200, 42299)
	s, _ := e.Open(voice.Greeting, voice.Events{})
	defer s.Close()
	c := newCaller(t)
	if answer := c.connect(s, c.offer("8", "a=sendonly")); !strings.Contains(answer, "a=recvonly") {
		t.Errorf("the answer to sendonly is\n%s", answer)
	}
	s.Start()
	if _, _, ok := c.receive(200 * time.Millisecond); ok {
		t.Error("it speaks to who holds")
	}
	c.connect(s, c.offer("8"))
	file, _ := os.ReadFile("greeting.ulaw")
	for i := range 20 {
		h, payload, ok := c.receive(time.Second)
		if !ok || h.PayloadType != 8 {
			t.Fatalf("packet %d is %+v", i, h)
		}
		for j, b := range payload {
			if want := rtp.EncodePCMA(rtp.DecodePCMU(file[160*i+j])); b != want {
				t.Fatalf("byte %d of packet %d is %x, want %x", j, i, b, want)
			}
		}
	}
}

// TestDigits presses keys: an end comes three times, or never, or out of order.
func TestDigits(t *testing.T) {
	e := engine(t, 42200, 42299)
	keys := make(chan byte, 100)
	s, _ := e.Open(voice.Echo, voice.Events{Digit: func(d byte) { keys <- d }})
	defer s.Close()
	c := newCaller(t)
	c.connect(s, c.offer("0 101", events))
	press := func(key byte, ends int) {
		code, _ := rtp.EventCode(key)
		c.h.Timestamp += 800
		c.h.PayloadType = 101
		for i := range 3 + ends {
			ev := rtp.Event{Code: code, Volume: 10, Duration: uint16(160 * min(i+1, 4)), End: i >= 3}
			c.h.Sequence++
			c.write(c.conn, ev.Append(nil))
		}
	}
	for _, key := range []byte("1590*#") {
		press(key, 3)
	}
	press('7', 0) // all ends are lost: the next key shows that it is over
	press('7', 3)
	c.h.Timestamp -= 800 // a late packet of the key before
	c.write(c.conn, rtp.Event{Code: 7, End: true, Duration: 640}.Append(nil))
	c.h.Timestamp += 800
	press('A', 1)
	for _, want := range []byte("1590*#77A") {
		select {
		case got := <-keys:
			if got != want {
				t.Errorf("heard %c, want %c", got, want)
			}
		case <-time.After(time.Second):
			t.Fatalf("%c was not heard", want)
		}
	}
	if _, _, ok := c.receive(20 * time.Millisecond); ok {
		t.Error("keys are echoed")
	}
	for body, want := range map[[2]string]string{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"}:        "5",
		{"application/dtmf-relay; x=y", "Duration=160\r\nsignal = #\r\n"}: "#",
		{"Application/DTMF", " 9\r\n"}:                                    "9",
		{"application/dtmf-relay", "Duration=160\r\n"}:                    "",
		{"application/dtmf", "55"}:                                        "",
		{"application/dtmf", "x"}:                                         "",
		{"text/plain", "5"}:                                               "",
	} {
		if ok := s.Info(body[0], []byte(body[1])); ok != (want != "") {
			t.Errorf("INFO %q: %v", body, ok)
		} else if ok {
			if got := <-keys; string(got) != want {
				t.Errorf("INFO %q: heard %c", body, got)
			}
		}
	}
	if len(keys) != 0 {
		t.Errorf("%d keys too many", len(keys))
	}
}
