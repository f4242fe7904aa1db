package transport

import "net/netip"

// sourceOf is what addr counts as: itself, or for IPv6 the /64 that one
// subscriber owns.
func sourceOf(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("")
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64) // cannot fail: IPv6 has 128 bits
	return p.Addr()
}

// enter registers an accepted connection, numbers it and counts its goroutine;
// false refuses it. sources has an entry only for who holds a connection, so
// MaxConns bounds it.
func (s *Stack) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false
	case s.accepted >= s.cfg.MaxConns:
		s.count.refused.Add(1)
		return false
	case s.sources[c.source] >= s.cfg.MaxPerSource:
		s.count.refusedSource.Add(1)
		return false
	}
	c.flow.Conn = s.identity()
	s.accepted++
	s.sources[c.source]++
	s.conns[c.flow.Conn] = c
	if c.flow.Protocol != TLS { // whoever shows no certificate is not whom we would dial
		s.byRemote[c.peer()] = c
	}
	s.work.Add(1)
	return true
}

// leave takes a connection out again.
func (s *Stack) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.flow.Conn)
	if s.byRemote[c.peer()] == c {
		delete(s.byRemote, c.peer())
	}
	if c.dialed {
		s.dialed--
		return
	}
	s.accepted--
	if s.sources[c.source]--; s.sources[c.source] == 0 {
		delete(s.sources, c.source)
	}
}

// vouch lets Connect find an accepted TLS connection whose client was verified.
func (s *Stack) vouch(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.flow.Conn] == c && s.byRemote[c.peer()] == nil {
		s.byRemote[c.peer()] = c
	}
}

func (c *conn) peer() peer { return peer{c.flow.Protocol, c.flow.Remote} }
