package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A flakyListener fails its first accepts as a process without descriptors does.
type flakyListener struct {
	net.Listener
	failures atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// collect is a handler for tests inside the package.
type collect struct {
	mu       sync.Mutex
	messages []string
	ends     []error
	wake     chan struct{}
}

func newCollect() *collect { return &collect{wake: make(chan struct{}, 1)} }

func (c *collect) Message(_ Flow, data []byte) {
	c.mu.Lock()
	c.messages = append(c.messages, string(data))
	c.mu.Unlock()
	c.poke()
}

func (c *collect) Closed(_ Flow, err error) {
	c.mu.Lock()
	c.ends = append(c.ends, err)
	c.mu.Unlock()
	c.poke()
}

func (c *collect) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// until waits until ok of the messages and ends there are.
func (c *collect) until(t testing.TB, what string, ok func(messages []string, ends []error) bool) {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		c.mu.Lock()
		done := ok(c.messages, c.ends)
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-c.wake:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestAcceptSurvivesEMFILE(t *testing.T) {
	h := newCollect()
	s := New(Config{}, h)
	addr, err := s.Listen(TCP, netip.MustParseAddrPort("127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := (*s.faces.Load())[0].(*streamListener)
	flaky := &flakyListener{Listener: l.sock}
	flaky.failures.Store(5)
	l.sock = flaky
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	peer, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	fmt.Fprint(peer, "OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n")
	h.until(t, "the message", func(m []string, _ []error) bool { return len(m) == 1 })
	if n := s.Stats().AcceptErrors; n != 5 {
		t.Errorf("counted %d failures", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A socket that is lost ends Run with an error: somebody must look.
func TestRunTellsOfALostListener(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		s := New(Config{}, newCollect())
		if _, err := s.Listen(proto, netip.MustParseAddrPort("127.0.0.1:0"), nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- s.Run(t.Context()) }()
		<-s.started
		(*s.faces.Load())[0].close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: Run returned %v", proto, err)
		}
	}
}

// Run leaves no goroutine behind, whatever its connections were at.
func TestRunWaitsForItsGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	h := newCollect()
	s := New(Config{Queue: 64 << 20}, h)
	any := netip.MustParseAddrPort("127.0.0.1:0")
	addr, err := s.Listen(TCP, any, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(UDP, any, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for range 5 {
		peer, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		fmt.Fprint(peer, "OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\nOPTI")
	}
	h.until(t, "five messages", func(m []string, _ []error) bool { return len(m) == 5 })
	s.mu.RLock()
	var flows []Flow
	for _, c := range s.conns {
		flows = append(flows, c.flow)
	}
	s.mu.RUnlock()
	for _, f := range flows { // a writer each
		for range 300 {
			if err := s.Send(f, make([]byte, 60000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// A goroutine that is done may still be on its way out.
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before {
		select {
		case <-deadline:
			all := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, now:\n%s", before, all[:runtime.Stack(all, true)])
		default:
			runtime.Gosched()
		}
	}
	if len(h.ends) != 5 {
		t.Errorf("%d ends", len(h.ends))
	}
	if len(s.conns)+len(s.byRemote)+len(s.sources)+s.accepted+s.dialed != 0 {
		t.Errorf("left over: %v %v %v %d %d", s.conns, s.byRemote, s.sources, s.accepted, s.dialed)
	}
}

func TestSourceOf(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1":                  "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":       "2001:db8:1:2::",
		"2001:db8:1:2:ffff:4:5:6":    "2001:db8:1:2::",
		"2001:db8:1:3::1":            "2001:db8:1:3::",
		"fe80::1%eth0":               "fe80::",
		"2001:db8:0:0:ffff:ffff:0:0": "2001:db8::",
	} {
		if got := sourceOf(netip.MustParseAddr(from)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %v, want %s", from, got, want)
		}
	}
}

// FuzzStream: however a stream is split into reads, the same messages, pings and
// end come out; and over a connection as well.
func FuzzStream(f *testing.F) {
	m := "OPTIONS sip:a SIP/2.0\r\nSubject: a\r\n b\r\nContent-Length: 4\r\n\r\nv=0\n"
	f.Add([]byte(m+m), []byte{1, 2, 3})
	f.Add([]byte("\r\n\r\n"+m+"\r\n\r\n\r\n"+m), []byte{1})
	f.Add([]byte("\r\n\r\n\r\r\n"), []byte{3, 1})
	f.Add([]byte("INVITE sip:a SIP/2.0\r\nl:\r\n 9\r\n\r\n123456789\r\n"), []byte{5, 1, 0})
	f.Add([]byte("SIP/2.0 200 OK\r\nl: 2\r\nContent-Length : 3\r\n\r\n12"), []byte{9})
	f.Add([]byte("A\r\n\r\n"+strings.Repeat("x", 5000)), []byte{250, 7})
	f.Add([]byte(strings.Replace(m, "4", "6000", 1)+strings.Repeat("y", 6000)+m), []byte{255, 255, 3})
	f.Fuzz(func(t *testing.T, data, splits []byte) {
		whole, end := cut(data, nil)
		pieces, pieceEnd := cut(data, splits)
		if strings.Join(whole, "|") != strings.Join(pieces, "|") || (end == nil) != (pieceEnd == nil) {
			t.Fatalf("whole: %.500q %v\nin pieces: %.500q %v", whole, end, pieces, pieceEnd)
		}
		var messages []string
		for _, w := range whole {
			if w != "ping" {
				messages = append(messages, w)
			}
		}
		overConn(t, data, splits, messages)
	})
}

// cut reads data in pieces of the sizes that splits says, and returns what came
// out and the error that ended it.
func cut(data, splits []byte) (out []string, end error) {
	var in stream
	defer in.drop()
	for i := 0; len(data) > 0; i++ {
		size := len(data)
		if len(splits) > 0 {
			size = 1 + int(splits[i%len(splits)])
		}
		room := in.space()
		if len(room) == 0 {
			panic("no space")
		}
		n := copy(room, data[:min(size, len(data))])
		in.w += n
		data = data[n:]
		for {
			msg, err := in.next()
			for ; in.pings > 0; in.pings-- {
				out = append(out, "ping")
			}
			if err != nil {
				return out, err
			}
			if msg == nil {
				break
			}
			out = append(out, string(msg))
		}
	}
	return out, nil
}

// overConn sends data through a connection of a stack; want must be what its
// handler gets.
func overConn(t *testing.T, data, splits []byte, want []string) {
	h := newCollect()
	s := New(Config{}, h)
	near, far := net.Pipe()
	c := &conn{stack: s, flow: Flow{Protocol: TCP}}
	if !s.enter(c) {
		t.Fatal("refused")
	}
	go s.serveAccepted(c, near, nil)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for b := make([]byte, 100); ; {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	}()
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(splits) > 0 {
			n = min(n, 1+int(splits[i%len(splits)]))
		}
		if _, err := far.Write(data[:n]); err != nil {
			break // refused
		}
		data = data[n:]
	}
	far.Close()
	h.until(t, "the end", func(_ []string, ends []error) bool { return len(ends) == 1 })
	s.Close()
	<-drained
	if strings.Join(h.messages, "|") != strings.Join(want, "|") || len(h.ends) != 1 {
		t.Fatalf("handler got %.500q and %d ends, want %.500q", h.messages, len(h.ends), want)
	}
}
