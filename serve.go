package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// stopLimit is how long one part may take to end in order: long enough for core
// to say BYE on every call and write its records, short enough for an operator.
const stopLimit = 10 * time.Second

// readyLimit is how long the parts may take to find each other. Where all of them are
// in this process it is a failure to take longer; where a role runs alone, news.
const readyLimit = 10 * time.Second

// errDone is what a part returns that has done all it was to do: the others end in
// order then, and nobody failed.
var errDone = errors.New("done")

// A part is a role that was built and can now run.
type part struct {
	name  string
	run   func(context.Context) error
	ready func() error
}

// A group runs parts side by side and ends them one after the other, in the order
// given: core first, because it needs the edge to hang up the calls it ends.
type group struct {
	parts  []part
	alone  bool          // the others that they need are other processes', which may be away for long
	health *healthServer // may be nil
	log    *slog.Logger
}

// serve runs until ctx ends or a part does. It calls started once, when all parts
// are ready.
func (g *group) serve(ctx context.Context, started func()) error {
	running := make([]*runningPart, len(g.parts))
	ended := make(chan *runningPart, len(g.parts))
	for i, p := range g.parts {
		running[i] = startPart(ctx, p, ended)
	}
	var failure error
	ready, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	wait := g.untilReady(ready)
	done := false
	for failure == nil && !done && ctx.Err() == nil {
		select {
		case failure = <-wait:
			wait = nil
			switch {
			case failure != nil && g.alone:
				g.log.Warn("not ready; what can be served is, by what was last in force, and the rest waits", "err", failure)
				wait, failure = g.untilReady(ctx), nil
			case failure == nil && started != nil:
				started()
			}
		case r := <-ended:
			if done = errors.Is(r.err, errDone); done {
				g.log.Info("done", "part", r.name)
				r.told.Do(func() {})
				break
			}
			failure = r.failure()
		case <-ctx.Done():
		}
	}
	if g.health != nil {
		g.health.drain()
	}
	errs := []error{failure}
	for _, r := range running {
		errs = append(errs, g.stop(r))
	}
	return errors.Join(errs...)
}

// A runningPart is a part and the goroutine it runs on.
type runningPart struct {
	part
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid when done is closed
	told   sync.Once
}

func startPart(ctx context.Context, p part, ended chan<- *runningPart) *runningPart {
	// A part ends when told to, in its turn, and not when the signal comes.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &runningPart{part: p, cancel: cancel, done: make(chan struct{})}
	go func() {
		r.err = p.run(own)
		close(r.done)
		ended <- r
	}()
	return r
}

// failure is the error of a part that ended without being told to.
func (r *runningPart) failure() (err error) {
	err = fmt.Errorf("%s stopped by itself", r.name)
	if r.err != nil {
		err = fmt.Errorf("%s: %w", r.name, r.err)
	}
	r.told.Do(func() {}) // it has been reported
	return err
}

// stop tells one part to end and waits, but not for ever.
func (g *group) stop(r *runningPart) error {
	began := time.Now()
	r.cancel()
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-r.done:
	case <-limit.C:
		return fmt.Errorf("%s did not stop within %v", r.name, stopLimit)
	}
	g.log.Info("stopped", "part", r.name, "took", time.Since(began).Round(time.Millisecond))
	var err error
	r.told.Do(func() {
		if r.err != nil && !errors.Is(r.err, context.Canceled) {
			err = fmt.Errorf("%s: %w", r.name, r.err)
		}
	})
	return err
}

// untilReady reports once: nil when every part is ready, else what is missing when ctx ends.
func (g *group) untilReady(ctx context.Context) <-chan error {
	result := make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			err := g.ready()
			if err == nil {
				result <- nil
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					result <- fmt.Errorf("not ready within %v: %w", readyLimit, err)
				}
				return // otherwise told to end before it was ready, which is no failure
			}
		}
	}()
	return result
}

// ready says which parts cannot serve now, and why.
func (g *group) ready() error {
	var errs []error
	for _, p := range g.parts {
		if err := p.ready(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}
