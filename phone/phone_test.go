package phone_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/sip/transport"
)

// patience is how long a test waits for what should be done at once.
const patience = 10 * time.Second

// start switches a phone on until the test ends. It plays hz.
func start(t *testing.T, hz float64, cfg phone.Config) *phone.Phone {
	t.Helper()
	if cfg.Sound == nil {
		cfg.Sound = func() audio.Source { return audio.NewTone(audio.DefaultLevel, hz) }
	}
	if cfg.Protocol == transport.TLS {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true} // phones sign their own certificates
	}
	p, err := phone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ran:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	return p
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// incoming takes the next call that reaches p.
func incoming(t *testing.T, p *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case c := <-p.Incoming():
		return c
	case <-time.After(patience):
		t.Fatal("no call came")
		return nil
	}
}

// ended waits for the end of a call.
func ended(t *testing.T, c *phone.Call) phone.End {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the call did not end")
	}
	return c.End()
}

// connect makes a call from a to b, which must answer by itself.
func connect(t *testing.T, a, b *phone.Phone) (atA, atB *phone.Call) {
	t.Helper()
	atA, err := a.Dial(within(t), b.URI())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return atA, incoming(t, b)
}

// listened waits until c has heard d of sound.
func listened(t *testing.T, c *phone.Call, d time.Duration) {
	t.Helper()
	eventually(t, "enough sound", func() bool {
		return c.Media().Counts().Received >= uint64(d/(20*time.Millisecond))
	})
}

var answering = phone.Manners{Answer: true}

func TestTwoPhonesHearEachOther(t *testing.T) {
	for _, proto := range []transport.Protocol{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(proto.String(), func(t *testing.T) {
			t.Parallel()
			a := start(t, 440, phone.Config{Protocol: proto, Username: "a"})
			b := start(t, 880, phone.Config{Protocol: proto, Username: "b", Manners: answering})
			atA, atB := connect(t, a, b)
			listened(t, atA, 800*time.Millisecond)
			listened(t, atB, 800*time.Millisecond)
			if err := atA.Hangup(within(t)); err != nil {
				t.Errorf("Hangup: %v", err)
			}
			if e := ended(t, atB); e.Ours || e.Err != nil {
				t.Errorf("the callee's end: %+v", e)
			}
			if e := ended(t, atA); !e.Ours || e.Err != nil {
				t.Errorf("the caller's end: %+v", e)
			}
			for name, c := range map[string]struct {
				call        *phone.Call
				hears, owns float64
			}{"caller": {atA, 880, 440}, "callee": {atB, 440, 880}} {
				r := c.call.Media().Report(440, 880)
				if !r.Heard(c.hears) || r.Heard(c.owns) || r.Lost != 0 || r.Sent < 35 || r.MOS < 4 || r.Codec != phone.PCMU {
					t.Errorf("%s heard %+v", name, r)
				}
			}
			if s := atA.Setup(); s <= 0 || s > patience {
				t.Errorf("set-up took %v", s)
			}
		})
	}
}

func TestFailuresOfACall(t *testing.T) {
	t.Parallel()
	quick := phone.Timing{T1: 10 * time.Millisecond, T2: 40 * time.Millisecond}
	for name, c := range map[string]struct {
		callee phone.Config
		reject int
		target string
		code   int
	}{
		"busy":            {callee: phone.Config{Manners: phone.Manners{Busy: true}}, code: 486},
		"rejected":        {reject: 603, code: 603},
		"no common codec": {callee: phone.Config{Codecs: []phone.Codec{phone.PCMA}}, code: 488},
		"nobody there":    {target: "sip:x@127.0.0.9:9", code: 408},
		"no address":      {target: "sip:x@nowhere.test", code: 503},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, 440, phone.Config{Timing: quick, Codecs: []phone.Codec{phone.PCMU}})
			b := start(t, 880, c.callee)
			target := c.target
			if target == "" {
				target = b.URI()
			}
			if c.reject != 0 {
				go func() {
					if err := (<-b.Incoming()).Reject(c.reject); err != nil {
						t.Errorf("Reject: %v", err)
					}
				}()
			}
			_, err := a.Dial(within(t), target)
			if phone.Code(err) != c.code {
				t.Errorf("Dial: %v, want code %d", err, c.code)
			}
		})
	}
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	a, b := start(t, 440, phone.Config{}), start(t, 880, phone.Config{})
	ctx, cancel := context.WithCancel(within(t))
	rings := make(chan int, 4)
	failed := make(chan error, 1)
	go func() {
		_, err := a.Invite(ctx, b.URI(), phone.Options{Progress: func(code int) { rings <- code }})
		failed <- err
	}()
	c := incoming(t, b)
	if err := c.Ring(); err != nil {
		t.Fatal(err)
	}
	for code := 0; code != 180; code = <-rings {
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("a cancelled call was answered")
	}
	if e := ended(t, c); e.Ours {
		t.Errorf("the callee's end: %+v", e)
	}
	if err := c.Answer(within(t)); err == nil {
		t.Error("a cancelled call can be answered")
	}
}

func TestEarlyMediaAndLateOffer(t *testing.T) {
	t.Parallel()
	a, b := start(t, 440, phone.Config{}), start(t, 880, phone.Config{})
	t.Run("early media is heard before the answer", func(t *testing.T) {
		got := make(chan *phone.Call, 1)
		go func() {
			c, err := a.Dial(within(t), b.URI())
			if err != nil {
				t.Errorf("Dial: %v", err)
			}
			got <- c
		}()
		c := incoming(t, b)
		if err := c.EarlyMedia(); err != nil {
			t.Fatal(err)
		}
		listened(t, c, 300*time.Millisecond)
		if err := c.Answer(within(t)); err != nil {
			t.Fatal(err)
		}
		if r := c.Media().Report(440); !r.Heard(440) {
			t.Errorf("before the answer: %+v", r)
		}
		if err := (<-got).Hangup(within(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("an INVITE without SDP is answered with an offer", func(t *testing.T) {
		go func() {
			if err := incoming(t, b).Answer(within(t)); err != nil {
				t.Errorf("Answer: %v", err)
			}
		}()
		c, err := a.Invite(within(t), b.URI(), phone.Options{LateOffer: true})
		if err != nil {
			t.Fatal(err)
		}
		listened(t, c, 300*time.Millisecond)
		if r := c.Media().Report(880); !r.Heard(880) {
			t.Errorf("heard %+v", r)
		}
		if err := c.Hangup(within(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestWithoutACKTheCallIsHungUp(t *testing.T) {
	t.Parallel()
	quick := phone.Timing{T1: 5 * time.Millisecond, T2: 20 * time.Millisecond}
	a := start(t, 440, phone.Config{Manners: phone.Manners{NoACK: true}})
	b := start(t, 880, phone.Config{Timing: quick, Manners: answering})
	atA, atB := connect(t, a, b)
	if e := ended(t, atB); e.Err == nil {
		t.Errorf("the callee's end: %+v, want the missing ACK", e)
	}
	if e := ended(t, atA); e.Ours {
		t.Errorf("the caller's end: %+v, want the callee's BYE", e)
	}
}
