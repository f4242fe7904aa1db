package forwardtest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp"
)

// A bench is a table with one pair of legs, a to b and b to a, and the sockets
// of the two parties and of a stranger.
type bench struct {
	Table
	Network
	a, b, stranger *peer
	localA, localB netip.AddrPort // the table's sides towards a and b
	mu             sync.Mutex     // guards learner
	learner        forward.Learner
}

func newBench(t *testing.T, start Start) *bench {
	t.Helper()
	k := &bench{}
	k.Table, k.Network = start(t, func(local, from netip.AddrPort) bool {
		k.mu.Lock()
		learner := k.learner
		k.mu.Unlock()
		return learner != nil && learner(local, from)
	})
	k.a, k.b, k.stranger = k.peer(t, Place{}), k.peer(t, Place{Side: 1}), k.peer(t, Place{})
	k.localA, k.localB = k.open(t, 0, false), k.open(t, 1, false)
	return k
}

func (k *bench) learn(l forward.Learner) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learner = l
}

// open opens a local address of the table.
func (k *bench) open(t *testing.T, side int, six bool) netip.AddrPort {
	t.Helper()
	local := k.Local(t, side, six)
	if err := k.Open(local); err != nil {
		t.Fatal(err)
	}
	return local
}

func (k *bench) peer(t *testing.T, p Place) *peer {
	t.Helper()
	conn := k.Peer(t, p)
	return &peer{conn, addr(conn)}
}

// toB is the leg from a to b, toA the way back.
func (k *bench) toB() forward.Leg {
	return forward.Leg{Local: k.localA, From: k.a.addr, Via: k.localB, To: k.b.addr}
}

func (k *bench) toA() forward.Leg {
	return forward.Leg{Local: k.localB, From: k.b.addr, Via: k.localA, To: k.a.addr}
}

func (k *bench) put(t *testing.T, legs ...forward.Leg) {
	t.Helper()
	for _, l := range legs {
		if err := k.Put(l); err != nil {
			t.Fatalf("put %+v: %v", l, err)
		}
	}
}

// want polls the counts at local until ok says they are right.
func (k *bench) want(t *testing.T, local netip.AddrPort, what string, ok func(forward.Counts) bool) forward.Counts {
	t.Helper()
	var c forward.Counts
	until(t, func() bool {
		var err error
		if c, err = k.Counts(local); err != nil {
			t.Fatal(err)
		}
		return ok(c)
	}, func() { t.Errorf("never %s: %+v", what, c) })
	return c
}

// until polls ok for some seconds and calls otherwise when it never came true.
func until(t *testing.T, ok func() bool, otherwise func()) {
	t.Helper()
	deadline := time.After(waiting)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			otherwise()
			return
		}
	}
}

// waiting is how long a packet may take that is to arrive.
const waiting = 5 * time.Second

// A peer is a socket on the far side.
type peer struct {
	conn *net.UDPConn
	addr netip.AddrPort
}

func (p *peer) send(t *testing.T, to netip.AddrPort, packets ...[]byte) {
	t.Helper()
	for _, b := range packets {
		if _, err := p.conn.WriteToUDPAddrPort(b, to); err != nil {
			t.Fatal(err)
		}
	}
}

// recv returns the next packet and where it came from; none within 5 s ends the test.
func (p *peer) recv(t *testing.T) ([]byte, netip.AddrPort) {
	t.Helper()
	b, from, ok := p.recvWithin(t, waiting)
	if !ok {
		t.Fatal("nothing arrives")
	}
	return b, from
}

// silent says so when a packet is there. Whatever could have sent one must be
// over already.
func (p *peer) silent(t *testing.T, who string) {
	t.Helper()
	if b, from, ok := p.recvWithin(t, 20*time.Millisecond); ok {
		t.Errorf("%s got %x from %v", who, b, from)
	}
}

func (p *peer) recvWithin(t *testing.T, d time.Duration) ([]byte, netip.AddrPort, bool) {
	t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, from, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), true
}

// packet is an RTP packet of 20 ms of PCMU.
func packet(sequence uint16) []byte { return packetOf(sequence, 7) }

func packetOf(sequence uint16, ssrc uint32) []byte {
	h := rtp.Header{PayloadType: rtp.PCMU, Sequence: sequence, Timestamp: uint32(sequence) * 160, SSRC: ssrc}
	b := h.Append(nil)
	for range 160 {
		b = append(b, byte(sequence))
	}
	return b
}

func report() []byte { return rtp.AppendRR(nil, 7, rtp.Report{SSRC: 8}) }
