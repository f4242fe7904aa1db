package ng

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// A station is a server on real sockets, one of each kind, that repeats the SDP of
// an offer and numbers its replies in the warning.
type station struct {
	*Server
	runs           atomic.Int64
	udp, tcp, http string
}

func newStation(t testing.TB, cfg ServerConfig, handle Handler) *station {
	t.Helper()
	s := &station{}
	if handle == nil {
		handle = func(_ netip.AddrPort, c Command) Reply {
			return Reply{Result: ResultOK, SDP: c.SDP, Warning: fmt.Sprint(s.runs.Add(1))}
		}
	}
	s.Server = NewServer(cfg, handle)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	stream, web := listenTCP(t), listenTCP(t)
	s.udp, s.tcp, s.http = conn.LocalAddr().String(), stream.Addr().String(), web.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error { return s.ServeUDP(ctx, conn) })
	group.Go(func() error { return s.ServeStream(ctx, stream, nil) })
	group.Go(func() error { return s.ServeWeb(ctx, web, nil) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Conns; n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return s
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dialConn(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ways are functions that send a message and read one reply, by each transport.
func (s *station) ways(t testing.TB) map[string]func(message string) (string, error) {
	udp, tcp := dialConn(t, "udp", s.udp), dialConn(t, "tcp", s.tcp)
	reader := &framer{max: maxReply}
	ws := s.webSocket(t, subprotocol)
	return map[string]func(string) (string, error){
		"udp": func(m string) (string, error) {
			b := make([]byte, MaxDatagram)
			_, err := io.WriteString(udp, m)
			n, err2 := udp.Read(b)
			return string(b[:n]), errors.Join(err, err2)
		},
		"tcp": func(m string) (string, error) {
			if _, err := io.WriteString(tcp, m); err != nil {
				return "", err
			}
			return readReply(tcp, reader)
		},
		"http": func(m string) (string, error) { return s.post("/ng", httpType, m) },
		"websocket": func(m string) (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				return "", err
			}
			_, b, err := ws.Read(ctx)
			return string(b), err
		},
	}
}

// readReply reads the next message of a stream.
func readReply(c net.Conn, f *framer) (string, error) {
	b := make([]byte, 4096)
	for {
		if m, err := f.next(); m != nil || err != nil {
			return string(m), err
		}
		n, err := c.Read(b)
		if err != nil {
			return "", err
		}
		f.push(b[:n])
	}
}

func (s *station) post(path, kind, body string) (string, error) {
	r, err := http.Post("http://"+s.http+path, kind, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, bytes.TrimSpace(b))
	}
	return string(b), err
}

func (s *station) webSocket(t testing.TB, protocol string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+s.http+"/", &websocket.DialOptions{Subprotocols: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// eventually polls until what is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
