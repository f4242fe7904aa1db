package b2bua_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// quick makes a call that is refused at once.
func quick(a *phone) {
	a.t.Helper()
	d := a.call("999", "")
	d.expect(404)
	d.ackFailure()
}

// TestCDRSurvivesDatabase writes every CDR once, however often the database fails
// first; calls do not wait for it.
func TestCDRSurvivesDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var tries atomic.Int32
		w.co.fail = func() error {
			if tries.Add(1) <= 7 {
				return errors.New("no database")
			}
			return nil
		}
		a := w.phone("alice", 1)
		began := time.Now()
		for range 3 {
			quick(a)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the calls waited %v for the database", took)
		}
		<-time.After(time.Minute)
		w.cdrs(3)
		if n := w.count("lindero_b2bua_cdr_failures_total"); n != 7 {
			t.Errorf("%v failures were counted", n)
		}
		if n := w.count("lindero_b2bua_cdrs_pending"); n != 0 {
			t.Errorf("%v are pending", n)
		}
	})
}

// TestCDRBacklog refuses calls rather than lose records: live calls and unwritten
// records together stay below the limit.
func TestCDRBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *b2bua.Config) { c.MaxCalls = 10 })
		var dead atomic.Bool
		dead.Store(true)
		w.co.fail = func() error {
			if dead.Load() {
				return errors.New("no database")
			}
			return nil
		}
		a := w.phone("alice", 1)
		for range 10 {
			quick(a)
			synctest.Wait()
		}
		d := a.call("999", "")
		d.expect(503)
		d.ackFailure()
		dead.Store(false)
		<-time.After(time.Minute)
		w.cdrs(10)
		quick(a)
		w.cdrs(11)
	})
}

// TestCDRAtShutdown hangs up all calls at shutdown, and writes what they were. What
// a dead database does not take is in the log, whole but for the numbers.
func TestCDRAtShutdown(t *testing.T) {
	for name, dead := range map[string]bool{"the database lives": false, "the database is dead": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log safeLog
				w := newWorld(t, func(c *b2bua.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				if dead {
					w.co.fail = func() error { return errors.New("no database") }
				}
				a, b, c := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3)
				talk(t, a, b)
				dc := c.call("102", describe("carol", 1, "sendrecv")) // and one that rings
				db2 := b.incoming()
				db2.answer(db2.in, 180, "")
				dc.expect(180)
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					a.ok(a.expect("BYE"))
					b.ok(b.expect("BYE"))
					b.ok(b.expect("CANCEL"))
					db2.answer(db2.in, 487, "")
					dc.expect(503)
					dc.ackFailure()
				}()
				began := time.Now()
				w.stop()
				<-answered
				took := time.Since(began)
				if dead {
					if took < 5*time.Second || took > 10*time.Second || strings.Count(log.String(), "a CDR was not written") != 2 {
						t.Errorf("after %v the log is\n%s", took, log.String())
					}
					return
				}
				if took > time.Second {
					t.Errorf("it took %v", took)
				}
				for _, cdr := range w.cdrs(2) {
					if cdr.Verdict != tenancy.Ours || cdr.HungUpBy != "core" {
						t.Errorf("CDR is %+v", cdr)
					}
				}
			})
		})
	}
}

// TestShutdownIsBounded has phones that answer no BYE.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.phone("alice", 1), w.phone("bob", 2)
		talk(t, a, b)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		w.cdrs(1)
		a.expect("BYE")
		b.expect("BYE")
		if w.b.Calls() != 0 {
			t.Error("a call is left")
		}
	})
}

// TestSlowDatabase has a database that takes its time: calls do not wait for it.
func TestSlowDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.co.fail = func() error { <-time.After(3 * time.Second); return nil }
		a := w.phone("alice", 1)
		for range 8 {
			quick(a)
		}
		w.ended()
		<-time.After(7 * time.Second) // four writers
		w.cdrs(8)
	})
}

// TestSlowDirectory gives up a query after its limit.
func TestSlowDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *b2bua.Config) {
			inner := c.Directory
			c.Directory = func(id tenancy.CompanyID) b2bua.Tenant { return slow{inner(id)} }
		})
		a := w.phone("alice", 1)
		began := time.Now()
		d := a.call("102", "")
		d.expect(500)
		d.ackFailure()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		w.cdr(tenancy.Ours, 500, "core")
	})
}

type slow struct{ b2bua.Tenant }

func (slow) Company(ctx context.Context) (tenancy.Company, error) {
	<-ctx.Done()
	return tenancy.Company{}, ctx.Err()
}

// A safeLog is a buffer that may be written and read at once.
type safeLog struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *safeLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// TestLog has one line for the begin of a call and one for its end, and no number in full.
func TestLog(t *testing.T) {
	var log safeLog
	// Times and the test's Call-IDs are long numbers, in which anything may stand by chance.
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "call" {
			return slog.Attr{}
		}
		return a
	}
	w := newWorld(t, func(c *b2bua.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: plain}))
	})
	a, b := w.phone("alice", 1), w.phone("bob", 2)
	da, _ := talk(t, a, b)
	end(w, da, a, b)
	text := log.String()
	if strings.Count(text, "\n") != 2 || strings.Count(text, "call began") != 1 || strings.Count(text, "call ended") != 1 {
		t.Errorf("the log is\n%s", text)
	}
	if !strings.Contains(text, "from=*01 to=*02") || strings.Contains(text, "101") || strings.Contains(text, "102") {
		t.Errorf("numbers do not hide themselves:\n%s", text)
	}
	if !strings.Contains(text, "verdict=ok") {
		t.Errorf("no verdict:\n%s", text)
	}
}
