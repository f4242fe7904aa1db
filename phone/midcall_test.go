package phone_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
)

// silentSince tells whether c hears nothing new for 100 ms.
func silentSince(t *testing.T, c *phone.Call) {
	t.Helper()
	var last uint64
	quiet := time.Now()
	eventually(t, "silence", func() bool {
		if n := c.Media().Counts().Received; n != last {
			last, quiet = n, time.Now()
		}
		return time.Since(quiet) > 100*time.Millisecond
	})
}

func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 880, phone.Config{Manners: answering})
	atA, atB := connect(t, a, b)
	for name, side := range map[string]struct{ holder, held *phone.Call }{
		"by the caller": {atA, atB}, "by the callee": {atB, atA},
	} {
		t.Run(name, func(t *testing.T) {
			listened(t, side.holder, 100*time.Millisecond)
			if err := side.holder.Hold(within(t)); err != nil {
				t.Fatal(err)
			}
			silentSince(t, side.holder)
			if side.holder.Held() {
				t.Error("the holder believes it is held")
			}
			if err := side.holder.Resume(within(t)); err != nil {
				t.Fatal(err)
			}
			before := side.holder.Media().Counts().Received
			eventually(t, "sound after resume", func() bool { return side.holder.Media().Counts().Received > before+5 })
			if side.held.Held() {
				t.Error("still held after resume")
			}
		})
	}
}

// Both sides offer at once: 491 and another try (RFC 3261 §14.1).
func TestReinviteGlare(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 880, phone.Config{Manners: answering})
	atA, atB := connect(t, a, b)
	errs := make(chan error, 2)
	go func() { errs <- atA.Hold(within(t)) }()
	go func() { errs <- atB.Hold(within(t)) }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("Hold: %v", err)
		}
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 880, phone.Config{Manners: answering})
	atA, atB := connect(t, a, b)
	if err := atA.SendDigits(within(t), "11*9#"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the digits", func() bool { return atB.Media().Counts().Digits == "11*9#" })
	if err := atA.SendDigits(within(t), "x"); err == nil {
		t.Error("x was sent as a key")
	}
	if r := atB.Media().Report(440); r.Lost != 0 || !r.Heard(440) || r.Tones[0].Share < 0.95 {
		t.Errorf("events look like loss or silence: %+v", r)
	}
}

func TestRequestsWithinACall(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 880, phone.Config{Manners: answering})
	atA, atB := connect(t, a, b)
	for name, c := range map[string]*phone.Call{"caller": atA, "callee": atB} {
		if err := c.Options(within(t)); err != nil {
			t.Errorf("%s: OPTIONS: %v", name, err)
		}
		if err := c.Update(within(t)); err != nil {
			t.Errorf("%s: UPDATE: %v", name, err)
		}
		if err := c.Info(within(t), "application/dtmf-relay", []byte("Signal=5\r\n")); err != nil {
			t.Errorf("%s: INFO: %v", name, err)
		}
	}
	if got := strings.Join(atB.Infos(), "|"); got != "Signal=5\r\n" {
		t.Errorf("the callee's INFO: %q", got)
	}
}

func TestSessionTimer(t *testing.T) {
	t.Parallel()
	a, b := start(t, 440, phone.Config{}), start(t, 880, phone.Config{Manners: answering})
	for name, c := range map[string]struct {
		lines    string
		survives bool
	}{
		"we refresh as the peer bids us":     {"Session-Expires: 1;refresher=uac\r\n", true},
		"the callee refreshes when bidden":   {"Session-Expires: 1;refresher=uas\r\n", true},
		"the callee refreshes by itself too": {"Session-Expires: 1\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atA, err := a.Invite(within(t), b.URI(), phone.Options{Lines: c.lines})
			if err != nil {
				t.Fatal(err)
			}
			timer := time.NewTimer(1500 * time.Millisecond)
			defer timer.Stop()
			select {
			case <-atA.Done():
				t.Errorf("the call ended: %+v", atA.End())
			case <-timer.C:
			}
		})
	}
}

func TestBlindTransfer(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{Username: "a"})
	b := start(t, 880, phone.Config{Username: "b", Manners: answering})
	c := start(t, 1200, phone.Config{Username: "c", Manners: answering})
	busy := start(t, 0, phone.Config{Manners: phone.Manners{Busy: true}})
	atA, atB := connect(t, a, b)
	if err := atA.Refer(within(t), busy.URI()); phone.Code(err) != 486 {
		t.Errorf("transfer to a busy phone: %v, want 486", err)
	}
	if err := atA.Refer(within(t), c.URI()); err != nil {
		t.Fatalf("transfer: %v", err)
	}
	if err := atA.Hangup(within(t)); err != nil {
		t.Error(err)
	}
	ended(t, atB)
	second := <-b.Referred()
	listened(t, second, 400*time.Millisecond)
	if r := second.Media().Report(1200); !r.Heard(1200) {
		t.Errorf("after the transfer b hears %+v", r)
	}
}

func TestAttendedTransfer(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{Username: "a"})
	b := start(t, 880, phone.Config{Username: "b", Manners: answering})
	c := start(t, 1200, phone.Config{Username: "c", Manners: answering})
	withB, _ := connect(t, a, b)
	withC, oldAtC := connect(t, a, c)
	if err := withB.ReferTo(within(t), withC); err != nil {
		t.Fatalf("transfer: %v", err)
	}
	newAtC := incoming(t, c)
	if newAtC.Replaces() != oldAtC {
		t.Error("the new call at c does not replace the old one")
	}
	ended(t, oldAtC)
	ended(t, withC)
	atB := <-b.Referred()
	listened(t, atB, 400*time.Millisecond)
	listened(t, newAtC, 400*time.Millisecond)
	if r := atB.Media().Report(1200); !r.Heard(1200) {
		t.Errorf("b hears %+v", r)
	}
	if r := newAtC.Media().Report(880); !r.Heard(880) {
		t.Errorf("c hears %+v", r)
	}
}

func TestAnswersAfterRinging(t *testing.T) {
	t.Parallel()
	a := start(t, 440, phone.Config{})
	b := start(t, 880, phone.Config{Manners: phone.Manners{Answer: true, AnswerAfter: 200 * time.Millisecond}})
	var rang atomic.Bool
	c, err := a.Invite(within(t), b.URI(), phone.Options{Progress: func(code int) {
		if code == 180 {
			rang.Store(true)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !rang.Load() || c.Setup() < 200*time.Millisecond {
		t.Errorf("rang %v, answered after %v", rang.Load(), c.Setup())
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	a, b := start(t, 440, phone.Config{Username: "a"}), start(t, 880, phone.Config{})
	if err := a.Send(within(t), b.URI(), "hello"); err != nil {
		t.Fatal(err)
	}
	if got := <-b.Texts(); got.Body != "hello" || !strings.Contains(got.From, "sip:a@") {
		t.Errorf("got %+v", got)
	}
}

// A phone without its battery says nothing, but knows that its calls are over.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	p, err := phone.New(phone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(within(t))
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	atP, atB := connect(t, p, start(t, 880, phone.Config{Manners: answering}))
	listened(t, atB, 100*time.Millisecond)
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if e := ended(t, atP); !errors.Is(e.Err, phone.ErrClosed) {
		t.Errorf("its call ended with %+v", e)
	}
	if _, err := p.Dial(within(t), "sip:x@127.0.0.1:9"); err == nil {
		t.Error("it still calls")
	}
	select {
	case <-atB.Done():
		t.Errorf("the peer was told: %+v", atB.End())
	default:
	}
}
