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

// A Flow is the socket behind which a peer lives (RFC 5626): it can be compared,
// kept, and sent to as long as its connection lives.
type Flow struct {
	Protocol Protocol
	Listener uint8          // index of the listener (or dialer) it came by, in order of Listen calls
	Local    netip.AddrPort // our address
	Remote   netip.AddrPort // the peer's address
	Conn     uint64         // identity of a stream connection, never reused, not even by another process; 0 for UDP
}

// A Handler receives one framed message. data is borrowed until the handler
// returns. Handlers are called from many goroutines, in order for one flow.
type Handler interface {
	Message(flow Flow, data []byte)
	// Closed tells that a stream connection is gone (or could not be made); err says why.
	Closed(flow Flow, err error)
}

// ErrFlowGone is returned by Send when the flow's connection no longer exists (430 Flow Failed, RFC 5626 §5.3).
var ErrFlowGone = errors.New("transport: flow is gone")

// ErrSlow is returned by Send when the peer's queue is full; the connection is then closed.
var ErrSlow = errors.New("transport: peer does not read")
