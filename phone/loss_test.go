package phone_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
)

// A wire is a UDP forwarder between two addresses. Whatever comes from either is
// given to pass, which tells how often it is sent on, and may change it.
type wire struct {
	conn *net.UDPConn
	wg   sync.WaitGroup
}

// newWire forwards what one sends to other, and what others send back to the
// last address that one was seen at.
func newWire(t *testing.T, other netip.AddrPort, pass func(n int, b []byte) bool) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{conn: conn}
	t.Cleanup(func() { conn.Close(); w.wg.Wait() })
	w.wg.Go(func() {
		var one netip.AddrPort
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			to := other
			if from == other {
				to = one
			} else {
				one = from
			}
			if err == nil && pass(n, buf[:size]) {
				if _, err := conn.WriteToUDPAddrPort(buf[:size], to); err != nil {
					return
				}
			}
		}
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A third of the datagrams of signalling is lost, and the calls work all the same:
// requests, responses and ACKs are sent again.
func TestSignallingSurvivesLoss(t *testing.T) {
	t.Parallel()
	quick := phone.Timing{T1: 40 * time.Millisecond, T2: 80 * time.Millisecond}
	b := start(t, 880, phone.Config{Timing: quick, Manners: answering})
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			via := newWire(t, b.Addr(), func(int, []byte) bool { return random.IntN(3) > 0 })
			a := start(t, 440, phone.Config{Timing: quick, Server: via, Domain: "example.test"})
			c, err := a.Dial(within(t), "b")
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			incoming(t, b)
			if err := c.Hangup(within(t)); err != nil {
				t.Errorf("Hangup: %v", err)
			}
		})
	}
}

// callThrough makes a call in which what b sends to a goes through a wire: a's
// offer is rewritten to name the wire instead of a.
func callThrough(t *testing.T, a, b phone.Config, pass func(n int, b []byte) bool) (atA, atB *phone.Call) {
	t.Helper()
	b.Manners.Answer = true
	callee := start(t, 880, b)
	// The signalling passes a wire too, which rewrites the port in a's offer.
	signalling := newWire(t, callee.Addr(), func(_ int, msg []byte) bool {
		at := bytes.Index(msg, []byte("m=audio "))
		if at < 0 || !bytes.HasPrefix(msg, []byte("INVITE")) {
			return true
		}
		var port uint16
		if _, err := fmt.Sscanf(string(msg[at:]), "m=audio %d", &port); err != nil {
			t.Errorf("no port in the offer: %v", err)
		}
		media := newWire(t, netip.AddrPortFrom(callee.Addr().Addr(), port), pass)
		was, is := fmt.Sprintf("m=audio %d ", port), fmt.Sprintf("m=audio %d ", media.Port())
		if len(was) != len(is) {
			t.Errorf("port %d became %d: another length", port, media.Port())
		}
		copy(msg[at:], is)
		return true
	})
	a.Server, a.Domain = signalling, "example.test"
	caller := start(t, 440, a)
	atA, err := caller.Dial(within(t), "b")
	if err != nil {
		t.Fatal(err)
	}
	return atA, incoming(t, callee)
}

func TestLostPacketsAreCounted(t *testing.T) {
	t.Parallel()
	atA, atB := callThrough(t, phone.Config{}, phone.Config{}, func(n int, _ []byte) bool { return n%10 != 9 })
	listened(t, atA, time.Second)
	r, whole := atA.Media().Report(880), atB.Media().Report(440)
	if r.LossShare < 0.05 || r.LossShare > 0.15 || r.Lost < 3 {
		t.Errorf("one in ten was lost; the report says %.2f, %d packets", r.LossShare, r.Lost)
	}
	if !r.Heard(880) || len(r.Tones[0].Gaps) < 3 {
		t.Errorf("the tone and its gaps: %+v", r.Tones)
	}
	if whole.Lost != 0 || r.MOS > whole.MOS-1 {
		t.Errorf("MOS %.2f with loss, %.2f without", r.MOS, whole.MOS)
	}
}

func TestOneWayAudioIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		callee phone.Manners
		pass   bool
	}{
		"lost on the way":       {pass: false},
		"the callee sends none": {callee: phone.Manners{NoMedia: true}, pass: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atA, atB := callThrough(t, phone.Config{}, phone.Config{Manners: c.callee}, func(int, []byte) bool { return c.pass })
			listened(t, atB, 500*time.Millisecond)
			if r := atA.Media().Report(880); r.Received != 0 || r.Heard(880) || r.MOS != 0 {
				t.Errorf("nothing came, but the report says %+v", r)
			}
			if r := atB.Media().Report(440); !r.Heard(440) {
				t.Errorf("the other way: %+v", r)
			}
		})
	}
}

func TestWrongToneIsNoticed(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 500, phone.Config{Manners: answering})
	atA, _ := connect(t, a, b)
	listened(t, atA, 400*time.Millisecond)
	r := atA.Media().Report(480)
	if r.Heard(480) || r.Strongest < 490 || r.Strongest > 510 {
		t.Errorf("500 Hz was played, the report says %+v", r)
	}
}

// A wrong address in Contact and SDP: what a phone behind a NAT says.
func TestPhoneThatClaimsAPrivateAddress(t *testing.T) {
	t.Parallel()
	private := netip.MustParseAddr("192.0.2.77")
	b := start(t, 880, phone.Config{Manners: answering})
	a := start(t, 440, phone.Config{Server: b.Addr(), Manners: phone.Manners{Claim: private}})
	if _, err := a.Dial(within(t), "b"); err != nil {
		t.Fatal(err)
	}
	atB := incoming(t, b)
	if got := atB.Media().Remote().Addr(); got != private {
		t.Errorf("the callee sends its sound to %v, want %v", got, private)
	}
	listened(t, atB, 200*time.Millisecond)
}

// Our own sound comes back by an echo, late.
func TestEchoDelay(t *testing.T) {
	t.Parallel()
	marked := func() audio.Source { return audio.NewMarked(audio.NewTone(audio.DefaultLevel, 440)) }
	b := start(t, 880, phone.Config{})
	a := start(t, 440, phone.Config{Sound: marked})
	got := make(chan *phone.Call, 1)
	go func() {
		c, err := a.Dial(within(t), b.URI())
		if err != nil {
			t.Errorf("Dial: %v", err)
		}
		got <- c
	}()
	atB := incoming(t, b)
	echo := &delayed{of: func() []int16 { return atB.Media().Recording() }}
	atB.Media().Play(echo)
	if err := atB.Answer(within(t)); err != nil {
		t.Fatal(err)
	}
	atA := <-got
	listened(t, atA, 1200*time.Millisecond)
	r := atA.Media().Report(440)
	// The echo is 400 ms behind what b heard, and a packet or two on the way.
	if !r.Echo || r.RoundTrip < 395*time.Millisecond || r.RoundTrip > 480*time.Millisecond {
		t.Errorf("echo %v after %v, want 400 ms and a little", r.Echo, r.RoundTrip)
	}
	if atA.Media().Report().OneWayPart < r.RoundTrip/2 {
		t.Errorf("the delay is not in the estimate: %+v", r)
	}
}

// delayed plays what was heard 400 ms ago.
type delayed struct {
	of func() []int16
	at int
}

func (d *delayed) Fill(frame []int16) {
	clear(frame)
	if from := d.at - 400*audio.Rate/1000; from >= 0 {
		if heard := d.of(); from < len(heard) {
			copy(frame, heard[from:])
		}
	}
	d.at += len(frame)
}
