package ng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// newStreamClient runs a client that connects to where at says.
func newStreamClient(t testing.TB, cfg ClientConfig, at func() string) *Client {
	t.Helper()
	c := NewStreamClient("relay", func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at())
	}, cfg)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// ask sends a command and says what came of it, and how long Do held its caller.
func ask(c *Client, cmd Command) (<-chan outcome, time.Duration) {
	begun, done := time.Now(), make(chan outcome, 2)
	c.Do(cmd, func(r Reply, err error) { done <- outcome{r, err, time.Since(begun)} })
	return done, time.Since(begun)
}

func TestStreamClient(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	c := newStreamClient(t, ClientConfig{}, func() string { return s.tcp })
	const n = 2000
	results := make(chan error, n)
	for i := range n {
		body := fmt.Sprint("v=", i)
		c.Do(Command{Name: Offer, CallID: fmt.Sprint(i % 50), SDP: []byte(body)}, func(r Reply, err error) {
			if err == nil && string(r.SDP) != body {
				err = fmt.Errorf("%q for %q", r.SDP, body)
			}
			results <- err
		})
	}
	for range n {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats(); n.Commands != 2000 || n.Duplicates != 0 || n.Conns != 1 {
		t.Errorf("%+v", n)
	}
}

// A connection that breaks is made again, and what had no reply is asked again:
// the relay runs it once.
func TestStreamClientConnectsAgain(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	// Between them, somebody who breaks the connection once the command is through,
	// before its reply is back.
	between := listenTCP(t)
	defer between.Close()
	var made atomic.Int64
	go func() {
		for {
			c, err := between.Accept()
			if err != nil {
				return
			}
			first := made.Add(1) == 1
			go func() {
				defer c.Close()
				up, err := net.Dial("tcp", s.tcp)
				if err != nil {
					return
				}
				defer up.Close()
				if first {
					b := make([]byte, 4096)
					n, _ := c.Read(b)
					_, _ = up.Write(b[:n])
					_, _ = up.Read(b) // the reply is lost
					return
				}
				go func() { _, _ = io.Copy(up, c); up.Close() }()
				_, _ = io.Copy(c, up)
			}()
		}
	}()
	c := newStreamClient(t, ClientConfig{}, func() string { return between.Addr().String() })
	done, _ := ask(c, Command{Name: Offer, CallID: "x", SDP: []byte("v=0")})
	got := <-done
	if got.err != nil || got.reply.Warning != "1" || got.after > time.Second {
		t.Errorf("%+v", got)
	}
	if n := s.Stats(); n.Commands != 1 || n.Duplicates != 1 || made.Load() != 2 {
		t.Errorf("%+v after %d connections", n, made.Load())
	}
}

// Nobody there, somebody who says nothing, somebody who reads nothing: no caller
// waits, the breaker opens, and closes when the relay is back.
func TestStreamClientNeverBlocks(t *testing.T) {
	mute := listenTCP(t)
	defer mute.Close()
	gone := listenTCP(t)
	gone.Close()
	for name, addr := range map[string]string{"nobody": gone.Addr().String(), "silence": mute.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			var at atomic.Value
			at.Store(addr)
			c := newStreamClient(t, ClientConfig{Deadline: 200 * time.Millisecond, Probe: 50 * time.Millisecond, InFlight: 500}, func() string { return at.Load().(string) })
			big := make([]byte, 60_000) // 24 MB in all: more than any socket takes
			var waiting []<-chan outcome
			for range 400 {
				done, held := ask(c, Command{Name: Offer, SDP: big})
				if waiting = append(waiting, done); held > 500*time.Millisecond {
					t.Fatalf("Do took %v", held)
				}
			}
			for _, done := range waiting {
				if got := <-done; !errors.Is(got.err, ErrTimeout) && !errors.Is(got.err, ErrDown) || got.after > 2*time.Second {
					t.Fatalf("%v after %v", got.err, got.after)
				}
			}
			if done, _ := ask(c, Command{Name: Ping}); !c.Down() || !errors.Is((<-done).err, ErrDown) {
				t.Error("the breaker is closed")
			}
			s := newStation(t, ServerConfig{}, nil)
			at.Store(s.tcp)
			eventually(t, "the relay is back", func() bool { return !c.Down() })
			if done, _ := ask(c, Command{Name: Offer}); (<-done).err != nil {
				t.Error("and not used")
			}
		})
	}
}

// A connection that is quiet is asked whether it lives; one that does not is
// replaced before a call needs it.
func TestQuietConnectionIsWatched(t *testing.T) {
	s := newStation(t, ServerConfig{}, func(netip.AddrPort, Command) Reply { return Reply{Result: ResultPong} })
	between := listenTCP(t)
	defer between.Close()
	cfg := ClientConfig{Deadline: 100 * time.Millisecond, KeepAlive: 50 * time.Millisecond, Probe: 50 * time.Millisecond}
	first := make(chan struct{})
	go func() { // takes and never answers, as a machine that has lost its power
		c, err := between.Accept()
		if err == nil {
			defer c.Close()
			close(first)
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	var dialed atomic.Int64
	c := newStreamClient(t, cfg, func() string {
		if dialed.Add(1) == 1 {
			return between.Addr().String()
		}
		return s.tcp
	})
	<-first
	eventually(t, "another connection is made", func() bool { return dialed.Load() > 1 })
	eventually(t, "it is asked, too", func() bool { return s.Stats().Commands > 2 })
	if c.Down() {
		t.Error("a ping of our own opened the breaker")
	}
}
