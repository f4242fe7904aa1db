package ng

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	edge  = netip.MustParseAddrPort("192.0.2.1:1")
	other = netip.MustParseAddrPort("192.0.2.2:1")
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// newWorker is the only worker of a server that does not run.
func newWorker(handle Handler) *worker { return NewServer(ServerConfig{Workers: 1}, handle).workers[0] }

// A caught reply is what a datagram would have been.
type caught struct{ reply string }

func (c *caught) longest() int                    { return MaxDatagram }
func (c *caught) send(b []byte, _ netip.AddrPort) { c.reply = string(b) }

// respond is the datagram that answers in, or "".
func respond(w *worker, in string, from netip.AddrPort, now time.Time) string {
	back := &caught{}
	j := job{from: from, message: message([]byte(in)), back: back}
	if w.server.worker(j) != nil {
		w.answer(j, now)
	}
	return back.reply
}

func TestRetransmissionsGetTheSameReply(t *testing.T) {
	runs := 0
	handle := func(netip.AddrPort, Command) Reply {
		runs++
		return Reply{Result: ResultOK, Warning: fmt.Sprint(runs)}
	}
	w := newWorker(handle)
	for i, step := range []struct {
		from   netip.AddrPort
		cookie string
		at     time.Duration
		want   int // which run the reply is of
	}{
		{edge, "a", 0, 1},
		{edge, "a", time.Second, 1},
		{edge, "b", time.Second, 2},
		{other, "a", time.Second, 3}, // another edge's cookie is another command
		{edge, "a", cookieLife - 1, 1},
		{edge, "a", cookieLife, 4},
		{edge, "b", cookieLife, 2},
	} {
		got := respond(w, step.cookie+" d7:command4:pinge", step.from, begin.Add(step.at))
		want := fmt.Sprintf("%s d6:result2:ok7:warning1:%de", step.cookie, step.want)
		if string(got) != want {
			t.Errorf("step %d: %q, want %q", i, got, want)
		}
	}
}

func TestCookiesAreBounded(t *testing.T) {
	seen := newCookies(maphash.MakeSeed(), 1)
	from := edge.Addr()
	long := make([]byte, maxKept/100)
	for i := range 1000 {
		seen.keep(cookieKey{from, fmt.Sprint(i), 0}, long, begin)
	}
	if seen.bytes > maxKept || len(seen.replies) != 100 || len(seen.queue) != 100 {
		t.Errorf("%d bytes, %d replies, %d queued", seen.bytes, len(seen.replies), len(seen.queue))
	}
	for i := range 2 * maxCookies {
		seen.keep(cookieKey{from, fmt.Sprint("x", i), 0}, nil, begin)
	}
	if len(seen.replies) != maxCookies {
		t.Errorf("%d replies", len(seen.replies))
	}
	if seen.find(cookieKey{}, begin.Add(cookieLife)); len(seen.replies) != 0 || seen.bytes != 0 {
		t.Errorf("%d replies, %d bytes outlive their time", len(seen.replies), seen.bytes)
	}
}

func TestBadDatagrams(t *testing.T) {
	huge := func(netip.AddrPort, Command) Reply { return Reply{Result: ResultOK, SDP: make([]byte, MaxDatagram)} }
	for in, want := range map[string]string{ // the reason given; "" is no reply
		"":                               "",
		"nothing":                        "",
		strings.Repeat("x", 300) + " de": "",
		"c de":                           "ng: no command in the dictionary",
		"c d7:command4:ping":             "bencode: syntax error: a dictionary without end at byte 16",
		"c d7:command5:querye":           "the reply is longer than a datagram",
	} {
		got := respond(newWorker(huge), in, edge, begin)
		if want == "" {
			if got != "" {
				t.Errorf("%q: %q", in, got)
			}
			continue
		}
		_, dict, err := SplitCookie([]byte(got))
		if err != nil {
			t.Fatalf("%q: %q: %v", in, got, err)
		}
		if r, err := ParseReply(dict); err != nil || r.Result != ResultError || r.ErrorReason != want {
			t.Errorf("%q: %+v %v, want %q", in, r, err, want)
		}
	}
}

// A client and a server over real sockets, with garbage in between.
func TestOverUDP(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	log := slog.New(slog.DiscardHandler)
	go func() {
		ended <- Serve(ctx, conn, log, func(_ netip.AddrPort, c Command) Reply {
			return Reply{Result: ResultOK, SDP: c.SDP}
		})
	}()
	client, err := NewClient(addr, ClientConfig{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- client.Run(ctx) }()
	noise, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer noise.Close()

	const n = 200
	done := make(chan error, n)
	for i := range n {
		if _, err := noise.Write([]byte("noise")); err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprint("v=", i)
		client.Do(Command{Name: Offer, SDP: []byte(body)}, func(r Reply, err error) {
			if err == nil && string(r.SDP) != body {
				err = fmt.Errorf("%q for %q", r.SDP, body)
			}
			done <- err
		})
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
