package ng

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ServerConfig tunes a Server. The zero value is usable: every field that is zero
// takes the value in its comment.
type ServerConfig struct {
	Log       *slog.Logger  // slog.DiscardHandler
	Workers   int           // as many as processors, from 2 to 8: commands run at once
	Queue     int           // 1024 commands may wait for each worker
	Conns     int           // 1024 connections at once, of all transports
	PerSource int           // 64 of them from one address
	Pipelined int           // 256 commands of one connection may be unanswered
	Idle      time.Duration // 10 min: a connection that says nothing is closed
	Message   time.Duration // 10 s: from the first byte of a message, a handshake or a request to its last
	Write     time.Duration // 5 s: a connection whose other end reads nothing for so long is closed
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.Workers, min(max(runtime.GOMAXPROCS(0), 2), 8)}, {&c.Queue, 1024}, {&c.Conns, 1024}, {&c.PerSource, 64}, {&c.Pipelined, 256},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Idle, 10 * time.Minute}, {&c.Message, 10 * time.Second}, {&c.Write, 5 * time.Second}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}

// maxWaiting is how many bytes of commands may wait for workers, all together.
const maxWaiting = 64 << 20

// A Handler runs one command. It is called by several goroutines at once, but for
// one call-id and one source in the order in which the commands came; sources take
// turns. It must not block for long: other calls wait behind it.
type Handler func(from netip.AddrPort, c Command) Reply

// A Server answers commands that come by any transport. A command that comes
// again with its cookie from the same address within 10 s gets the first reply,
// whatever way it takes; the handler does not see it. One that cannot be
// understood gets result error.
type Server struct {
	cfg     ServerConfig
	handle  Handler
	seed    maphash.Seed
	workers []*worker
	waiting atomic.Int64 // bytes
	stats   serverStats
	conns   conns
	done    chan struct{} // closed when Run ends: nobody answers any more
}

type serverStats struct {
	commands, duplicates, malformed, dropped, refused, slow atomic.Uint64
}

// ServerStats are counters since the server began.
type ServerStats struct {
	Commands   uint64 // that a handler saw
	Duplicates uint64 // answered from the cookie cache
	Malformed  uint64 // datagrams without cookie, streams that were no messages, dictionaries that could not be read
	Dropped    uint64 // datagrams that came while the queues were full
	Refused    uint64 // connections beyond a limit, and those without a certificate we accept
	Slow       uint64 // connections that were closed since the other end did not read, or sent a message too slowly
	Conns      int    // open connections
}

// NewServer makes a server. Nothing is answered before Run.
func NewServer(cfg ServerConfig, handle Handler) *Server {
	s := &Server{cfg: cfg.withDefaults(), handle: handle, seed: maphash.MakeSeed(), done: make(chan struct{})}
	s.conns.bySource = make(map[netip.Addr]int)
	for range s.cfg.Workers {
		s.workers = append(s.workers, &worker{
			server: s, jobs: newTurns(s.cfg.Queue), seen: newCookies(s.seed, s.cfg.Workers),
		})
	}
	return s
}

// Serve answers commands that come by UDP on conn until ctx ends. It owns conn and
// closes it. Only ctx or the loss of the socket ends it.
func Serve(ctx context.Context, conn *net.UDPConn, log *slog.Logger, handle Handler) error {
	s := NewServer(ServerConfig{Log: log}, handle)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error { return s.ServeUDP(ctx, conn) })
	return group.Wait()
}

// Run runs commands until ctx ends. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.done)
	var all sync.WaitGroup
	for _, w := range s.workers {
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
	return nil
}

// Stats are the counters now.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Commands: s.stats.commands.Load(), Duplicates: s.stats.duplicates.Load(), Malformed: s.stats.malformed.Load(),
		Dropped: s.stats.dropped.Load(), Refused: s.stats.refused.Load(), Slow: s.stats.slow.Load(), Conns: s.conns.open(),
	}
}

// ServeUDP takes commands from conn until ctx ends. It owns conn and closes it.
// A datagram without cookie is dropped. Only ctx or the loss of the socket ends
// it.
func (s *Server) ServeUDP(ctx context.Context, conn *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	back := &udpSink{conn: conn}
	in := make([]byte, MaxDatagram)
	for wait := time.Duration(0); ; {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		switch {
		case err == nil:
			wait = 0
			s.offer(job{from: from, message: message(in[:n]), back: back})
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("ng: udp %v: %w", conn.LocalAddr(), err)
		default:
			wait = s.pause(ctx, wait, "ng read", err)
		}
	}
}

// pause waits after an error that may pass, longer each time.
func (s *Server) pause(ctx context.Context, wait time.Duration, what string, err error) time.Duration {
	wait = min(max(2*wait, time.Millisecond), time.Second)
	s.cfg.Log.Warn(what, "err", err, "retry", wait)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return wait
}

// udpSink sends replies back as datagrams.
type udpSink struct{ conn *net.UDPConn }

func (u *udpSink) longest() int { return MaxDatagram }

// A reply that cannot be sent is lost like any datagram: the edge asks again.
func (u *udpSink) send(b []byte, to netip.AddrPort) { _, _ = u.conn.WriteToUDPAddrPort(b, to) }
