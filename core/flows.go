package core

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/lindero/lindero/wire/sip/transport"
)

// flows knows the connections that edges opened to us by the edge's address, so
// that an answer goes back the way its request came.
type flows struct {
	stack *transport.Stack

	mu       sync.RWMutex // guards the fields below
	accepted map[netip.AddrPort]transport.Flow
	gone     map[netip.AddrPort]struct{} // ends of closed connections: nobody listens there
	order    []netip.AddrPort            // of gone, oldest first
}

// maxGone bounds what is remembered of closed connections.
const maxGone = 1024

var errGone = errors.New("core: the edge's connection is gone")

func newFlows() *flows {
	return &flows{accepted: map[netip.AddrPort]transport.Flow{}, gone: map[netip.AddrPort]struct{}{}}
}

// saw takes note of a connection that something arrived by.
func (f *flows) saw(flow transport.Flow) {
	if flow.Listener == transport.Dialed {
		return // Connect finds those
	}
	f.mu.RLock()
	known := f.accepted[flow.Remote] == flow
	f.mu.RUnlock()
	if known {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted[flow.Remote] = flow
}

func (f *flows) closed(flow transport.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.accepted[flow.Remote] != flow {
		return
	}
	delete(f.accepted, flow.Remote)
	if _, known := f.gone[flow.Remote]; known {
		return
	}
	f.gone[flow.Remote] = struct{}{}
	if f.order = append(f.order, flow.Remote); len(f.order) > maxGone {
		delete(f.gone, f.order[0])
		f.order = f.order[1:]
	}
}

// send sends data to an edge: by the connection whose far end is to, when the
// edge opened it; by a connection of ours to to, where the edge listens,
// otherwise. It does not wait for the edge.
func (f *flows) send(to netip.AddrPort, data []byte) error {
	f.mu.RLock()
	flow, here := f.accepted[to]
	_, gone := f.gone[to]
	f.mu.RUnlock()
	if !here {
		if gone {
			return errGone
		}
		var err error
		if flow, err = f.stack.Connect(transport.TCP, to); err != nil {
			return fmt.Errorf("core: send: %w", err)
		}
	}
	if err := f.stack.Send(flow, data); err != nil {
		return fmt.Errorf("core: send to %v: %w", to, err)
	}
	return nil
}
