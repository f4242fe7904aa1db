package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

func TestTCPFraming(t *testing.T) {
	const none, crlf = "", "\r\n"
	one, two, body := options(1, none), options(2, none), options(3, "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n\r\n")
	fold := strings.Index(one, crlf+"  folded")
	length := strings.Replace(one, "Length: 0", "Length:\r\n 0", 1)
	inLength := strings.Index(length, " 0\r\n\r\n")
	for name, c := range map[string]struct {
		writes  []string
		want    []string
		answers string
	}{
		"a whole message":                                  {writes: []string{one}, want: []string{one}},
		"two in one segment":                               {writes: []string{one + two}, want: []string{one, two}},
		"one and a half, then the rest":                    {writes: []string{one + two[:50], two[50:]}, want: []string{one, two}},
		"cut where a folded line begins":                   {writes: []string{one[:fold], one[fold:]}, want: []string{one}},
		"cut after the CRLF of a folded line":              {writes: []string{one[:fold+2], one[fold+2:]}, want: []string{one}},
		"cut in a folded Content-Length":                   {writes: []string{length[:inLength], length[inLength:]}, want: []string{length}},
		"byte by byte, a folded Content-Length":            {writes: strings.Split(length, none), want: []string{length}},
		"byte by byte, with a body":                        {writes: strings.Split(body+one, none), want: []string{body, one}},
		"header, then body":                                {writes: []string{body[:strings.Index(body, "v=0")], body[strings.Index(body, "v=0"):]}, want: []string{body}},
		"CRLFs in front":                                   {writes: []string{crlf + one}, want: []string{one}},
		"as large as may be":                               {writes: []string{large(sip.MaxStream) + one}, want: []string{large(sip.MaxStream), one}},
		"large ones in a row":                              {writes: []string{large(5000) + large(20000) + large(40000) + one}, want: []string{large(5000), large(20000), large(40000), one}},
		"a ping alone":                                     {writes: []string{crlf + crlf}, answers: crlf},
		"a ping byte by byte":                              {writes: []string{"\r", "\n", "\r", "\n"}, answers: crlf},
		"three pings at once":                              {writes: []string{crlf + crlf + crlf + crlf + crlf + crlf}, answers: crlf + crlf + crlf},
		"a ping before, between and after, in one segment": {writes: []string{crlf + crlf + one + crlf + crlf + two + crlf + crlf}, want: []string{one, two}, answers: crlf + crlf + crlf},
		"a ping and half a message":                        {writes: []string{crlf + crlf + one[:9], one[9:]}, want: []string{one}, answers: crlf},
	} {
		t.Run(name, func(t *testing.T) {
			s, in, addr := server(t, transport.TCP, transport.Config{})
			peer := dial(t, addr)
			tick := time.NewTicker(time.Millisecond / 2) // lets each be read alone
			defer tick.Stop()
			for _, w := range c.writes {
				write(t, peer, w)
				<-tick.C
			}
			for _, want := range c.want {
				if g := in.message(t); g.text != want {
					t.Fatalf("got %d bytes %.80q, want %d bytes %.80q", len(g.text), g.text, len(want), want)
				}
			}
			expect(t, peer, c.answers)
			eventually(t, "pings are counted", func() bool { return s.Stats().PingsIn == uint64(len(c.answers)/2) })
			in.quiet(t)
			// The connection lives on, in both directions.
			write(t, peer, two)
			g := in.message(t)
			if err := s.Send(g.flow, []byte(one)); err != nil {
				t.Fatal(err)
			}
			expect(t, peer, one)
		})
	}
}

func TestTCPGarbageEndsTheConnection(t *testing.T) {
	for name, text := range map[string]string{
		"a TLS hello":         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"NULs":                "\x00\x00\x00\x00",
		"HTTP":                "GET / HTTP/1.1\r\nHost: demo.lindero.test\r\n\r\n",
		"bare LFs":            "\n\n\n\n",
		"no length":           strings.Replace(options(1, ""), "Content-Length: 0\r\n", "", 1),
		"a negative length":   strings.Replace(options(1, ""), "Length: 0", "Length: -1", 1),
		"too long a body":     strings.Replace(options(1, ""), "Length: 0", "Length: 65536", 1),
		"a huge length":       strings.Replace(options(1, ""), "Length: 0", "Length: 99999999999999999999", 1),
		"an endless header":   "OPTIONS sip:a SIP/2.0\r\nSubject: " + strings.Repeat("x", 1<<17),
		"endless short lines": "OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("a:b\r\n", 1<<15),
		"garbage after":       options(1, "") + "\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			s, in, addr := server(t, transport.TCP, transport.Config{})
			peer := dial(t, addr)
			io.WriteString(peer, text) // may fail: the other side hangs up early
			e := in.end(t)
			var scan *sip.ScanError
			if !errors.As(e.err, &scan) {
				t.Errorf("closed because %v, want a framing error", e.err)
			}
			expectEnd(t, peer)
			if n := s.Stats().FramesRefused; n != 1 {
				t.Errorf("counted %d refused frames", n)
			}
			if s.Alive(e.flow) {
				t.Error("the flow is alive after its end")
			}
			if err := s.Send(e.flow, []byte("x")); !errors.Is(err, transport.ErrFlowGone) {
				t.Errorf("Send after the end: %v", err)
			}
			write(t, dial(t, addr), options(2, "")) // others are served
			for g := in.message(t); g.text != options(2, ""); g = in.message(t) {
			}
		})
	}
}

