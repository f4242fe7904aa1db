package call

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/relay/ports"
)

// Restore goes on with the calls of a process before this one, by what its journal
// knows: their ports are lent and open again, their legs in force, with the counts
// they had where the table kept those. It comes before anything else. A call of which
// something cannot be had any more is left out, its ports rest; lost says why.
func (r *Registry) Restore(known map[string][]byte, now time.Time) (calls int, lost []error) {
	states, rest := sort(known)
	var all []*Call
	for id, state := range states {
		c, err := r.read(id, state)
		if err != nil {
			lost = append(lost, err)
			continue
		}
		c.resumed = now
		all = append(all, c)
	}
	gone := r.reopen(all)
	for _, c := range all {
		if err := gone[c]; err != nil {
			lost = append(lost, err)
			continue
		}
		if err := r.resume(c); err != nil {
			lost = append(lost, fmt.Errorf("call %s: %w", c.ID, err))
			c.mu.Lock()
			r.end(c, Failed, now)
			c.mu.Unlock()
			continue
		}
		calls++
	}
	for bind, since := range rest {
		if pool := r.poolOf(bind); pool != nil {
			pool.Rest(since, now)
		}
	}
	return calls, lost
}

// read makes a call of its state.
func (r *Registry) read(id string, state []byte) (*Call, error) {
	c := &Call{noted: true}
	missing := place{}
	d := coder{b: state, reading: true}
	d.state(c, func(at place) *Interface {
		for i := range r.cfg.Interfaces {
			if f := &r.cfg.Interfaces[i]; f.Name == at.name && f.Bind == at.bind {
				return f
			}
		}
		missing = at
		return nil
	})
	switch {
	case missing.bind.IsValid():
		return nil, fmt.Errorf("call %s: it has ports of interface %s, %v, which is none of ours any more", id, missing.name, missing.bind)
	case d.bad || len(d.b) > 0 || c.ID != id || len(c.forks) == 0:
		return nil, fmt.Errorf("call %s: its state cannot be read", id)
	}
	return c, nil
}

// reopen lends the pairs of calls again, of each pool at once, and says which calls
// cannot have theirs. What these could have had rests.
func (r *Registry) reopen(calls []*Call) (gone map[*Call]error) {
	gone = make(map[*Call]error)
	wanted := make(map[*ports.Pool][]ports.Pair)
	for _, c := range calls {
		for h := range c.halves() {
			wanted[h.face.Pool] = append(wanted[h.face.Pool], h.pair)
		}
	}
	refused := make(map[netip.AddrPort]error)
	for pool, pairs := range wanted {
		pool.Resume(pairs, func(pair ports.Pair, why error) { refused[pair.RTP] = why })
	}
	for _, c := range calls {
		for h := range c.halves() {
			if why := refused[h.pair.RTP]; why != nil {
				gone[c] = fmt.Errorf("call %s: its port %v cannot be had again: %w", c.ID, h.pair.RTP, why)
			}
		}
		if gone[c] == nil {
			continue
		}
		for h := range c.halves() {
			if refused[h.pair.RTP] == nil {
				h.face.Pool.Return(h.pair, time.Now())
			}
		}
	}
	return gone
}

// halves yields those of every fork.
func (c *Call) halves() func(yield func(*half) bool) {
	return func(yield func(*half) bool) {
		for _, f := range c.forks {
			for h := range f.halves() {
				if !yield(h) {
					return
				}
			}
		}
	}
}

// resume puts a call whose ports are open into the books and its legs into force.
func (r *Registry) resume(c *Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.mu.Lock()
	r.calls[c.ID] = c
	for _, f := range c.forks {
		for _, s := range f.streams {
			for _, h := range s.halves {
				if h != nil {
					r.own(c, f, s, h)
				}
			}
		}
	}
	r.mu.Unlock()
	put := r.table.Put
	if r.cfg.Resume != nil {
		put = r.cfg.Resume
	}
	var errs []error
	for _, f := range c.forks {
		for _, s := range f.streams {
			errs = append(errs, r.programmeBy(put, c, f, s))
		}
	}
	return errors.Join(errs...)
}

// own enters the ports of h into the books; r.mu is held.
func (r *Registry) own(c *Call, f *fork, s *stream, h *half) {
	r.owners[h.pair.RTP] = owner{c, f, s, h, &h.rtp}
	r.owners[h.pair.RTCP] = owner{c, f, s, h, &h.rtcp}
}

// poolOf is the pool of one of our addresses, or nil.
func (r *Registry) poolOf(bind netip.Addr) *ports.Pool {
	for i := range r.cfg.Interfaces {
		if f := &r.cfg.Interfaces[i]; f.Bind == bind {
			return f.Pool
		}
	}
	return nil
}
