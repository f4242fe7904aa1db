package call

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/lindero/lindero/relay/journal"
	"github.com/lindero/lindero/relay/ports"
)

// Keys of the journal: a call by its ID, a pair that rests by the address of its RTP.
const (
	callKey = "call "
	restKey = "rest "
)

// note writes the state of a call that is locked, after every change of it.
func (r *Registry) note(c *Call) {
	if r.cfg.Journal == nil || c.ended {
		return
	}
	b := r.cfg.Journal.Batch()
	b.Put(callKey+c.ID, func(b []byte) []byte {
		w := coder{b: b}
		w.state(c, nil)
		return w.b
	})
	r.cfg.Journal.Write(b)
	c.noted = true
}

// unnote says that a call ended, or that pairs rest since at which its forks had.
func (r *Registry) unnote(c *Call, rest []*half, at time.Time) {
	if r.cfg.Journal == nil {
		return
	}
	b := r.cfg.Journal.Batch()
	if c.ended && c.noted {
		b.Drop(callKey + c.ID)
		c.noted = false
	}
	for _, h := range rest {
		putRest(b, h.pair, at)
	}
	r.cfg.Journal.Write(b)
}

func putRest(b *journal.Batch, pair ports.Pair, since time.Time) {
	b.Put(restKey+pair.RTP.String(), func(b []byte) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(since.UnixNano()))
	})
}

// Rewrite has the journal keep what is true now, and no more.
func (r *Registry) Rewrite() error {
	return r.cfg.Journal.Rewrite(func() {
		for _, c := range r.all() {
			c.mu.Lock()
			r.note(c)
			c.mu.Unlock()
		}
		b := r.cfg.Journal.Batch()
		told := map[*ports.Pool]bool{}
		for i := range r.cfg.Interfaces {
			if pool := r.cfg.Interfaces[i].Pool; !told[pool] {
				told[pool] = true
				for pair, since := range pool.Resting {
					putRest(b, pair, since)
				}
			}
		}
		r.cfg.Journal.Write(b)
	})
}

// sort tells the states of calls from the pairs that rest, in what a journal knows:
// those by ID, these by the address they are of, and since when.
func sort(known map[string][]byte) (states map[string][]byte, rest map[netip.Addr]map[ports.Pair]time.Time) {
	states, rest = make(map[string][]byte), make(map[netip.Addr]map[ports.Pair]time.Time)
	for key, value := range known {
		if id, ok := strings.CutPrefix(key, callKey); ok {
			states[id] = value
			continue
		}
		text, ok := strings.CutPrefix(key, restKey)
		local, err := netip.ParseAddrPort(text)
		if !ok || err != nil || len(value) != 8 {
			continue
		}
		at := local.Addr()
		if rest[at] == nil {
			rest[at] = make(map[ports.Pair]time.Time)
		}
		pair := ports.Pair{RTP: local, RTCP: netip.AddrPortFrom(at, local.Port()+1)}
		rest[at][pair] = time.Unix(0, int64(binary.LittleEndian.Uint64(value)))
	}
	return states, rest
}