// A message must be whole in time, however lively its sender is (slow-loris).
func TestTCPHalfMessage(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Half: 100 * time.Millisecond})
	peer := dial(t, addr)
	write(t, peer, options(1, "")+"\r\n\r\n")
	in.message(t)
	expect(t, peer, "\r\n")

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin, long := time.Now(), large(60000)
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			io.WriteString(peer, long[i:i+1])
			continue
		case e := <-in.ends:
			if e.err != transport.ErrHalf {
				t.Errorf("closed because %v", e.err)
			}
			if d := time.Since(begin); d < 100*time.Millisecond {
				t.Errorf("closed after %v already", d)
			}
		case <-time.After(patience):
			t.Error("a byte now and then keeps a half message open")
		}
		break
	}
	if n := s.Stats().HalfClosed; n != 1 {
		t.Errorf("counted %d", n)
	}
}

// Whole messages one after the other are no half message, even when each read
// ends in the middle of one.
func TestTCPBusyIsNotHalf(t *testing.T) {
	_, in, addr := server(t, transport.TCP, transport.Config{Half: time.Second})
	peer := dial(t, addr)
	m := options(1, "body")
	rest := ""
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for range 30 { // longer than Half
		write(t, peer, rest+m[:40])
		rest = m[40:]
		<-tick.C
	}
	for range 29 {
		in.message(t)
	}
	select {
	case e := <-in.ends:
		t.Errorf("closed because %v", e.err)
	default:
	}
}

func TestTCPIdle(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Idle: 100 * time.Millisecond})
	peer := dial(t, addr)
	if e := in.end(t); e.err != transport.ErrIdle || s.Stats().IdleClosed != 1 {
		t.Errorf("closed because %v", e.err)
	}
	expectEnd(t, peer)
}

func TestTCPPing(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Pong: 500 * time.Millisecond})
	pongs, silent := dial(t, addr), dial(t, addr)
	write(t, pongs, options(1, ""))
	good := in.message(t).flow
	write(t, silent, options(2, ""))
	bad := in.message(t).flow
	for _, f := range []transport.Flow{good, bad} {
		if err := s.Ping(f); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, pongs, "\r\n\r\n")
	write(t, pongs, "\r\n")
	if e := in.end(t); e.flow != bad || e.err != transport.ErrNoPong {
		t.Errorf("%v closed because %v", e.flow, e.err)
	}
	expect(t, silent, "\r\n\r\n")
	expectEnd(t, silent)
	if err := s.Ping(bad); err != transport.ErrFlowGone {
		t.Errorf("Ping of a dead flow: %v", err)
	}
	// The pong is not half of a ping: the peer's own ping right after is answered once.
	write(t, pongs, "\r\n\r\n"+options(3, ""))
	in.message(t)
	expect(t, pongs, "\r\n")
	if st := s.Stats(); st.PongsIn != 1 || st.PingsIn != 1 || st.PingsOut != 2 || st.PongMissed != 1 {
		t.Errorf("stats %+v", st)
	}
	if err := s.Ping(transport.Flow{Protocol: transport.UDP}); err == nil {
		t.Error("pinged a datagram flow")
	}
}

// Any byte is as good as a pong (RFC 5626 §4.4.1 asks for one; phones differ).
func TestTCPPingAnsweredByAMessage(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Pong: 600 * time.Millisecond})
	peer := dial(t, addr)
	write(t, peer, options(1, ""))
	f := in.message(t).flow
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 10 {
		if err := s.Ping(f); err != nil {
			t.Fatal(err)
		}
		<-tick.C
		write(t, peer, options(i, ""))
		in.message(t)
	}
	if !s.Alive(f) {
		t.Error("closed although it spoke")
	}
}

// A peer that does not read costs its queue and then its connection, and nobody
// waits for it.
func TestTCPSlowPeer(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Queue: 100_000})
	slow, other := dial(t, addr), dial(t, addr)
	write(t, slow, options(1, ""))
	f := in.message(t).flow
	write(t, other, options(2, ""))
	g := in.message(t).flow
	m := []byte(large(10000))
	var err error
	for range 10000 { // 100 MB: more than any socket buffer
		begin := time.Now()
		if err = s.Send(f, m); err != nil {
			break
		}
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("Send took %v", d)
		}
	}
	if err != transport.ErrSlow {
		t.Fatalf("Send: %v", err)
	}
	if e := in.end(t); e.flow != f || e.err != transport.ErrSlow {
		t.Errorf("closed because %v", e.err)
	}
	if n := s.Stats().QueueOverflows; n != 1 {
		t.Errorf("counted %d overflows", n)
	}
	if err := s.Send(g, []byte("ok")); err != nil {
		t.Fatal(err)
	}
	expect(t, other, "ok")
}

