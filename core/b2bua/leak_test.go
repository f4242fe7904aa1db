package b2bua_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestNothingIsLeft makes 2,000 calls of every kind and looks for what they left:
// goroutines, and memory once the longest timer has passed.
func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		round := func(n int) {
			for i := range n {
				oneOf(t, i, a, b)
				w.mu.Lock()
				w.trace = nil
				w.mu.Unlock()
			}
			w.ended()
			<-time.After(2 * time.Minute)
			synctest.Wait()
			w.co.mu.Lock()
			w.co.cdrs = nil
			w.co.mu.Unlock()
		}
		round(200) // pools and maps find their size
		goroutines, memory := runtime.NumGoroutine(), heap()
		round(2000)
		for _, name := range []string{"calls", "dialogs", "transactions", "cdrs_pending"} {
			if n := w.count("lindero_b2bua_" + name); n != 0 {
				t.Errorf("%v %s are left", n, name)
			}
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			t.Errorf("%d goroutines before, %d after", goroutines, now)
		}
		if now := heap(); now > memory+1<<20 {
			t.Errorf("%d KB before, %d KB after", memory>>10, now>>10)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// oneOf makes one call; i chooses which kind.
func oneOf(t *testing.T, i int, a, b *phone) {
	t.Helper()
	switch i % 5 {
	case 0, 1: // answered, and hung up by either
		da, db := talk(t, a, b)
		if i%2 == 0 {
			da.request("BYE", "", "")
			a.expect("200 BYE")
			b.ok(b.expect("BYE"))
			return
		}
		db.request("BYE", "", "")
		b.expect("200 BYE")
		a.ok(a.expect("BYE"))
	case 2: // busy
		da := a.call(fmt.Sprint(100+b.user), describe(a.name, 1, "sendrecv"))
		db := b.incoming()
		db.answer(db.in, 486, "")
		b.expect("ACK")
		da.expect(486)
		da.ackFailure()
	case 3: // cancelled
		da := a.call(fmt.Sprint(100+b.user), describe(a.name, 1, "sendrecv"))
		db := b.incoming()
		db.answer(db.in, 180, "")
		da.expect(180)
		da.cancel()
		a.expect("200 CANCEL")
		da.expect(487)
		da.ackFailure()
		b.ok(b.expect("CANCEL"))
		db.answer(db.in, 487, "")
		b.expect("ACK")
	case 4: // unknown
		da := a.call("999", "")
		da.expect(404)
		da.ackFailure()
	}
}

// TestManyAtOnce makes calls of every kind between several pairs at the same time.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	t.Run("pairs", func(t *testing.T) {
		for pair := range 4 {
			a, b := w.phone(fmt.Sprint("caller", pair), 2*pair+1), w.phone(fmt.Sprint("callee", pair), 2*pair+2)
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				a.t, b.t = t, t
				for i := range 200 {
					oneOf(t, i, a, b)
				}
			})
		}
	})
	w.ended()
	w.cdrs(800)
}
