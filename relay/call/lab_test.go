package call_test

import (
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/ports"
)

// A table is forward.Table without packets: it remembers legs, and a test says
// what they have counted.
type table struct {
	mu     sync.Mutex // guards the fields below
	open   map[netip.AddrPort]bool
	legs   map[netip.AddrPort]forward.Leg
	counts map[netip.AddrPort]forward.Counts
	sent   []sent
}

// A sent is a packet that was not forwarded but made here.
type sent struct {
	via, to netip.AddrPort
	b       string
}

func (b *table) send(via, to netip.AddrPort, packet []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, sent{via, to, string(packet)})
	return nil
}

func newTable() *table {
	return &table{open: map[netip.AddrPort]bool{}, legs: map[netip.AddrPort]forward.Leg{}, counts: map[netip.AddrPort]forward.Counts{}}
}

func (b *table) Open(local netip.AddrPort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[local] = true
	return nil
}

func (b *table) Close(local netip.AddrPort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, local)
	return nil
}

func (b *table) Arrived(netip.AddrPort) time.Time { return time.Time{} }

func (b *table) Put(l forward.Leg) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open[l.Local] || !b.open[l.Via] {
		return forward.ErrNotOpen
	}
	b.legs[l.Local] = l
	return nil
}

func (b *table) Delete(local netip.AddrPort) (forward.Counts, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.legs[local]; !ok {
		return forward.Counts{}, forward.ErrNoLeg
	}
	delete(b.legs, local)
	return b.counts[local], nil
}

func (b *table) Counts(local netip.AddrPort) (forward.Counts, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.legs[local]; !ok {
		return forward.Counts{}, forward.ErrNoLeg
	}
	return b.counts[local], nil
}

// hears makes the leg at local have seen a packet just now.
func (b *table) hears(local netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts[local]
	c.Packets++
	c.LastSeen = time.Now()
	b.counts[local] = c
}

func (b *table) leg(local netip.AddrPort) forward.Leg {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.legs[local]
}

const latch = 3 * time.Second

// newRegistry makes a registry with two interfaces, the outer one behind a 1:1 NAT.
func newRegistry(t testing.TB, b *table, change ...func(*call.Config)) (r *call.Registry, inner *ports.Pool) {
	t.Helper()
	// Ranges that do not meet, so that a test can tell the ports apart.
	in := face(b, "internal", "10.2.0.1", "10.2.0.1", 30200)
	cfg := call.Config{
		Interfaces: []call.Interface{face(b, "external", "10.1.0.1", "198.51.100.1", 30000), in},
		First:      30000, Last: 30399,
		MaxCalls: 10, Idle: time.Minute, Latch: latch, Log: slog.New(slog.DiscardHandler),
		Send: b.send, Name: "lab",
		Repeated: func(local netip.AddrPort) bool { return local.Addr() == netip.MustParseAddr("10.2.0.1") },
	}
	for _, f := range change {
		f(&cfg)
	}
	return call.New(cfg, b), in.Pool
}

func face(b *table, name, bind, advertise string, low uint16) call.Interface {
	addr := netip.MustParseAddr(bind)
	return call.Interface{
		Name: name, Bind: addr, Advertise: netip.MustParseAddr(advertise),
		Pool: ports.NewPool(addr, low, low+199, 30*time.Second, b),
	}
}

// expects makes the leg at local have got every packet of n.
func (b *table) expects(local netip.AddrPort, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts[local]
	c.Expected = n
	b.counts[local] = c
}
