package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"
)

// Config says how a Stack behaves. The zero value of a limit means its default.
type Config struct {
	Log          *slog.Logger
	MaxConns     int           // stream connections in all (default 20000)
	MaxPerSource int           // stream connections per address, /64 for IPv6 (default 200)
	Idle         time.Duration // a connection silent for longer is closed (default 30 min; a half message: 10 s)
	Handshake    time.Duration // TLS handshake deadline (default 5 s)
	Queue        int           // bytes waiting to be written to one peer (default 256 KB)
	TLSClient    *tls.Config   // for Connect over TLS
}

// A Stack is a set of listeners and connections that share one Handler.
type Stack struct{}

func New(cfg Config, h Handler) *Stack { panic("skeleton") }

// Listen opens a listener and returns the address it got (port 0 picks one). Nothing is read before Run. proto TLS needs conf.
func (s *Stack) Listen(proto Protocol, addr netip.AddrPort, conf *tls.Config) (netip.AddrPort, error) {
	panic("skeleton")
}

// Run serves until ctx ends, closes everything and waits for its goroutines.
func (s *Stack) Run(ctx context.Context) error { panic("skeleton") }

// Send writes data to flow: at once for UDP, through the connection's bounded queue for streams. It never blocks and never dials. data may be reused after it returns.
func (s *Stack) Send(f Flow, data []byte) error { panic("skeleton") }

// Connect returns the flow of a live connection to remote, made by us or (RFC 5923) accepted from that very address, or starts one: dialling goes on behind, data sent meanwhile waits in
// its queue, failure comes as Handler.Closed. For UDP it only fills in the flow, from the first UDP listener of the same address family.
func (s *Stack) Connect(proto Protocol, remote netip.AddrPort) (Flow, error) { panic("skeleton") }

// Alive tells whether Send on f can work.
func (s *Stack) Alive(f Flow) bool { panic("skeleton") }

// Ping sends the double CRLF of RFC 5626 §4.4.1 on a stream flow; if no pong (nor any other byte) comes within 10 s the connection is closed.
func (s *Stack) Ping(f Flow) error { panic("skeleton") }

// Stats are counters since New: datagrams, bytes, oversized, truncated, conns opened, refused, timed out, handshakes failed, frames refused, queue overflows, udp receive drops.
type Stats struct{}

func (s *Stack) Stats() Stats { panic("skeleton") }
