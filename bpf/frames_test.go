package bpf

import (
	"net/netip"

	"github.com/lindero/lindero/bpf/frame"
)

// sipFrom is a datagram to the SIP port.
func sipFrom(address string) frame.Frame {
	a := netip.MustParseAddr(address)
	to := netip.MustParseAddr("192.0.2.1")
	if a.Is6() {
		to = netip.MustParseAddr("2001:db8::1")
	}
	return frame.Frame{Source: a, Destination: to, SourcePort: 5060, Port: 5060, Payload: []byte("OPTIONS sip:a SIP/2.0\r\n\r\n")}
}
