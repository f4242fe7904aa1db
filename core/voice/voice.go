// Package voice is what core says and hears itself: an echo, and a spoken
// greeting. Each session is one RTP stream of G.711 with telephone events on a
// port of its own; Answer turns an offer into an answer (RFC 3264). It knows no
// SIP: calls are core/b2bua's. It transcodes between the two laws of G.711 and
// nothing else, and answers no RTCP.
//
// The greeting is greeting.ulaw, 8 kHz mono mu-law without a header. It was made by
//
//	espeak-ng -v en-us -s 165 -w g.wav "Welcome to Lindero. Your phone is registered, and you can hear us. Goodbye."
//	sox g.wav -t raw -r 8000 -c 1 -e mu-law greeting.ulaw lowpass 3400 norm -6 pad 0.2 0.3
package voice

import (
	"context"
	_ "embed" // the greeting
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/wire/rtp"
)

//go:embed greeting.ulaw
var greeting []byte

// Errors of Open and Answer.
var (
	ErrFull    = errors.New("voice: no media port is free")
	ErrNoCodec = errors.New("voice: no common codec")
	ErrClosed  = errors.New("voice: closed")
)

// A Mode is what a session does.
type Mode uint8

// The modes. The zero Mode is invalid.
const (
	Echo     Mode = iota + 1 // sends back what it hears
	Greeting                 // speaks once, then says that it ended
)

// Events are what a session tells. They run on goroutines of the engine and must
// not block; nil ones are not called.
type Events struct {
	Ended func()           // the greeting was heard to its end
	Digit func(digit byte) // a key was pressed: 0-9, *, #, A-D
}

// Config is what an Engine needs.
type Config struct {
	Media      netip.Addr // where sessions listen, and what descriptions say
	MinPort    uint16     // the range of RTP ports; even ones are used
	MaxPort    uint16
	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics are registered
}

// An Engine lends ports and keeps the time of all sessions.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	alaw    []byte // the greeting in A-law
	readers sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	closed   bool
	next     uint16 // port to try first, so that a port rests as long as possible
	sessions map[uint16]*Session
	playing  map[*Session]struct{}
	wake     chan struct{}
}

// New makes an Engine. It opens nothing; Run keeps its clock.
func New(cfg Config) (*Engine, error) {
	if !cfg.Media.IsValid() || cfg.Media.IsUnspecified() {
		return nil, errors.New("voice: Media must be an address that descriptions can name")
	}
	if first := even(cfg.MinPort); first == 0 || first > cfg.MaxPort {
		return nil, fmt.Errorf("voice: no port between %d and %d", cfg.MinPort, cfg.MaxPort)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, next: even(cfg.MinPort), alaw: make([]byte, len(greeting)),
		sessions: make(map[uint16]*Session), playing: make(map[*Session]struct{}), wake: make(chan struct{}, 1),
	}
	for i, b := range greeting {
		e.alaw[i] = rtp.EncodePCMA(rtp.DecodePCMU(b))
	}
	e.metrics = newMetrics(e)
	if cfg.Registerer != nil {
		if err := e.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("voice: registering metrics: %w", err)
		}
	}
	return e, nil
}

func even(port uint16) uint16 { return port + port&1 }

// Run keeps the clock of all greetings until ctx ends; then it closes every
// session and waits for their goroutines.
func (e *Engine) Run(ctx context.Context) error {
	e.play(ctx)
	e.mu.Lock()
	e.closed = true
	all := make([]*Session, 0, len(e.sessions))
	for _, s := range e.sessions {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	e.readers.Wait()
	return nil
}

// Open makes a session on a port of its own. The caller must Close it.
func (e *Engine) Open(mode Mode, events Events) (*Session, error) {
	if mode != Echo && mode != Greeting {
		return nil, fmt.Errorf("voice: mode %d", mode)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	conn, port, err := e.lend()
	if err != nil {
		return nil, err
	}
	s := newSession(e, mode, events, conn, port)
	e.sessions[port] = s
	e.readers.Go(s.read)
	return s, nil
}

// lend opens the next free port of the range. The caller holds mu.
func (e *Engine) lend() (*net.UDPConn, uint16, error) {
	first, last := even(e.cfg.MinPort), e.cfg.MaxPort
	for range int(last-first)/2 + 1 {
		port := e.next
		if e.next += 2; e.next > last || e.next < first {
			e.next = first
		}
		if e.sessions[port] != nil {
			continue
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.cfg.Media, port)))
		if err == nil {
			return conn, port, nil
		}
		// Somebody else has it; the next one may be free.
	}
	return nil, 0, ErrFull
}

// forget takes a closed session's port back.
func (e *Engine) forget(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s.local.Port())
	delete(e.playing, s)
}

// Sessions is the number of open sessions.
func (e *Engine) Sessions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sessions)
}
