package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says how a Stack behaves. The zero value of a limit means its default.
type Config struct {
	Log          *slog.Logger  // nil logs nothing
	MaxConns     int           // accepted stream connections in all, and as many dialled ones (default 20000)
	MaxPerSource int           // accepted connections per address, /64 for IPv6 (default 200)
	Idle         time.Duration // an accepted connection silent for longer is closed (default 30 min, negative: never)
	Half         time.Duration // a message must be whole this long after its first byte (default 10 s)
	Handshake    time.Duration // TLS handshake deadline (default 5 s)
	Dial         time.Duration // deadline of Connect's dialling, without the TLS handshake (default 5 s)
	Pong         time.Duration // how long a Ping waits for any byte (default 10 s)
	Stall        time.Duration // a peer that takes nothing of what waits for it this long is closed (default 20 s)
	Queue        int           // bytes waiting to be written to one peer (default 256 KB)
	Readers      int           // sockets, each with its reader, per UDP listener; one flow always meets the same (default 1)
	Batch        int           // datagrams read in one system call (default 32), each with room for sip.MaxDatagram
	TLSClient    *tls.Config   // for Connect over TLS; without a ServerName the remote address is verified

	// Admit tells whether a datagram or a new connection may come in; nil lets
	// everybody in. It is called for each before anything else is done for it, by
	// the readers, so it may not wait. What it refuses is counted and not answered.
	Admit func(source netip.AddrPort, p Protocol) bool

	// Holds tells whether an accepted connection may go on; nil lets it. It is called
	// whenever something was read, and may not wait either.
	Holds func(source netip.AddrPort, p Protocol) bool
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	number := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	number(&c.MaxConns, 20000)
	number(&c.MaxPerSource, 200)
	number(&c.Queue, 256<<10)
	number(&c.Readers, 1)
	number(&c.Batch, 32)
	duration := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	duration(&c.Idle, 30*time.Minute)
	duration(&c.Half, 10*time.Second)
	duration(&c.Handshake, 5*time.Second)
	duration(&c.Dial, 5*time.Second)
	duration(&c.Pong, 10*time.Second)
	duration(&c.Stall, 20*time.Second)
	return c
}

// ErrClosed is returned by a Stack that has been stopped, and given to
// Handler.Closed for the connections that it took with it.
var ErrClosed = errors.New("transport: stack is closed")

// A Stack is a set of listeners and connections that share one Handler. Its
// methods may be called from any goroutine, and from within the Handler.
type Stack struct {
	// Set by New, then constant.
	cfg     Config
	handler Handler
	tick    time.Duration // how often deadlines are looked at
	started chan struct{} // closed when Run begins
	stopped chan struct{} // closed when the stack ends

	// Accessed atomically.
	count counters
	clock atomic.Int64               // nanoseconds since Run began, plus one; moved by the sweeper
	last  atomic.Uint64              // the identity given last
	faces atomic.Pointer[[]listener] // by Flow.Listener; replaced whole by Listen

	work sync.WaitGroup // one per connection; added to under mu while not closed

	mu       sync.RWMutex // guards the fields below; never held while calling out
	ran      bool
	closed   bool
	conns    map[uint64]*conn
	byRemote map[peer]*conn
	accepted int
	dialed   int
	sources  map[netip.Addr]int // accepted connections per source; no entry without one
}

// A peer is the far end of a stream, as Connect looks for it.
type peer struct {
	protocol Protocol
	remote   netip.AddrPort
}

// A listener is an open face of the stack.
type listener interface {
	protocol() Protocol
	addr() netip.AddrPort
	serve(ctx context.Context) error // owns the socket until ctx ends or the socket is lost
	close()
}

// New returns a Stack that gives what it receives to h. It holds no resource
// until Listen or Connect; whoever calls those must call Run or Close.
func New(cfg Config, h Handler) *Stack {
	s := &Stack{
		cfg: cfg.withDefaults(), handler: h,
		started: make(chan struct{}), stopped: make(chan struct{}),
		conns: map[uint64]*conn{}, byRemote: map[peer]*conn{}, sources: map[netip.Addr]int{},
	}
	s.tick = s.cfg.tick()
	s.clock.Store(1)
	s.faces.Store(&[]listener{})
	// A random beginning keeps flow tokens of an earlier process from naming a connection of this one.
	var seed [8]byte
	rand.Read(seed[:])
	s.last.Store(binary.NativeEndian.Uint64(seed[:]))
	return s
}

// Listen opens a listener and returns the address it got (port 0 picks one).
// Nothing is read before Run, and after Run has begun nothing can be opened.
// proto TLS needs conf.
func (s *Stack) Listen(proto Protocol, addr netip.AddrPort, conf *tls.Config) (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	faces := *s.faces.Load()
	switch {
	case s.ran || s.closed:
		return netip.AddrPort{}, fmt.Errorf("transport: listen on %v: %w", addr, errLate)
	case len(faces) >= int(Dialed):
		return netip.AddrPort{}, fmt.Errorf("transport: listen on %v: too many listeners", addr)
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var l listener
	var err error
	switch proto {
	case UDP:
		l, err = s.listenUDP(addr, uint8(len(faces)))
	case TCP:
		l, err = s.listenStream(TCP, addr, nil, uint8(len(faces)))
	case TLS:
		if conf == nil {
			return netip.AddrPort{}, fmt.Errorf("transport: listen on %v: TLS needs a certificate", addr)
		}
		l, err = s.listenStream(TLS, addr, conf, uint8(len(faces)))
	default:
		return netip.AddrPort{}, fmt.Errorf("transport: listen on %v: protocol %v is not served here", addr, proto)
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("transport: listen on %v/%v: %w", addr, proto, err)
	}
	next := append(append([]listener{}, faces...), l)
	s.faces.Store(&next)
	return l.addr(), nil
}

var errLate = errors.New("the stack is already running or closed")

// Run serves until ctx ends, then closes everything and waits for its
// goroutines: when it returns, the handler is not called any more. The error is
// nil when ctx ended it, and tells of a lost listener otherwise.
func (s *Stack) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ran || s.closed {
		s.mu.Unlock()
		return fmt.Errorf("transport: run: %w", errLate)
	}
	s.ran = true
	s.mu.Unlock()
	close(s.started)

	g, serving := errgroup.WithContext(ctx)
	for _, l := range *s.faces.Load() {
		g.Go(func() error { return l.serve(serving) })
	}
	g.Go(func() error { s.sweep(serving); return nil })
	err := g.Wait()
	s.shut()
	return err
}

// Close frees the listeners and connections of a Stack whose Run was never
// called. While Run serves, end its context instead.
func (s *Stack) Close() error {
	s.mu.RLock()
	ran := s.ran
	s.mu.RUnlock()
	if ran {
		return fmt.Errorf("transport: close: %w", errLate)
	}
	for _, l := range *s.faces.Load() {
		l.close()
	}
	s.shut()
	return nil
}

// shut closes all connections and waits for their goroutines.
func (s *Stack) shut() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.stopped)
	open := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.close(ErrClosed)
	}
	s.work.Wait()
}

// addrPort is the address of a TCP or UDP socket; IPv4 never comes mapped into IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// network names proto's sockets for addr's family alone, so that a listener on
// [::] does not take IPv4's port too and every address has one form.
func network(proto string, addr netip.Addr) string {
	if addr.Is4() {
		return proto + "4"
	}
	return proto + "6"
}
