package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A journal is what happened, in order.
type journal struct {
	mu   sync.Mutex
	said []string
}

func (j *journal) say(s string) { j.mu.Lock(); j.said = append(j.said, s); j.mu.Unlock() }

// obedient runs until told to end.
func (j *journal) obedient(name string) part {
	return part{name: name, ready: func() error { return nil }, run: func(ctx context.Context) error {
		<-ctx.Done()
		j.say(name + " ends")
		return ctx.Err()
	}}
}

func TestPartsEndOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		g := group{parts: []part{j.obedient("core"), j.obedient("edge"), j.obedient("relay")}, log: slog.New(slog.DiscardHandler)}
		if err := g.serve(ctx, func() { j.say("started"); cancel() }); err != nil {
			t.Errorf("an orderly end is no error; got %v", err)
		}
		if want := []string{"started", "core ends", "edge ends", "relay ends"}; !slices.Equal(j.said, want) {
			t.Errorf("happened %v, want %v", j.said, want)
		}
	})
}

func TestAPartThatFailsEndsTheOthersAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		broken := part{name: "relay", ready: func() error { return nil }, run: func(context.Context) error { return errors.New("no ports") }}
		g := group{parts: []part{j.obedient("core"), broken}, log: slog.New(slog.DiscardHandler)}
		err := g.serve(t.Context(), nil)
		if err == nil || err.Error() != "relay: no ports" {
			t.Errorf("got %v", err)
		}
		if !slices.Equal(j.said, []string{"core ends"}) {
			t.Errorf("happened %v", j.said)
		}
	})
}

func TestAPartThatDoesNotEndIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		release := make(chan struct{})
		stuck := part{name: "core", ready: func() error { return nil }, run: func(context.Context) error { <-release; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		g := group{parts: []part{stuck, j.obedient("edge")}, log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		err := g.serve(ctx, cancel)
		if err == nil || !strings.Contains(err.Error(), "core did not stop") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != stopLimit {
			t.Errorf("took %v", took)
		}
		if !slices.Equal(j.said, []string{"edge ends"}) {
			t.Errorf("the others must end too; happened %v", j.said)
		}
		close(release)
	})
}

func TestWhatIsNeverReadyIsAFailureThatSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p := j.obedient("edge")
		p.ready = func() error { return errors.New("no way to core") }
		g := group{parts: []part{p}, log: slog.New(slog.DiscardHandler)}
		err := g.serve(t.Context(), func() { t.Error("said it started") })
		if err == nil || !strings.Contains(err.Error(), "edge: no way to core") {
			t.Errorf("got %v", err)
		}
	})
}

// A role that runs alone outlasts the others being away: it says so, serves what it
// can, and is ready when they are back.
func TestARoleAloneWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var away sync.Mutex
		back := false
		p := j.obedient("edge")
		p.ready = func() error {
			away.Lock()
			defer away.Unlock()
			if !back {
				return errors.New("no core can be reached")
			}
			return nil
		}
		var text strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		g := group{parts: []part{p}, alone: true, log: slog.New(slog.NewTextHandler(&text, nil))}
		time.AfterFunc(time.Hour, func() { away.Lock(); back = true; away.Unlock() })
		began := time.Now()
		if err := g.serve(ctx, func() { j.say("started"); cancel() }); err != nil {
			t.Errorf("got %v", err)
		}
		if want := []string{"started", "edge ends"}; !slices.Equal(j.said, want) || time.Since(began) < time.Hour {
			t.Errorf("happened %v after %v, want %v after an hour", j.said, time.Since(began), want)
		}
		if said := text.String(); strings.Count(said, "level=WARN") != 1 || !strings.Contains(said, "no core can be reached") {
			t.Errorf("the log says\n%s", said)
		}
	})
}
