package ng

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// conns counts open connections, of all transports. A source has an entry only
// while it holds a connection, so the limit of all bounds the map.
type conns struct {
	mu       sync.Mutex
	all      int
	bySource map[netip.Addr]int
}

func (c *conns) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func (c *conns) enter(from netip.Addr, most, perSource int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= most || c.bySource[from] >= perSource {
		return false
	}
	c.all++
	c.bySource[from]++
	return true
}

func (c *conns) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.bySource[from]--; c.bySource[from] == 0 {
		delete(c.bySource, from)
	}
}

// sourceOf is what an address counts as: itself, or for IPv6 its /64.
func sourceOf(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a
	}
	p, _ := a.Prefix(64) // cannot fail: IPv6 has 128 bits
	return p.Addr()
}

// A limited listener accepts within the server's limits and outlives errors that
// pass, such as a want of file descriptors.
type limited struct {
	net.Listener
	ctx    context.Context
	server *Server
}

// Accept closes connections beyond a limit at once. It fails only when the
// listener is closed.
func (l *limited) Accept() (net.Conn, error) {
	for wait := time.Duration(0); ; {
		c, err := l.Listener.Accept()
		if err != nil {
			if l.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil, net.ErrClosed
			}
			wait = l.server.pause(l.ctx, wait, "ng accept", err)
			continue
		}
		wait = 0
		from := addrPort(c.RemoteAddr())
		source := sourceOf(from.Addr())
		if !l.server.conns.enter(source, l.server.cfg.Conns, l.server.cfg.PerSource) {
			l.server.stats.refused.Add(1)
			c.Close()
			continue
		}
		return &counted{Conn: c, leave: sync.OnceFunc(func() { l.server.conns.leave(source) })}, nil
	}
}

// A counted connection leaves the count when it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// addrPort is the address of a TCP peer, the zero one of anything else.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
