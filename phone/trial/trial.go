// Package trial places or answers one test call with the project's own phone and
// says whether it was good, and if not, why, in one line. It is what `lindero
// dial` does; flags and printing are in package main, the phone itself is phone.
package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lindero/lindero/phone"
)

// A Plan is what a trial does.
type Plan struct {
	Phone    phone.Config
	Register bool          // register first, unregister at the end
	Answer   bool          // wait for one call and answer it, instead of calling
	Target   string        // whom to call
	For      time.Duration // how long to talk; 0: until the other side hangs up
	Expect   float64       // what we must hear, in Hz; 0: anything but silence
	Digits   string        // sent as telephone events when answered
}

// A Progress is what is shown while a trial goes on.
type Progress struct {
	State  string // registering, calling, ringing, Waiting, talking
	Talked time.Duration
	Report phone.Report
}

// Waiting is the State of a trial that can be called.
const Waiting = "waiting for a call"

const (
	expires   = 5 * time.Minute
	farewell  = 3 * time.Second // for BYE and unregistering, when we were told to stop
	glance    = 500 * time.Millisecond
	cutOff    = time.Second // without a packet at the end: the sound did not last as long as the call
	wholesome = 0.8         // the part of the time in which the expected tone must sound
	audible   = 0.1         // the part of the time that must not be silence, when any sound will do
)

// Run does the plan. show, which may be nil, is called from Run's goroutine.
// The Result says in OK and Why how it went; the error is set when the phone
// itself could not be had. When ctx ends, the call is hung up and judged.
func Run(ctx context.Context, plan Plan, show func(Progress)) (Result, error) {
	if show == nil {
		show = func(Progress) {}
	}
	p, err := phone.New(plan.Phone)
	if err != nil {
		return Result{}, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	go func() { ran <- p.Run(life) }()
	t := &trial{plan: plan, phone: p, show: show}
	result := t.run(ctx)
	stop()
	if err := <-ran; err != nil {
		return result, fmt.Errorf("trial: %w", err)
	}
	return result, nil
}

type trial struct {
	plan  Plan
	phone *phone.Phone
	show  func(Progress)
}

func (t *trial) run(ctx context.Context) Result {
	if t.plan.Register || t.plan.Answer && t.plan.Phone.Server.IsValid() {
		t.show(Progress{State: "registering"})
		if err := t.phone.Register(ctx, expires); err != nil {
			return Result{Why: t.explain(err)}
		}
		defer func() {
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			_ = t.phone.Unregister(bye) // the binding ends by itself, only later
		}()
	}
	call, err := t.call(ctx)
	if err != nil {
		return Result{Why: t.explain(err)}
	}
	talked, err := t.talk(ctx, call)
	result := t.judge(call, talked)
	if err != nil && result.OK {
		result.OK, result.Why = false, "the digits could not be sent: "+err.Error()
	}
	return result
}

// call is the call, made or answered.
func (t *trial) call(ctx context.Context) (*phone.Call, error) {
	if t.plan.Answer {
		t.show(Progress{State: Waiting})
		select {
		case c := <-t.phone.Incoming():
			return c, c.Answer(ctx)
		case <-ctx.Done():
			return nil, errors.New("no call came before we were told to stop")
		}
	}
	t.show(Progress{State: "calling"})
	return t.phone.Invite(ctx, t.plan.Target, phone.Options{Progress: func(code int) {
		if code == 180 || code == 183 {
			t.show(Progress{State: "ringing"})
		}
	}})
}

// talk waits for the end of the call, and ends it when its time is over. The
// error is that of sending the digits.
func (t *trial) talk(ctx context.Context, call *phone.Call) (talked time.Duration, err error) {
	begin := time.Now()
	sending := make(chan error, 1)
	go func() {
		if t.plan.Digits != "" {
			sending <- call.SendDigits(ctx, t.plan.Digits)
			return
		}
		sending <- nil
	}()
	defer func() { err = <-sending }()
	var over <-chan time.Time
	if t.plan.For > 0 {
		timer := time.NewTimer(t.plan.For)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
			t.show(Progress{State: "talking", Talked: time.Since(begin), Report: call.Media().Counts()})
			continue
		case <-over:
		case <-ctx.Done():
		case <-call.Done():
		}
		done = true
	}
	talked = time.Since(begin)
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = call.Hangup(bye) // its failure is in the call's End
	return talked, nil
}

// explain says in one line why a call did not come to be.
func (t *trial) explain(err error) string {
	var f *phone.Failure
	if !errors.As(err, &f) {
		if errors.Is(err, context.Canceled) {
			return "interrupted before the call was answered"
		}
		return err.Error()
	}
	if f.Local && f.Code == 408 {
		return "no answer from the server: is its address right and is it running?"
	}
	if f.Local {
		return f.Reason
	}
	if (f.Code == 401 || f.Code == 407) && t.plan.Phone.Password == "" {
		return "the server wants a password, and none was given"
	}
	said := fmt.Sprintf(" (%d %s)", f.Code, f.Reason)
	if words, ok := map[int]string{
		401: "wrong user or password",
		403: "the server does not allow this",
		404: "no such number",
		407: "wrong user or password",
		408: "nobody answered",
		430: "the phone's connection is gone; it must register again",
		480: "not registered, or nobody answered",
		482: "the call goes in a circle",
		486: "busy",
		487: "cancelled",
		488: "no common codec",
		500: "the server had an internal error",
		503: "the service is not available now",
		600: "busy everywhere",
		603: "declined",
	}[f.Code]; ok {
		return words + said
	}
	return "refused" + said
}
