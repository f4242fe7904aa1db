package edge

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

const (
	coreProbe = time.Second             // between attempts to reach a core that is down
	coreDial  = 1500 * time.Millisecond // a core that takes longer to accept is down
	coreGrace = 2 * time.Second         // a connection that lives for longer than dialling takes is taken for good
)

var errNoCore = errors.New("edge: no core can be reached")

// cores are the places where requests without a token go, the first that is up
// before the others. A core is up as long as its connection lives.
type cores struct {
	stack *transport.Stack
	log   *slog.Logger
	list  []*core // constant
}

type core struct {
	addr netip.AddrPort
	down atomic.Bool // the connection failed, and none has lived since

	mu    sync.Mutex // guards the fields below
	flow  transport.Flow
	since time.Time // when flow was begun
}

func newCores(s *transport.Stack, addrs []netip.AddrPort, log *slog.Logger) *cores {
	c := &cores{stack: s, log: log}
	for _, a := range addrs {
		c.list = append(c.list, &core{addr: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())})
	}
	return c
}

// run keeps a connection to every core, so that it is known beforehand which are
// up, and a call need not wait for a connection.
func (c *cores) run(ctx context.Context) error {
	tick := time.NewTicker(coreProbe)
	defer tick.Stop()
	for {
		for _, one := range c.list {
			c.probe(one)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *cores) probe(one *core) {
	one.mu.Lock()
	flow, since := one.flow, one.since
	one.mu.Unlock()
	if flow.Conn != 0 && c.stack.Alive(flow) {
		if time.Since(since) >= coreGrace {
			c.back(one)
		}
		return
	}
	_, _ = one.connect(c.stack) // a failure is told by Closed, or tried again
}

func (c *cores) back(one *core) {
	if one.down.CompareAndSwap(true, false) {
		c.log.Info("core is back", "core", one.addr)
	}
}

// connect returns the flow to c, dialling when there is none.
func (c *core) connect(s *transport.Stack) (transport.Flow, error) {
	f, err := s.Connect(transport.TCP, c.addr)
	if err != nil {
		return f, err
	}
	c.mu.Lock()
	if c.flow.Conn != f.Conn {
		c.flow, c.since = f, time.Now()
	}
	c.mu.Unlock()
	return f, nil
}

// pick returns a flow to the first core that is up, not counting the first skip
// of the list; when all are down, to the first of these, in case it is back.
func (c *cores) pick(skip int) (transport.Flow, int, error) {
	for _, evenDown := range [...]bool{false, true} {
		for i := skip; i < len(c.list); i++ {
			if !evenDown && c.list[i].down.Load() {
				continue
			}
			if f, err := c.list[i].connect(c.stack); err == nil {
				return f, i, nil
			}
		}
	}
	return transport.Flow{}, 0, errNoCore
}

// connect returns the flow to the core at a, which a token named.
func (c *cores) connect(a netip.AddrPort) (transport.Flow, error) {
	for _, one := range c.list {
		if one.addr == a {
			return one.connect(c.stack)
		}
	}
	return c.stack.Connect(transport.TCP, a)
}

// viaFlow is the flow to where a Via of core's says it listens.
func (c *cores) viaFlow(value []byte) (transport.Flow, error) {
	via, err := sip.ParseVia(value)
	if err != nil {
		return transport.Flow{}, err
	}
	a, ok := sip.URI{Host: via.Host, Port: via.Port}.Addr()
	if !ok {
		return transport.Flow{}, errNoCore
	}
	return c.connect(a)
}

// trusted tells whether a peer on the inside listener is a core: one has its
// address, or connected from this very machine to an edge that serves only it.
func (c *cores) trusted(f transport.Flow) bool {
	if f.Listener == transport.Dialed || f.Remote.Addr().IsLoopback() {
		return true
	}
	for _, one := range c.list {
		if one.addr.Addr() == f.Remote.Addr() {
			return true
		}
	}
	return false
}

// heard notes that a core speaks on the connection we made to it.
func (c *cores) heard(f transport.Flow) {
	for _, one := range c.list {
		if one.addr == f.Remote && one.down.Load() {
			c.back(one)
		}
	}
}

// lost notes that the connection to a core has ended or could not be made.
func (c *cores) lost(f transport.Flow, err error) {
	if errors.Is(err, transport.ErrClosed) {
		return // we are going
	}
	for _, one := range c.list {
		if one.addr == f.Remote && one.down.CompareAndSwap(false, true) {
			c.log.Warn("core cannot be reached; new requests go to another, if there is one", "core", one.addr, "err", err)
		}
	}
}

// reachable tells whether any core is up, as far as is known.
func (c *cores) reachable() bool {
	for _, one := range c.list {
		one.mu.Lock()
		flow := one.flow
		one.mu.Unlock()
		if !one.down.Load() && flow.Conn != 0 && c.stack.Alive(flow) {
			return true
		}
	}
	return false
}
