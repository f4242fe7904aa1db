package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/wire/sip"
)

// A datagram is one entry of a batch; data is valid until the next read.
type datagram struct {
	from netip.AddrPort
	data []byte
	cut  bool // it was longer than data
}

// minDatagram is less than any SIP message has.
const minDatagram = 20

// receiveBuffer is what a UDP socket asks of the kernel: the default of 208 KB
// loses datagrams at 2000 calls a second (trap 15).
const receiveBuffer = 4 << 20

// A udpListener is one UDP address. It may have several sockets on that address,
// between which the kernel shares out the sources.
type udpListener struct {
	stack *Stack
	index uint8
	local netip.AddrPort
	socks []*net.UDPConn
	out   *sender // by the first of socks
}

func (s *Stack) listenUDP(addr netip.AddrPort, index uint8) (listener, error) {
	l := &udpListener{stack: s, index: index}
	for i := range s.cfg.Readers {
		// The first socket does not share its port, so that a second process is refused it.
		sock, err := openUDP(addr, i > 0)
		if err != nil {
			l.close()
			return nil, err
		}
		l.socks = append(l.socks, sock)
		if i == 0 {
			addr = addrPort(sock.LocalAddr())
			l.local = addr
			if l.out, err = newSender(sock); err != nil {
				l.close()
				return nil, err
			}
			if s.cfg.Readers > 1 {
				if err := sharePort(sock); err != nil {
					l.close()
					return nil, err
				}
			}
		}
	}
	return l, nil
}

func (l *udpListener) protocol() Protocol   { return UDP }
func (l *udpListener) addr() netip.AddrPort { return l.local }

func (l *udpListener) close() {
	for _, sock := range l.socks {
		sock.Close()
	}
}

func (l *udpListener) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	defer l.close()
	var g errgroup.Group
	for _, sock := range l.socks {
		g.Go(func() error { return l.read(ctx, sock) })
	}
	return g.Wait()
}

// read hands every datagram of sock to the handler, one at a time. A bad datagram
// or a passing error never ends it: only ctx, or the loss of the socket, does.
func (l *udpListener) read(ctx context.Context, sock *net.UDPConn) error {
	b, err := newBatch(sock, l.stack.cfg.Batch, &l.stack.count.receiveDrops)
	if err != nil {
		return fmt.Errorf("transport: udp %v: %w", l.local, err)
	}
	flow := Flow{Protocol: UDP, Listener: l.index, Local: l.local}
	for wait := time.Duration(0); ; {
		n, err := b.read()
		switch {
		case err == nil:
			wait = 0
			for i := range n {
				l.receive(flow, b.at(i))
			}
		case ctx.Err() != nil:
			return nil // asked to stop
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("transport: udp %v: %w", l.local, err)
		default:
			l.stack.count.readErrors.Add(1)
			wait = backOff(ctx, wait)
		}
	}
}

// receive is what becomes of one datagram.
func (l *udpListener) receive(flow Flow, d datagram) {
	s := l.stack
	if s.cfg.Admit != nil && !s.cfg.Admit(d.from, UDP) {
		s.count.denied.Add(1)
		return
	}
	data := bytes.TrimLeft(d.data, "\r\n") // RFC 3261 §7.5
	switch {
	case d.cut || len(d.data) > sip.MaxDatagram:
		s.count.oversized.Add(1)
	case len(data) == 0:
		s.count.keepAlives.Add(1)
	case isSTUN(d.data):
		s.count.stun.Add(1)
	case len(data) < minDatagram:
		s.count.tiny.Add(1)
	case d.from.Port() == 0:
		s.count.badSource.Add(1)
	default:
		s.count.datagramsIn.Add(1)
		s.count.bytesIn.Add(uint64(len(data)))
		flow.Remote = d.from
		s.handler.Message(flow, data[:len(data):len(data)])
	}
}

// isSTUN tells a binding request by its type and magic cookie (RFC 8489 §5).
func isSTUN(b []byte) bool {
	return len(b) >= 20 && binary.BigEndian.Uint16(b) == 1 && binary.BigEndian.Uint32(b[4:]) == 0x2112A442
}

// backOff waits after an error: 1 ms, then twice as long each time, up to 1 s.
func backOff(ctx context.Context, last time.Duration) time.Duration {
	wait := min(max(2*last, time.Millisecond), time.Second)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return wait
}

// udpFace is the listener that f came by, or nil.
func (s *Stack) udpFace(f Flow) *udpListener {
	faces := *s.faces.Load()
	if int(f.Listener) >= len(faces) {
		return nil
	}
	l, _ := faces[f.Listener].(*udpListener)
	return l
}

func (s *Stack) sendUDP(f Flow, data []byte) error {
	l := s.udpFace(f)
	if l == nil {
		return ErrFlowGone
	}
	if err := l.out.send(data, f.Remote); err != nil {
		s.count.sendErrors.Add(1)
		if errors.Is(err, net.ErrClosed) {
			return ErrFlowGone
		}
		return fmt.Errorf("transport: send: %w", err)
	}
	s.count.datagramsOut.Add(1)
	s.count.bytesOut.Add(uint64(len(data)))
	return nil
}

func (s *Stack) connectUDP(remote netip.AddrPort) (Flow, error) {
	for i, l := range *s.faces.Load() {
		if l.protocol() == UDP && l.addr().Addr().Is4() == remote.Addr().Is4() {
			return Flow{Protocol: UDP, Listener: uint8(i), Local: l.addr(), Remote: remote}, nil
		}
	}
	return Flow{}, fmt.Errorf("transport: connect to %v: no UDP listener of its family", remote)
}
