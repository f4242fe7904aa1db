package api

import (
	"errors"
	"net"
	"testing"
	"time"
)

// More connections than there may be wait their turn, and nothing waits for ever.
func TestConnectionsAreBounded(t *testing.T) {
	base, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(base, 1)
	accepted, ended := make(chan net.Conn), make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", base.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	next := func() net.Conn {
		t.Helper()
		select {
		case c := <-accepted:
			return c
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was let in")
			return nil
		}
	}
	first := next()
	select {
	case <-accepted:
		t.Fatal("two at once")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // a second time makes no more room
	next()
	select {
	case <-accepted:
		t.Fatal("two at once, after one was closed twice")
	case <-time.After(50 * time.Millisecond):
	}
	l.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for room after it was closed")
	}
}
