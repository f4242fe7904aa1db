package ng

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// closed says whether the other end closes c before the deadline, and what it said.
func closed(t *testing.T, c net.Conn) (string, bool) {
	t.Helper()
	b, err := io.ReadAll(c)
	ne, timeout := err.(net.Error)
	return string(b), !timeout || !ne.Timeout()
}

func TestStreamsThatAreNoMessagesAreClosed(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	for name, text := range map[string]string{
		"a cookie without end":  strings.Repeat("x", maxCookie+1),
		"no cookie":             " d7:command4:pinge",
		"no dictionary":         "c 4:ping",
		"HTTP":                  "GET /ng HTTP/1.1\r\n\r\n",
		"TLS":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \x20",
		"a huge string":         "c d3:sdp99999999:",
		"a huge length":         "c d3:sdp99999999999999999999999999",
		"a string beyond bound": "c d3:sdp65506:",
		"a length without end":  "c d1111111111",
		"an integer without":    "c d1:ai1111111111111111111111111",
		"too deep":              "c d1:a" + strings.Repeat("l", 100),
		"too deep JSON":         `c {"a":` + strings.Repeat("[", 100),
		"endless JSON":          `c {"a":"` + strings.Repeat("x", MaxDatagram),
		"an unknown type":       "c d1:ax",
	} {
		t.Run(name, func(t *testing.T) {
			c := dialConn(t, "tcp", s.tcp)
			go io.WriteString(c, text)
			if said, ok := closed(t, c); !ok || said != "" {
				t.Errorf("open, said %q", said)
			}
		})
	}
	if n := s.Stats(); n.Commands != 0 || n.Malformed != 14 {
		t.Errorf("%+v", n)
	}
}

// What can be framed and not understood is answered, and the stream goes on.
func TestStreamsSurviveBadDictionaries(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	c := dialConn(t, "tcp", s.tcp)
	f := &framer{max: maxReply}
	for _, text := range []string{"a d1:ai-0ee", `b {"a":nonsense}`, "\r\nc de", "d d7:command4:pinge"} {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		m, err := readReply(c, f)
		if err != nil || strings.TrimLeft(text, "\r\n")[:2] != m[:2] || (m[0] == 'd') != strings.Contains(m, "6:result2:ok") {
			t.Errorf("%q: %q %v", text, m, err)
		}
	}
}

// Half a message, by drops or not at all: the connection is closed when its time
// is up, and somebody who only says nothing may stay.
func TestSlowLoris(t *testing.T) {
	s := newStation(t, ServerConfig{Message: 300 * time.Millisecond}, nil)
	silent, whole := dialConn(t, "tcp", s.tcp), dialConn(t, "tcp", s.tcp)
	half, drops := dialConn(t, "tcp", s.tcp), dialConn(t, "tcp", s.tcp)
	if _, err := io.WriteString(half, "c d7:command4:pi"); err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			if _, err := io.WriteString(drops, "c d7:command4000:"[min(i, 16):min(i+1, 17)]+"x"); err != nil {
				return
			}
			<-tick.C
		}
	}()
	begun := time.Now()
	for _, c := range []net.Conn{half, drops} {
		if _, ok := closed(t, c); !ok {
			t.Error("open")
		}
	}
	if d := time.Since(begun); d < 250*time.Millisecond || d > 5*time.Second {
		t.Errorf("closed after %v", d)
	}
	// Each whole message is in time, though the next has always begun.
	f := &framer{max: maxReply}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 8 {
		text := "d7:command4:pinge7 "
		if i == 0 {
			text = "7 " + text
		}
		if _, err := io.WriteString(whole, text); err != nil {
			t.Fatal(err)
		}
		if m, err := readReply(whole, f); err != nil || !strings.HasPrefix(m, "7 ") {
			t.Fatalf("message %d: %q %v", i, m, err)
		}
		<-tick.C
	}
	if _, err := io.WriteString(silent, "c d7:command4:pinge"); err != nil {
		t.Fatal(err)
	}
	if m, err := readReply(silent, &framer{max: maxReply}); err != nil || !strings.HasPrefix(m, "c ") {
		t.Errorf("who said nothing: %q %v", m, err)
	}
	eventually(t, "they are counted", func() bool { return s.Stats().Slow >= 2 })

	web := dialConn(t, "tcp", s.http)
	if _, err := io.WriteString(web, "POST /ng HTTP/1.1\r\nHost: x\r\nContent-Type: "+httpType+"\r\nContent-Length: 100\r\n\r\nc d"); err != nil {
		t.Fatal(err)
	}
	if _, ok := closed(t, web); !ok {
		t.Error("half a POST is still waited for")
	}
}

// Who asks and does not read is closed, and delays nobody.
func TestWhoDoesNotReadIsClosed(t *testing.T) {
	s := newStation(t, ServerConfig{Write: 300 * time.Millisecond, Workers: 1, Pipelined: 16}, func(netip.AddrPort, Command) Reply {
		return Reply{Result: ResultOK, SDP: make([]byte, 60_000)}
	})
	greedy := dialConn(t, "tcp", s.tcp)
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(greedy, "%d d7:command4:pinge", i); err != nil {
				return
			}
		}
	}()
	ask := s.ways(t)["udp"]
	for i := range 50 {
		begun := time.Now()
		if _, err := ask(fmt.Sprint("u", i, " d7:command4:pinge")); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d > time.Second {
			t.Fatalf("the other one waited %v", d)
		}
	}
	eventually(t, "it is closed", func() bool { return s.Stats().Slow == 1 })
}

func TestConnectionsAreBounded(t *testing.T) {
	s := newStation(t, ServerConfig{PerSource: 4, Conns: 5}, nil)
	works := func(addr string) bool {
		c := dialConn(t, "tcp", addr)
		if _, err := io.WriteString(c, "c d7:command4:pinge"); err != nil {
			return false
		}
		_, err := readReply(c, &framer{max: maxReply})
		return err == nil
	}
	for i := range 6 {
		if works(s.tcp) != (i < 4) {
			t.Errorf("connection %d", i)
		}
	}
	if _, err := s.post("/ng", httpType, "c d7:command4:pinge"); err == nil {
		t.Error("HTTP has a limit of its own")
	}
	if n := s.Stats(); n.Conns != 4 || n.Refused < 3 {
		t.Errorf("%+v", n)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	c, err := other.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "c d7:command4:pinge"); err != nil {
		t.Fatal(err)
	}
	if _, err := readReply(c, &framer{max: maxReply}); err != nil {
		t.Error("another source:", err)
	}
}

// Who has asked and shut its side is answered.
func TestHalfClosed(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	c := dialConn(t, "tcp", s.tcp).(*net.TCPConn)
	const n = 100
	for i := range n {
		if _, err := fmt.Fprintf(c, "%d d7:command4:ping7:call-id1:%ce", i, 'a'+i%26); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	said, ok := closed(t, c)
	if got := strings.Count(said, "6:result2:ok"); !ok || got != n {
		t.Errorf("%d replies", got)
	}
}
