package ng

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ServeStream takes commands from the connections of l until ctx ends, and closes
// them and it then. With tls it is TLS; a configuration that asks for the client's
// certificate decides who may speak. Messages follow each other as rtpengine's
// listen-tcp-ng has them, with nothing between; many may be unanswered, and replies
// come as they are ready, in the order of the commands for one call-id.
func (s *Server) ServeStream(ctx context.Context, l net.Listener, tls *tls.Config) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := &limited{Listener: l, ctx: ctx, server: s}
	for {
		c, err := limit.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		all.Go(func() { s.serveConn(ctx, c, tls) })
	}
}

func (s *Server) serveConn(ctx context.Context, c net.Conn, config *tls.Config) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	from := addrPort(c.RemoteAddr())
	if config != nil {
		t := tls.Server(c, config)
		hello, cancel := context.WithTimeout(ctx, s.cfg.Message)
		err := t.HandshakeContext(hello)
		cancel()
		if err != nil {
			s.stats.refused.Add(1)
			s.cfg.Log.Info("ng connection refused", "from", from, "err", err)
			return
		}
		c = t
	}
	var joined []byte
	out := newOutbox(s, func(batch [][]byte) error {
		joined = joined[:0]
		for _, b := range batch {
			joined = append(joined, b...)
		}
		if err := c.SetWriteDeadline(time.Now().Add(s.cfg.Write)); err != nil {
			return err
		}
		_, err := c.Write(joined)
		return err
	}, func() { c.Close() })
	var writer sync.WaitGroup
	writer.Go(out.run)
	defer writer.Wait()
	defer out.finish(s.cfg.Write) // what was asked is answered, also to who has shut its side
	s.readMessages(ctx, c, from, out)
}

// readMessages gives messages to workers until the connection or patience ends.
func (s *Server) readMessages(ctx context.Context, c net.Conn, from netip.AddrPort, out *outbox) {
	f := framer{max: MaxDatagram}
	buf := make([]byte, 16<<10)
	deadline := time.Now().Add(s.cfg.Idle)
	for begun := false; ; {
		switch partial := f.partial(); {
		case !partial:
			deadline = time.Now().Add(s.cfg.Idle)
		case !begun:
			deadline = time.Now().Add(s.cfg.Message)
		}
		begun = f.partial()
		if c.SetReadDeadline(deadline) != nil {
			return
		}
		n, err := c.Read(buf)
		if err != nil {
			var late net.Error
			if begun && errors.As(err, &late) && late.Timeout() {
				s.stats.slow.Add(1)
			}
			return
		}
		f.push(buf[:n])
		for {
			m, err := f.next()
			if err != nil {
				s.stats.malformed.Add(1)
				s.cfg.Log.Info("ng connection closed", "from", from, "err", err)
				return
			}
			if m == nil {
				break
			}
			begun = false // a message that begins behind it has its own time
			if !out.take(ctx, job{from: from, message: message(m), back: out}) {
				return
			}
		}
	}
}
