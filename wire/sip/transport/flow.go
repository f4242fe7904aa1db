package transport

import (
	"errors"
	"net/netip"
)

// A Protocol is a way a SIP message may travel.
type Protocol uint8

// The zero Protocol is invalid, so that a forgotten field is noticed.
const (
	UDP Protocol = iota + 1
	TCP
	TLS
	WS
	WSS
)

// String is the protocol's name as a URI's transport parameter writes it (RFC 3261 §19.1.1).
func (p Protocol) String() string {
	switch p {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	case WS:
		return "ws"
	case WSS:
		return "wss"
	}
	return "invalid"
}

// Dialed is the Listener of a Flow whose connection we made.
const Dialed uint8 = 255

// A Flow is the socket behind which a peer lives (RFC 5626): it can be compared,
// kept, and sent to as long as its connection lives.
type Flow struct {
	Protocol Protocol
	Listener uint8          // index of the listener it came by, in order of Listen calls; Dialed when we connected
	Local    netip.AddrPort // our address
	Remote   netip.AddrPort // the peer's address
	Conn     uint64         // identity of a stream connection, never reused, not even by another process; 0 for UDP
}

// A Handler receives one framed message. data is borrowed until the handler
// returns. Handlers are called from many goroutines, in order for one flow; a
// handler that waits makes everybody behind the same UDP socket wait.
type Handler interface {
	Message(flow Flow, data []byte)
	// Closed tells that a stream connection is gone (or could not be made); err says why.
	// It is called once, after the last Message of the flow, for every connection
	// that was dialled, or accepted and (TLS) shook hands.
	Closed(flow Flow, err error)
}

// ErrFlowGone is returned by Send when the flow's connection no longer exists (430 Flow Failed, RFC 5626 §5.3).
var ErrFlowGone = errors.New("transport: flow is gone")

// ErrSlow is returned by Send when the peer's queue is full; the connection is then closed.
var ErrSlow = errors.New("transport: peer does not read")
