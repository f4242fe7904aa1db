package relay

import "sync"

// Legs is told which media ports a call has, so that it can keep packets from all
// others away. Leg is called under locks and may not wait. A port is live before
// anybody is told of it, and no longer when it begins to rest.
type Legs interface{ Leg(port uint16, live bool) }

// An Option changes what New makes.
type Option func(*Relay)

// WithLegs tells l of every port. Without it nobody is told.
func WithLegs(l Legs) Option { return func(r *Relay) { r.legs.to = l } }

// legs counts who has a port: the same one may be lent at the relay's external
// address and at its internal one, and is live while either is.
type legs struct {
	to Legs // nil: nobody wants to know

	mu   sync.Mutex // guards lent, and is held over to.Leg so that nobody hears an old word last
	lent map[uint16]uint8
}

// mark is what pools call when a port is lent or returned.
func (l *legs) mark(port uint16, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lent[port]
	switch {
	case live:
		if l.lent[port] = n + 1; n == 0 {
			l.to.Leg(port, true)
		}
	case n == 1:
		delete(l.lent, port)
		l.to.Leg(port, false)
	default:
		l.lent[port] = n - 1
	}
}

// clear says of all ports that no call has them, but for those that one does, unless
// all are meant. Of the others nobody knows whether a process before this one had them.
func (l *legs) clear(ports PortRange, all bool) {
	if l.to == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for port := int(ports.Low); port <= int(ports.High); port++ {
		if all || l.lent[uint16(port)] == 0 {
			l.to.Leg(uint16(port), false)
		}
	}
	if all {
		clear(l.lent)
	}
}
