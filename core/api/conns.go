package api

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// limitConns bounds how many connections are open at once: whoever comes when all
// are taken waits in the kernel's queue. An address that has most of its own is
// answered 503 and let go, so that no single one takes them all, and refused is
// called; who speaks for others on this machine, as a TLS proxy does, may have all.
func limitConns(l net.Listener, n, most int, refused func()) net.Listener {
	return &limited{Listener: l, most: most, refused: refused, free: make(chan struct{}, n), closed: make(chan struct{}), of: map[netip.Addr]int{}}
}

type limited struct {
	net.Listener
	most    int
	refused func()
	free    chan struct{} // one in it for each open connection
	closed  chan struct{}
	once    sync.Once

	mu sync.Mutex         // guards of
	of map[netip.Addr]int // connections of each source that has any
}

// tooMany is what an address with too many connections hears.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n\r\n" +
	"too many connections from this address.\r\n"

// Accept waits for room first.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.free
			return nil, err
		}
		from := sourceOfConn(c)
		if l.take(from) {
			return &counted{Conn: c, of: l, from: from}, nil
		}
		l.refused()
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // the answer is shorter than any buffer
		_, _ = c.Write([]byte(tooMany))
		_ = c.Close() // whoever hears it or not
	}
}

// Close also ends an Accept that waits for room.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func sourceOfConn(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{} // one source like any other
	}
	if a := at.Addr().Unmap(); a.IsLoopback() {
		return a // with all of its /64 it would be none
	}
	return sourceOf(at.Addr())
}

// take counts one more connection, unless the source has its share already.
func (l *limited) take(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from.IsLoopback() {
		return true
	}
	if l.of[from] >= l.most {
		return false
	}
	l.of[from]++
	return true
}

func (l *limited) give(from netip.Addr) {
	<-l.free
	l.mu.Lock()
	defer l.mu.Unlock()
	if from.IsLoopback() {
		return
	}
	if l.of[from]--; l.of[from] == 0 {
		delete(l.of, from)
	}
}

type counted struct {
	net.Conn
	of   *limited
	from netip.Addr
	once sync.Once
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.of.give(c.from) })
	return err
}
