// Package ports lends pairs of media ports, an even one for RTP and the odd one
// above it for RTCP, and lets them rest when they come back: a new call must not
// inherit a port to which somebody still sends the old one's audio. It opens and
// closes the sockets through forward's table and knows nothing of calls.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// ErrNone is returned when no port is free, resting ones not counted.
var ErrNone = errors.New("ports: none free")

// Sockets opens and closes local addresses; forward.Userspace does.
type Sockets interface {
	Open(local netip.AddrPort) error
	Close(local netip.AddrPort) error
	// Arrived is when a packet last came to local from the peer of its last call,
	// after that call; zero when none has.
	Arrived(local netip.AddrPort) time.Time
}

// A Pair is two neighbouring ports of one address.
type Pair struct{ RTP, RTCP netip.AddrPort }

// Valid says whether p was lent: the zero Pair was not.
func (p Pair) Valid() bool { return p.RTP.IsValid() }

const (
	// A peer that never stops sending must not keep a port for ever.
	mostRests = 10
	// Ports may be taken by other programs. So many are tried before giving up.
	tries = 64
)

// A Pool is the ports of one address. Its methods may be called from any
// goroutine, Sweep from one at a time.
type Pool struct {
	addr    netip.Addr
	rest    time.Duration
	sockets Sockets
	watch   func(port uint16, lent bool) // nil: nobody watches

	mu      sync.Mutex // guards the fields below
	free    []uint16   // even ports, the one unused for longest first; begins shuffled, so that ports cannot be guessed
	resting []resting  // the one returned first, first
	lent    int
	last    uint16 // lent
	spared  []Pair // need no rest and are open still, the one spared first, first
	closing []Pair // opened by half. Sweep closes these and what is left of spared
}

type resting struct {
	pair  Pair
	since time.Time
}

// NewPool makes a pool of the pairs within low and high, both included.
func NewPool(addr netip.Addr, low, high uint16, rest time.Duration, sockets Sockets) *Pool {
	p := &Pool{addr: addr, rest: rest, sockets: sockets}
	for port := int(low) + int(low)%2; port+1 <= int(high); port += 2 {
		p.free = append(p.free, uint16(port))
	}
	rand.Shuffle(len(p.free), func(i, j int) { p.free[i], p.free[j] = p.free[j], p.free[i] })
	return p
}

// Watch makes the pool call f for each port when it is lent, before Lend returns
// it, and when it comes back. f may not call the pool. Watch is called before any
// other method, or not at all.
func (p *Pool) Watch(f func(port uint16, lent bool)) { p.watch = f }

func (p *Pool) say(pair Pair, lent bool) {
	if p.watch != nil {
		p.watch(pair.RTP.Port(), lent)
		p.watch(pair.RTCP.Port(), lent)
	}
}

// Lend opens both sockets of a free pair. A port that another program has is
// passed over. When none is free, a spared pair goes on to the next call without
// waiting for Sweep: calls that come to nothing then cost ports for as long as
// they last, and a flood of them must be as many at once, not as many a second.
func (p *Pool) Lend() (Pair, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pair, err := p.open()
	if err != nil && len(p.spared) > 0 {
		pair, err = p.spared[0], nil
		p.spared = p.spared[1:]
	}
	if err == nil {
		p.lent++
		p.last = pair.RTP.Port()
		p.say(pair, true)
	}
	return pair, err
}

// open opens a free pair; p.mu is held.
func (p *Pool) open() (Pair, error) {
	var last error
	for range min(tries, len(p.free)) {
		port := p.free[0]
		p.free = p.free[1:]
		pair := Pair{netip.AddrPortFrom(p.addr, port), netip.AddrPortFrom(p.addr, port+1)}
		if last = p.sockets.Open(pair.RTP); last != nil {
			p.free = append(p.free, port)
			continue
		}
		if last = p.sockets.Open(pair.RTCP); last != nil {
			p.closing = append(p.closing, pair) // Close may wait, so not under the lock
			continue
		}
		return pair, nil
	}
	if last != nil {
		return Pair{}, fmt.Errorf("%w at %v: %w", ErrNone, p.addr, last)
	}
	return Pair{}, fmt.Errorf("%w at %v", ErrNone, p.addr)
}

// Return takes a pair back. Its sockets stay open and its rest begins at now.
func (p *Pool) Return(pair Pair, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.say(pair, false)
	p.resting = append(p.resting, resting{pair, now})
}

// Spare takes back a pair that nobody was told of and nothing came to. It needs
// no rest: otherwise whoever makes calls that go nowhere would tie up all ports.
func (p *Pool) Spare(pair Pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.say(pair, false)
	p.spared = append(p.spared, pair)
}

// Sweep closes the sockets of pairs that have rested, and frees them. A pair to
// which its last peer still sends rests on, at most ten times as long. As Close
// may, Sweep waits for packets on their way.
func (p *Pool) Sweep(now time.Time) {
	p.mu.Lock()
	var done []Pair
	kept := p.resting[:0]
	for _, r := range p.resting {
		if p.rested(r, now) {
			done = append(done, r.pair)
		} else {
			kept = append(kept, r)
		}
	}
	clear(p.resting[len(kept):])
	p.resting = kept
	done = append(append(done, p.closing...), p.spared...)
	p.closing, p.spared = nil, nil
	p.mu.Unlock()

	for _, pair := range done {
		// Of a pair opened by half, one address is not open; that is no fault.
		_ = p.sockets.Close(pair.RTP)
		_ = p.sockets.Close(pair.RTCP)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pair := range done {
		p.free = append(p.free, pair.RTP.Port())
	}
}

func (p *Pool) rested(r resting, now time.Time) bool {
	age := now.Sub(r.since)
	if age < p.rest {
		return false
	}
	if age >= mostRests*p.rest {
		return true
	}
	for _, local := range []netip.AddrPort{r.pair.RTP, r.pair.RTCP} {
		if at := p.sockets.Arrived(local); !at.IsZero() && now.Sub(at) < p.rest {
			return false
		}
	}
	return true
}

// Last is the even port of the pair that was lent last, 0 before the first.
func (p *Pool) Last() uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Counts is how many pairs are free, lent and resting.
func (p *Pool) Counts() (free, lent, rest int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free), p.lent, len(p.resting) + len(p.closing) + len(p.spared)
}
