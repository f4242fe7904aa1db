package ports

import (
	"errors"
	"time"
)

// Resume lends pairs that a process before this one had lent, and tells refused of
// those that cannot be had. It comes before any Lend.
func (p *Pool) Resume(pairs []Pair, refused func(Pair, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := make(map[uint16]bool, len(pairs))
	for _, pair := range pairs {
		wanted[pair.RTP.Port()] = true
	}
	there := p.take(wanted)
	for _, pair := range pairs {
		port := pair.RTP.Port()
		if !there[port] {
			refused(pair, errors.New("it is none of the ports that are lent, or there twice"))
			continue
		}
		there[port] = false
		if err := p.both(pair); err != nil {
			refused(pair, err)
			continue
		}
		p.lent++
		p.say(pair, true)
	}
}

// take takes the wanted ports out of the free ones, and says which were there.
func (p *Pool) take(wanted map[uint16]bool) (there map[uint16]bool) {
	there = make(map[uint16]bool, len(wanted))
	kept := p.free[:0]
	for _, port := range p.free {
		if wanted[port] {
			there[port] = true
		} else {
			kept = append(kept, port)
		}
	}
	p.free = kept
	return there
}

// both opens a pair that is not among the free ones. When it cannot be opened, Sweep
// frees it.
func (p *Pool) both(pair Pair) error {
	err := p.sockets.Open(pair.RTP)
	if err == nil {
		err = p.sockets.Open(pair.RTCP)
	}
	if err != nil {
		p.closing = append(p.closing, pair)
	}
	return err
}

// Rest has pairs rest on that did so in a process before this one, each since its
// time. It comes before any Lend. A pair whose rest is over by now, or that is lent,
// or cannot be had, is left alone.
func (p *Pool) Rest(since map[Pair]time.Time, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := make(map[uint16]bool, len(since))
	for pair, at := range since {
		if now.Sub(at) < p.rest {
			wanted[pair.RTP.Port()] = true
		}
	}
	there := p.take(wanted)
	for pair, at := range since {
		if there[pair.RTP.Port()] && p.both(pair) == nil {
			p.resting = append(p.resting, resting{pair, at})
		}
	}
}

// Resting yields the pairs that rest, and since when.
func (p *Pool) Resting(yield func(Pair, time.Time) bool) {
	p.mu.Lock()
	all := append([]resting(nil), p.resting...)
	p.mu.Unlock()
	for _, r := range all {
		if !yield(r.pair, r.since) {
			return
		}
	}
}
