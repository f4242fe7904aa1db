package edge

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/lindero/lindero/edge/token"
	"github.com/lindero/lindero/wire/sip/transport"
)

var errToken = errors.New("edge: not a token of this edge")

// A flowToken is what the user part of our inside Path and Record-Route says: the
// phone's flow, and the relay that holds the call's media ("" before there is a
// call).
type flowToken struct {
	flow  transport.Flow
	relay string
}

// appendFlow appends the sealed token of f.
func (e *Edge) appendFlow(dst []byte, f transport.Flow, relay string) []byte {
	plain := make([]byte, 0, 80)
	plain = append(plain, byte(f.Protocol), f.Listener)
	plain = appendAddr(plain, f.Remote)
	plain = binary.BigEndian.AppendUint64(plain, f.Conn)
	plain = append(plain, relay...)
	return e.ring.Append(dst, token.Flow, plain)
}

// openFlow reads what appendFlow wrote.
func (e *Edge) openFlow(text []byte) (t flowToken, err error) {
	var buf [128]byte
	b, err := e.ring.Open(buf[:0], token.Flow, text)
	if err != nil {
		return t, err
	}
	if len(b) < 2 {
		return t, errToken
	}
	t.flow.Protocol, t.flow.Listener = transport.Protocol(b[0]), b[1]
	var ok bool
	if t.flow.Remote, b, ok = cutAddr(b[2:]); !ok || len(b) < 8 {
		return t, errToken
	}
	t.flow.Conn = binary.BigEndian.Uint64(b)
	t.relay = string(b[8:])
	if i := int(t.flow.Listener); i < len(e.faces.outside) {
		t.flow.Local = e.faces.outside[i].bound
	}
	return t, nil
}

// A contactToken is what the user part of a Contact says that we show to phones:
// core's own contact, where that core is, and the relay of the call.
type contactToken struct {
	core  netip.AddrPort
	relay string
	uri   []byte
}

func (e *Edge) appendContact(dst []byte, t contactToken) []byte {
	plain := make([]byte, 0, 256)
	plain = appendAddr(plain, t.core)
	plain = append(plain, byte(len(t.relay)))
	plain = append(append(plain, t.relay...), t.uri...)
	return e.ring.Append(dst, token.Contact, plain)
}

func (e *Edge) openContact(text []byte) (t contactToken, err error) {
	b, err := e.ring.Open(nil, token.Contact, text)
	if err != nil {
		return t, err
	}
	var ok bool
	if t.core, b, ok = cutAddr(b); !ok || len(b) < 1 || len(b) < 1+int(b[0]) {
		return t, errToken
	}
	t.relay, t.uri = string(b[1:1+b[0]]), b[1+b[0]:]
	return t, nil
}

// appendAddr appends an address as its length, its bytes and the port.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		b := ip.As4()
		dst = append(append(dst, 4), b[:]...)
	} else {
		b := ip.As16()
		dst = append(append(dst, 16), b[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

func cutAddr(b []byte) (a netip.AddrPort, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0])+2 {
		return a, nil, false
	}
	n := 1 + int(b[0])
	ip, ok := netip.AddrFromSlice(b[1:n])
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[n:])), b[n+2:], ok
}

// sameFlow tells whether two messages travelled between the same two sockets.
// Local says no more than Listener and may be unknown in a restored flow.
func sameFlow(a, b transport.Flow) bool {
	return a.Protocol == b.Protocol && a.Remote == b.Remote && a.Conn == b.Conn && (a.Conn != 0 || a.Listener == b.Listener)
}
