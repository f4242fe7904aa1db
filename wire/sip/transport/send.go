package transport

import (
	"errors"
	"fmt"
	"net/netip"
)

// Send writes data to flow: at once for UDP, through the connection's bounded
// queue for streams. It never dials and waits for no peer. data may be reused
// after it returns. Local does not matter: a flow restored from Protocol,
// Listener, Remote and Conn alone will do. Errors: ErrFlowGone, ErrSlow, or what
// the socket said of a datagram.
func (s *Stack) Send(f Flow, data []byte) error {
	if f.Protocol == UDP {
		return s.sendUDP(f, data)
	}
	c := s.find(f)
	if c == nil {
		return ErrFlowGone
	}
	if err := c.send(data); err != nil {
		return err
	}
	s.count.messagesOut.Add(1)
	s.count.bytesOut.Add(uint64(len(data)))
	return nil
}

// find is the live connection that f names. The remote address is compared too,
// so that a number alone opens no way.
func (s *Stack) find(f Flow) *conn {
	s.mu.RLock()
	c := s.conns[f.Conn]
	s.mu.RUnlock()
	if c == nil || c.flow.Protocol != f.Protocol || c.flow.Remote != f.Remote {
		return nil
	}
	return c
}

// Alive tells whether Send on f can work.
func (s *Stack) Alive(f Flow) bool {
	if f.Protocol == UDP {
		return s.udpFace(f) != nil
	}
	c := s.find(f)
	return c != nil && c.alive()
}

// Connect returns the flow of a live connection to remote, made by us or
// (RFC 5923) accepted from that very address, or starts one: dialling goes on
// behind, data sent meanwhile waits in its queue, failure comes as
// Handler.Closed. Over TLS an accepted connection serves only if its client
// proved itself by a certificate (RFC 5923 §9.1). For UDP Connect only fills in
// the flow, from the first UDP listener of the same address family.
func (s *Stack) Connect(proto Protocol, remote netip.AddrPort) (Flow, error) {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if !remote.IsValid() || remote.Port() == 0 || remote.Addr().IsUnspecified() {
		return Flow{}, fmt.Errorf("transport: connect to %v: not an address", remote)
	}
	switch proto {
	case UDP:
		return s.connectUDP(remote)
	case TCP, TLS:
	default:
		return Flow{}, fmt.Errorf("transport: connect to %v: protocol %v is not served here", remote, proto)
	}
	c, isNew, err := s.connection(peer{proto, remote})
	if err != nil {
		return Flow{}, fmt.Errorf("transport: connect to %v/%v: %w", remote, proto, err)
	}
	if isNew {
		go s.serveDialed(c)
	}
	if c.bound != nil {
		<-c.bound // the dialler binds first, which asks nobody
	}
	return c.flow, nil
}

var errTooMany = errors.New("too many connections")

// connection finds a reusable connection to p or registers a new one, which the
// caller must serve.
func (s *Stack) connection(p peer) (c *conn, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, ErrClosed
	}
	if c := s.byRemote[p]; c != nil && c.alive() {
		return c, false, nil
	}
	if s.dialed >= s.cfg.MaxConns {
		return nil, false, errTooMany
	}
	c = &conn{stack: s, bound: make(chan struct{}), dialed: true}
	c.flow = Flow{Protocol: p.protocol, Listener: Dialed, Remote: p.remote, Conn: s.identity()}
	c.seen.Store(s.clock.Load())
	s.conns[c.flow.Conn] = c
	s.byRemote[p] = c
	s.dialed++
	s.work.Add(1)
	s.count.dialed.Add(1)
	return c, true, nil
}

// identity gives the next connection its number; 0 means none and is left out.
func (s *Stack) identity() uint64 {
	id := s.last.Add(1)
	if id == 0 {
		id = s.last.Add(1)
	}
	return id
}
