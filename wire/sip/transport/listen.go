package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A streamListener is one TCP or TLS address.
type streamListener struct {
	stack *Stack
	index uint8
	proto Protocol
	conf  *tls.Config
	local netip.AddrPort
	sock  net.Listener
}

func (s *Stack) listenStream(proto Protocol, addr netip.AddrPort, conf *tls.Config, index uint8) (listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive(2 * time.Minute)}
	lc.SetMultipathTCP(false)
	sock, err := lc.Listen(context.Background(), network("tcp", addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	return &streamListener{stack: s, index: index, proto: proto, conf: conf, local: addrPort(sock.Addr()), sock: sock}, nil
}

// keepAlive finds a dead peer after idle and three more tries.
func keepAlive(idle time.Duration) net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: 10 * time.Second, Count: 3}
}

func (l *streamListener) protocol() Protocol   { return l.proto }
func (l *streamListener) addr() netip.AddrPort { return l.local }
func (l *streamListener) close()               { l.sock.Close() }

// serve accepts until ctx ends. Nothing is waited for here but connections: a
// failed accept, as without a free descriptor, is counted and tried again.
func (l *streamListener) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	defer l.close()
	s := l.stack
	for wait := time.Duration(0); ; {
		sock, err := l.sock.Accept()
		switch {
		case err == nil:
			if wait >= time.Second {
				s.cfg.Log.Info("accepts again", "listener", l.local)
			}
			wait = 0
			l.admit(sock)
		case ctx.Err() != nil:
			return nil // asked to stop
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("transport: %v %v: %w", l.proto, l.local, err)
		default:
			s.count.acceptErrors.Add(1)
			before := wait
			wait = backOff(ctx, wait)
			if before < time.Second && wait == time.Second {
				s.cfg.Log.Warn("cannot accept, trying on", "listener", l.local, "err", err)
			}
		}
	}
}

// admit starts serving sock, or refuses it when its source may not come in, or the
// stack or its source has enough.
func (l *streamListener) admit(sock net.Conn) {
	s := l.stack
	remote := addrPort(sock.RemoteAddr())
	if s.cfg.Admit != nil && !s.cfg.Admit(remote, l.proto) {
		s.count.denied.Add(1)
		drop(sock)
		return
	}
	c := &conn{stack: s, source: sourceOf(remote.Addr())}
	c.flow = Flow{Protocol: l.proto, Listener: l.index, Local: addrPort(sock.LocalAddr()), Remote: remote}
	c.seen.Store(s.clock.Load())
	if !s.enter(c) {
		drop(sock)
		return
	}
	s.count.accepted.Add(1)
	go s.serveAccepted(c, sock, l.conf)
}

// drop closes a connection that is refused. It keeps no state, not even the kernel's.
func drop(sock net.Conn) {
	if t, ok := sock.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	sock.Close()
}

// serveAccepted is the goroutine of an accepted connection.
func (s *Stack) serveAccepted(c *conn, sock net.Conn, conf *tls.Config) {
	defer s.work.Done()
	if !c.attach(sock) {
		s.leave(c)
		return
	}
	if conf != nil {
		if err := c.secure(conf); err != nil {
			s.count.handshakeFailed.Add(1)
			c.end(err)
			return // the handler never heard of it
		}
	}
	err := c.open()
	if err == nil {
		err = c.receive()
	}
	c.end(err)
	s.handler.Closed(c.flow, c.reason())
}

// serveDialed is the goroutine of a connection that Connect began.
func (s *Stack) serveDialed(c *conn) {
	defer s.work.Done()
	err := s.dial(c)
	if err == nil {
		err = c.receive()
	} else {
		s.count.dialsFailed.Add(1)
	}
	c.end(err)
	s.handler.Closed(c.flow, c.reason())
}

// end takes c out of the stack and frees what it holds.
func (c *conn) end(err error) {
	c.close(err)
	c.stack.leave(c)
	if c.out != nil {
		c.out.finish()
	}
}

// dial makes c ready to be read.
func (s *Stack) dial(c *conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Dial)
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	err := c.err
	c.mu.Unlock()
	var sock net.Conn
	if err == nil {
		sock, err = c.connect(ctx)
	} else {
		close(c.bound)
	}
	if err != nil {
		return fmt.Errorf("transport: dial %v: %w", c.flow.Remote, err)
	}
	if !c.attach(sock) {
		return c.reason()
	}
	select {
	case <-s.started:
	case <-s.stopped:
		return ErrClosed
	}
	if c.flow.Protocol == TLS {
		if err := c.secure(s.clientConfig(c.flow.Remote.Addr())); err != nil {
			return err
		}
	}
	return c.open()
}

var errBoundTwice = errors.New("the kernel chose the peer's own port")

// connect dials. The socket is bound first, to the address from which the peer
// is reached, so that the flow is whole from the beginning.
func (c *conn) connect(ctx context.Context) (net.Conn, error) {
	remote := c.flow.Remote
	bound := false
	d := net.Dialer{KeepAliveConfig: keepAlive(30 * time.Second)}
	d.SetMultipathTCP(false)
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		if bound {
			return errBoundTwice
		}
		bound = true
		c.flow.Local = bindTowards(raw, remote)
		close(c.bound)
		return nil
	}
	sock, err := d.DialContext(ctx, network("tcp", remote.Addr()), remote.String())
	if !bound {
		close(c.bound)
	}
	return sock, err
}

// clientConfig is how we verify addr.
func (s *Stack) clientConfig(addr netip.Addr) *tls.Config {
	conf := s.cfg.TLSClient
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf = conf.Clone()
		conf.ServerName = addr.WithZone("").String()
	}
	return conf
}