// What waited arrives whole and in order once the peer reads.
func TestTCPQueueKeepsOrder(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Queue: 64 << 20})
	peer := dial(t, addr)
	write(t, peer, options(1, ""))
	f := in.message(t).flow
	const n = 2000
	var want strings.Builder
	for i := range n {
		m := options(i, strings.Repeat("x", 5000))
		want.WriteString(m)
		if err := s.Send(f, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, peer, want.String())
	if err := s.Send(f, []byte("direct again")); err != nil {
		t.Fatal(err)
	}
	expect(t, peer, "direct again")
}

func TestTCPStall(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{Queue: 64 << 20, Stall: 100 * time.Millisecond})
	peer := dial(t, addr)
	write(t, peer, options(1, ""))
	f := in.message(t).flow
	m := []byte(large(60000))
	for range 500 { // 30 MB
		if s.Send(f, m) != nil {
			break
		}
	}
	if e := in.end(t); e.err != transport.ErrStall || s.Stats().StallClosed != 1 {
		t.Errorf("closed because %v", e.err)
	}
}

func TestMaxConns(t *testing.T) {
	for name, c := range map[string]struct {
		cfg           transport.Config
		total, source uint64
	}{
		"in all":     {transport.Config{MaxConns: 3}, 1, 0},
		"per source": {transport.Config{MaxPerSource: 3}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, in, addr := server(t, transport.TCP, c.cfg)
			first := dial(t, addr)
			write(t, first, options(1, ""))
			in.message(t)
			dial(t, addr)
			dial(t, addr)
			eventually(t, "three are in", func() bool { return s.Stats().Conns == 3 })
			if fourth, err := net.Dial("tcp", addr.String()); err == nil { // may be reset even before that
				defer fourth.Close()
				fourth.SetDeadline(time.Now().Add(patience))
				expectEnd(t, fourth)
			}
			if st := s.Stats(); st.Refused != c.total || st.RefusedSource != c.source || st.Accepted != 3 {
				t.Errorf("stats %+v", st)
			}
			first.Close()
			in.end(t) // its place is free by now
			again := dial(t, addr)
			write(t, again, options(2, ""))
			in.message(t)
		})
	}
}

// Who comes back from the same address and port is somebody else (RFC 5626).
func TestIdentityAfterReconnect(t *testing.T) {
	s, in, addr := server(t, transport.TCP, transport.Config{})
	other := transport.New(transport.Config{}, newInbox())
	defer other.Close()
	var old transport.Flow
	var again net.Conn
	eventually(t, "the same port is had twice", func() bool {
		peer := dial(t, addr)
		write(t, peer, options(1, ""))
		old = in.message(t).flow
		peer.(*net.TCPConn).SetLinger(0) // reset, so that the port is free at once
		peer.Close()
		in.end(t)
		var err error
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(old.Remote)}
		again, err = d.Dial("tcp", addr.String()) // unless somebody else has got it
		return err == nil
	})
	t.Cleanup(func() { again.Close() })
	again.SetDeadline(time.Now().Add(patience))
	write(t, again, options(2, ""))
	now := in.message(t).flow
	if now.Remote != old.Remote || now.Conn == old.Conn {
		t.Errorf("old %+v, new %+v", old, now)
	}
	if s.Alive(old) || s.Send(old, []byte("secret")) != transport.ErrFlowGone {
		t.Error("the old flow leads to the new connection")
	}
	mixed := now
	mixed.Remote = netip.MustParseAddrPort("192.0.2.7:5060")
	if s.Send(mixed, []byte("secret")) != transport.ErrFlowGone {
		t.Error("a number alone leads to a connection")
	}
	short := transport.Flow{Protocol: now.Protocol, Remote: now.Remote, Conn: now.Conn}
	if err := s.Send(short, []byte("hello")); err != nil {
		t.Errorf("a flow from a token: %v", err)
	}
	expect(t, again, "hello")
	if other.Alive(now) {
		t.Error("another process knows our connection")
	}
}

// Stopping closes what is open and tells so, also what Connect is still dialling.
func TestRunEnds(t *testing.T) {
	in := newInbox()
	s := transport.New(transport.Config{}, in)
	addr := listen(t, s, transport.TCP)
	listen(t, s, transport.UDP)
	stop := run(t, s)
	peer := dial(t, addr)
	write(t, peer, options(1, "")+"OPTIONS")
	f := in.message(t).flow
	stop()
	if e := in.end(t); e.flow != f || e.err != transport.ErrClosed {
		t.Errorf("closed because %v", e.err)
	}
	expectEnd(t, peer)
	if _, err := s.Connect(transport.TCP, addr); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Connect: %v", err)
	}
	if err := s.Send(f, nil); err != transport.ErrFlowGone {
		t.Errorf("Send: %v", err)
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("Run runs twice")
	}
}
