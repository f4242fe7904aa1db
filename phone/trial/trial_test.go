package trial_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/phone/trial"
)

const patience = 10 * time.Second

func tone(hz float64) func() audio.Source {
	return func() audio.Source { return audio.NewMarked(audio.NewTone(audio.DefaultLevel, hz)) }
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// callee is a phone that answers by itself.
func callee(t *testing.T, cfg phone.Config) string {
	t.Helper()
	cfg.Manners.Answer = true
	p, err := phone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return p.URI()
}

func TestJudgement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		callee phone.Config
		plan   trial.Plan
		why    string // part of it; "" is a good call
	}{
		"the expected tone":   {callee: phone.Config{Sound: tone(440)}, plan: trial.Plan{Expect: 440}},
		"any sound will do":   {callee: phone.Config{Sound: tone(300)}},
		"PCMA":                {callee: phone.Config{Sound: tone(440), Codecs: []phone.Codec{phone.PCMA}}, plan: trial.Plan{Expect: 440}},
		"digits":              {callee: phone.Config{Sound: tone(440)}, plan: trial.Plan{Expect: 440, Digits: "1"}},
		"another tone":        {callee: phone.Config{Sound: tone(880)}, plan: trial.Plan{Expect: 440}, why: "heard 880 Hz, not the expected 440 Hz"},
		"silence":             {callee: phone.Config{Sound: func() audio.Source { return audio.Silence{} }}, plan: trial.Plan{Expect: 440}, why: "no audio heard"},
		"silence is no sound": {callee: phone.Config{Sound: func() audio.Source { return audio.Silence{} }}, why: "no audio heard"},
		"one-way audio":       {callee: phone.Config{Manners: phone.Manners{NoMedia: true}}, plan: trial.Plan{Expect: 440}, why: "none received"},
		"we send none":        {callee: phone.Config{Sound: tone(440)}, plan: trial.Plan{Expect: 440, Phone: phone.Config{Manners: phone.Manners{NoMedia: true}}}, why: "no audio sent"},
		"busy":                {callee: phone.Config{Manners: phone.Manners{Busy: true}}, why: "busy (486"},
		"half of the time":    {callee: phone.Config{Sound: func() audio.Source { return &halves{tone: audio.NewTone(-12, 440)} }}, plan: trial.Plan{Expect: 440}, why: "% of the time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.plan.Target, c.plan.For = callee(t, c.callee), 800*time.Millisecond
			c.plan.Phone.Sound = tone(440)
			states := map[string]bool{}
			r, err := trial.Run(within(t), c.plan, func(p trial.Progress) { states[p.State] = true })
			if err != nil {
				t.Fatal(err)
			}
			heard := len(r.Recording)
			r.Recording = nil
			if r.OK != (c.why == "") || !strings.Contains(r.Why, c.why) {
				t.Errorf("OK %v, why %q; want %q\n%+v", r.OK, r.Why, c.why, r)
			}
			if r.OK && (r.MOS < 4 || r.SetupMS <= 0 || r.Sent < 30 || heard < audio.Rate/2 || !states["talking"]) {
				t.Errorf("a good call, but %+v after %v", r, states)
			}
		})
	}
}

// halves is a tone that comes and goes.
type halves struct {
	tone audio.Source
	n    int
}

func (h *halves) Fill(frame []int16) {
	h.tone.Fill(frame)
	if h.n++; h.n/10%2 == 1 {
		clear(frame)
	}
}

// stopping is a sound that after some frames comes no more.
type stopping struct {
	left  int
	until <-chan struct{}
}

func (s *stopping) Fill(frame []int16) {
	if s.left--; s.left < 0 {
		<-s.until
	}
	audio.NewTone(audio.DefaultLevel, 440).Fill(frame)
}

// A path that breaks in the middle of a call is heard, though what came was good.
func TestSoundThatStops(t *testing.T) {
	t.Parallel()
	until := make(chan struct{})
	target := callee(t, phone.Config{Sound: func() audio.Source { return &stopping{left: 25, until: until} }})
	t.Cleanup(func() { close(until) })
	r, err := trial.Run(within(t), trial.Plan{Target: target, For: 2 * time.Second, Phone: phone.Config{Sound: tone(440)}}, nil)
	if err != nil || r.OK || !strings.Contains(r.Why, "the sound stopped 1.") {
		t.Errorf("OK %v, why %q, %v", r.OK, r.Why, err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	quick := phone.Timing{T1: 5 * time.Millisecond, T2: 20 * time.Millisecond}
	server := netip.MustParseAddrPort("127.0.0.9:9")
	for name, plan := range map[string]trial.Plan{
		"calling":     {Phone: phone.Config{Server: server, Timing: quick}, Target: "sip:600@example.test"},
		"registering": {Phone: phone.Config{Server: server, Timing: quick}, Register: true},
	} {
		r, err := trial.Run(within(t), plan, nil)
		if err != nil || r.OK || !strings.Contains(r.Why, "no answer from the server") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// One trial waits for a call, another makes it.
func TestTwoTrialsCallEachOther(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	conn.Close()
	waiting, answered := make(chan struct{}), make(chan trial.Result, 1)
	go func() {
		plan := trial.Plan{Answer: true, Expect: 440, Phone: phone.Config{Local: local, Sound: tone(880)}}
		r, err := trial.Run(within(t), plan, func(p trial.Progress) {
			if p.State == "waiting for a call" {
				close(waiting)
			}
		})
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	<-waiting
	plan := trial.Plan{Target: "sip:x@" + local.String(), Expect: 880, For: 800 * time.Millisecond, Phone: phone.Config{Sound: tone(440)}}
	r, err := trial.Run(within(t), plan, nil)
	r.Recording = nil
	if err != nil || !r.OK || r.Echo {
		t.Errorf("the caller: %+v, %v", r, err)
	}
	r = <-answered
	r.Recording = nil
	if !r.OK || r.Ended != "the peer hung up" {
		t.Errorf("the callee: %+v", r)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(within(t))
	r, err := trial.Run(ctx, trial.Plan{Answer: true}, func(trial.Progress) { cancel() })
	if err != nil || r.OK || !strings.Contains(r.Why, "no call came") {
		t.Errorf("%+v, %v", r, err)
	}
}
