package transaction_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/edge/wheel"
)

type data struct{ fired []string }

type record = transaction.Record[data]

var timing = transaction.DefaultTiming()

func expire(fired *[]string, mu *sync.Mutex) func(*record, wheel.Time) {
	return func(r *record, now wheel.Time) {
		mu.Lock()
		defer mu.Unlock()
		if r.Server.Expire(now) {
			*fired = append(*fired, "server")
		}
		for {
			switch r.Client.Expire(now) {
			case transaction.Nothing:
				return
			case transaction.Resend:
				*fired = append(*fired, "resend")
			case transaction.TimedOut:
				*fired = append(*fired, "timeout")
				r.Server.Abandon()
			}
		}
	}
}

// A record lives as long as its halves, found by its key, its branch and the
// connection it watches, and by none of them afterwards.
func TestLifeOfARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		var mu sync.Mutex
		var fired []string
		table := transaction.New(10, w, expire(&fired, &mu))

		key := table.Key([]byte("branch"), []byte("host"))
		if key == table.Key([]byte("branchhost"), nil) {
			t.Error("the parts of a key run into each other")
		}
		r, created, err := table.Create(key)
		if err != nil || !created {
			t.Fatalf("Create: %v %v", created, err)
		}
		branch := r.AppendBranch(nil, 42)
		r.Server.Begin(&timing, false, false, 0)
		r.Client.Begin(w.Now(), &timing, false, false)
		r.Watch(transaction.Down, 7)
		r.Watch(transaction.Up, 8)
		r.Release()

		if r, created, _ := table.Create(key); created {
			t.Error("the same key made another record")
		} else {
			r.Release()
		}
		ref, loop, ok := transaction.ParseBranch(branch)
		if !ok || loop != 42 {
			t.Fatalf("ParseBranch(%s) = %v, %v", branch, loop, ok)
		}
		for name, find := range map[string]func() *record{
			"key":    func() *record { return table.Find(key) },
			"branch": func() *record { return table.At(ref) },
		} {
			got := find()
			if got == nil {
				t.Fatalf("not found by its %s", name)
			}
			got.Release()
		}
		for _, conn := range []uint64{7, 8} {
			if refs := table.Watchers(conn); len(refs) != 1 || refs[0] != ref {
				t.Errorf("watchers of connection %d: %v", conn, refs)
			}
		}

		<-time.After(33 * time.Second)
		synctest.Wait()
		mu.Lock()
		if n := len(fired); n != 11 || fired[10] != "timeout" {
			t.Errorf("what happened: %v", fired)
		}
		mu.Unlock()
		if table.Len() != 0 || table.Find(key) != nil || table.At(ref) != nil || table.Watchers(7) != nil || table.Watchers(8) != nil || w.Len() != 0 {
			t.Errorf("after its end: %d records, %d timers", table.Len(), w.Len())
		}
		// Its memory serves the next one, which an old branch does not name.
		next, _, _ := table.Create(key)
		defer next.Release()
		if bytes.Equal(next.AppendBranch(nil, 42), branch) {
			t.Error("two lives share a branch")
		}
	})
}

func TestPinKeepsARecord(t *testing.T) {
	table := transaction.New(1, wheel.New(), func(*record, wheel.Time) {})
	key := table.Key([]byte("a"))
	r, _, err := table.Create(key)
	if err != nil {
		t.Fatal(err)
	}
	r.Pin()
	ref := r.Ref()
	r.Release()
	if _, _, err := table.Create(table.Key([]byte("b"))); !errors.Is(err, transaction.ErrFull) {
		t.Errorf("beyond its size the table says %v", err)
	}
	r = table.At(ref)
	if r == nil {
		t.Fatal("a pinned record is gone")
	}
	r.Unpin()
	r.Release()
	if table.At(ref) != nil || table.Len() != 0 {
		t.Error("the record stays although nothing pins it")
	}
}

func TestParseBranchRefuses(t *testing.T) {
	good := "z9hG4bK" + string(bytes.Repeat([]byte("0a"), 20))
	for _, branch := range []string{"", "z9hG4bK", "z9hG4bKabc", good + "00", good[:len(good)-2] + "zz", "Z9HG4BK" + good[7:]} {
		if _, _, ok := transaction.ParseBranch([]byte(branch)); ok {
			t.Errorf("%q is taken for ours", branch)
		}
	}
	ref, _, ok := transaction.ParseBranch([]byte(good))
	table := transaction.New(1, wheel.New(), func(*record, wheel.Time) {})
	if !ok || table.At(ref) != nil {
		t.Error("a made-up branch finds a record")
	}
}

// Many goroutines make, find and end records at once; run with -race.
func TestConcurrentLives(t *testing.T) {
	w := wheel.New()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	short := transaction.Timing{T1: time.Millisecond, T2: 2 * time.Millisecond, T4: time.Millisecond, C: time.Second}
	var mu sync.Mutex
	var fired []string
	table := transaction.New(1000, w, expire(&fired, &mu))
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for j := range 500 {
				key := table.Key(fmt.Append(nil, (i+j)%50))
				r, created, err := table.Create(key)
				if err != nil {
					t.Error(err)
					return
				}
				if created {
					r.Server.Begin(&short, j%2 == 0, j%3 == 0, 0)
					r.Client.Begin(w.Now(), &short, j%2 == 0, j%3 == 0)
					r.Watch(transaction.Down, uint64(1+j%5))
					r.Watch(transaction.Up, uint64(1+(j+1)%5))
				} else if j%4 == 0 {
					r.Server.Respond(w.Now(), 486)
					r.Client.Respond(w.Now(), 486)
				} else if j%7 == 0 {
					r.Server.Abandon()
					r.Client.Fail()
				}
				ref := r.Ref()
				r.Release()
				for _, other := range append(table.Watchers(uint64(1+j%5)), ref) {
					if r := table.At(other); r != nil {
						r.Server.Ack(w.Now())
						r.Release()
					}
				}
			}
		})
	}
	workers.Wait()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); table.Len() > 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d records never end", table.Len())
		}
	}
}
