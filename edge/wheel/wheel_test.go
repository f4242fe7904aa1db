package wheel_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/edge/wheel"
)

type task struct {
	timer wheel.Timer
	fire  func(wheel.Time)
}

func (t *task) Expire(now wheel.Time) { t.fire(now) }

// run starts a wheel in the bubble and stops it when the test ends.
func run(t *testing.T) *wheel.Wheel {
	w := wheel.New()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func TestFiresWithinTwoTicks(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"at once":             0,
		"T1":                  500 * time.Millisecond,
		"between two ticks":   333 * time.Millisecond,
		"64*T1":               32 * time.Second,
		"more than one turn":  180 * time.Second,
		"more than two turns": 100 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := run(t)
				<-time.After(17 * time.Minute) // an idle wheel keeps the time
				fired := make(chan struct{})
				x := &task{fire: func(wheel.Time) { close(fired) }}
				x.timer.Task = x
				begin := time.Now()
				w.Schedule(&x.timer, w.Now().After(after))
				<-fired
				if took := time.Since(begin); took < after-time.Millisecond || took > after+2*wheel.Tick {
					t.Errorf("a timer of %v fired after %v", after, took)
				}
			})
		})
	}
}

func TestStopAndMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t)
		stopped := &task{fire: func(wheel.Time) { t.Error("a stopped timer fired") }}
		stopped.timer.Task = stopped
		var at []time.Duration
		begin := time.Now()
		moved := &task{fire: func(wheel.Time) { at = append(at, time.Since(begin)) }}
		moved.timer.Task = moved
		now := w.Now()
		w.Schedule(&stopped.timer, now.After(time.Second))
		w.Schedule(&moved.timer, now.After(time.Second))
		w.Schedule(&moved.timer, now.After(5*time.Second))
		w.Stop(&stopped.timer)
		w.Stop(&stopped.timer)
		if n := w.Len(); n != 1 {
			t.Errorf("%d timers wait, want 1", n)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if len(at) != 1 || at[0] < 5*time.Second || at[0] > 5*time.Second+2*wheel.Tick {
			t.Errorf("the moved timer fired at %v, want once after 5s", at)
		}
		if n := w.Len(); n != 0 {
			t.Errorf("%d timers wait at the end", n)
		}
	})
}

// Every timer fires exactly once, in time, whatever the others do, also when a
// task schedules itself again.
func TestManyTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t)
		const n = 5000
		var mu sync.Mutex
		begin, bad, fired := time.Now(), 0, 0
		for range n {
			after := time.Duration(rand.IntN(90_000)) * time.Millisecond
			again := 2
			x := &task{}
			due := after
			x.fire = func(now wheel.Time) {
				mu.Lock()
				defer mu.Unlock()
				if late := time.Since(begin) - due; late < -time.Millisecond || late > 2*wheel.Tick {
					bad++
				}
				if again--; again == 0 {
					fired++
					return
				}
				due = time.Since(begin) + 3*time.Second
				w.Schedule(&x.timer, now.After(3*time.Second))
			}
			x.timer.Task = x
			w.Schedule(&x.timer, w.Now().After(after))
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if bad != 0 || fired != n {
			t.Errorf("%d of %d timers came to their end, %d firings out of time", fired, n, bad)
		}
	})
}

func TestScheduleDoesNotAllocate(t *testing.T) {
	w := wheel.New()
	x := &task{}
	x.timer.Task = x
	if n := testing.AllocsPerRun(100, func() { w.Schedule(&x.timer, w.Now().After(time.Second)) }); n != 0 {
		t.Errorf("Schedule allocates %v times", n)
	}
}
