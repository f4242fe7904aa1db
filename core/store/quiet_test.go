package store

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// pgx may have left a reader waiting on an idle connection, after a write that was
// slow. Looking at the socket must not queue up behind it, for ever.
func TestQuietDoesNotWaitForAReader(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	conn, err := net.Dial("tcp", listen.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listen.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	waiting, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		close(waiting)
		_, _ = conn.Read(make([]byte, 1)) // ends when the test closes conn
	}()
	<-waiting
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	// The reader is in its Read sometime soon; every look until then and after must end.
	for range 50 {
		<-tick.C
		answer := make(chan bool, 1)
		go func() { answer <- quiet(conn.(syscall.Conn)) }()
		select {
		case ok := <-answer:
			if !ok {
				t.Fatal("an idle connection is not quiet")
			}
		case <-time.After(5 * time.Second):
			t.Fatal("it waits for the reader")
		}
	}
	conn.Close()
	<-read
}

func TestQuiet(t *testing.T) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	for what, do := range map[string]func(net.Conn){
		"closed":  func(c net.Conn) { c.Close() },
		"talking": func(c net.Conn) { _, _ = c.Write([]byte("farewell")) }, // what came of it is seen below
	} {
		conn, err := net.Dial("tcp", listen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := listen.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if !quiet(conn.(syscall.Conn)) {
			t.Errorf("%s: not quiet before", what)
		}
		do(server)
		tick := time.NewTicker(time.Millisecond)
		for end := time.Now().Add(5 * time.Second); quiet(conn.(syscall.Conn)); <-tick.C {
			if time.Now().After(end) {
				t.Errorf("%s: still quiet", what)
				break
			}
		}
		tick.Stop()
		conn.Close()
		server.Close()
	}
}
