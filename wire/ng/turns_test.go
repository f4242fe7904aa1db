package ng

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// One connection that has sent all it may delays nobody else by more than the
// command that runs and one of its own.
func TestSourcesTakeTurns(t *testing.T) {
	var mu sync.Mutex
	var order []string
	begun, release := make(chan struct{}, 1), make(chan struct{})
	s := newStation(t, ServerConfig{Workers: 1}, func(_ netip.AddrPort, c Command) Reply {
		select {
		case begun <- struct{}{}:
			<-release
		default:
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, c.CallID)
		return Reply{Result: ResultOK}
	})
	const many = 256
	greedy, modest := dialConn(t, "tcp", s.tcp), dialConn(t, "tcp", s.tcp)
	var all strings.Builder
	for i := range many {
		id := fmt.Sprintf("greedy %d", i)
		fmt.Fprintf(&all, "g%d d7:command5:query7:call-id%d:%se", i, len(id), id)
	}
	if _, err := io.WriteString(greedy, all.String()); err != nil {
		t.Fatal(err)
	}
	<-begun
	w := s.workers[0]
	eventually(t, "all wait", func() bool { return len(w.jobs.room) == many-1 })
	for i := range 2 {
		if _, err := fmt.Fprintf(modest, "m%d d7:command5:query7:call-id8:modest %de", i, i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all wait", func() bool { return len(w.jobs.room) == many+1 })
	close(release)
	f := &framer{max: maxReply}
	for range many {
		if _, err := readReply(greedy, f); err != nil {
			t.Fatal(err)
		}
	}
	f = &framer{max: maxReply}
	for i := range 2 {
		if r, err := readReply(modest, f); err != nil || !strings.HasPrefix(r, fmt.Sprintf("m%d ", i)) {
			t.Fatal(r, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(order[:6], ", "); got != "greedy 0, greedy 1, modest 0, greedy 2, modest 1, greedy 3" {
		t.Errorf("served: %s", got)
	}
	for i, n := 0, 0; i < len(order); i++ {
		if id, ok := strings.CutPrefix(order[i], "greedy "); ok {
			if id != fmt.Sprint(n) {
				t.Fatalf("its own came out of order: %s as number %d", id, n)
			}
			n++
		}
	}
	if len(w.jobs.sources) != 0 || len(w.jobs.line) != 0 || len(w.jobs.room) != 0 {
		t.Errorf("%d sources are remembered", len(w.jobs.sources))
	}
}

// How long a command waits while another connection always has 256 unanswered, each
// of which takes 100 µs.
func BenchmarkBesideAGreedyConnection(b *testing.B) {
	s := newStation(b, ServerConfig{Workers: 1}, func(netip.AddrPort, Command) Reply {
		for begun := time.Now(); time.Since(begun) < 100*time.Microsecond; {
		}
		return Reply{Result: ResultOK}
	})
	greedy, modest := dialConn(b, "tcp", s.tcp), dialConn(b, "tcp", s.tcp)
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(greedy, "g%d d7:command5:query7:call-id1:ge", i); err != nil {
				return // the test is over
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, greedy) }()
	eventually(b, "it is busy", func() bool { return len(s.workers[0].jobs.room) > 200 })
	f := &framer{max: maxReply}
	for b.Loop() {
		if _, err := fmt.Fprintf(modest, "m%d d7:command5:query7:call-id1:me", b.N); err != nil {
			b.Fatal(err)
		}
		if _, err := readReply(modest, f); err != nil {
			b.Fatal(err)
		}
	}
}
