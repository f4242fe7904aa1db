package call

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/journal"
	"github.com/lindero/lindero/wire/session"
)

// Refusals. Their text is what the edge is told.
var (
	ErrUnknownCall = errors.New("unknown call-id")
	ErrUnknownTag  = errors.New("unknown tag")
	ErrTooMany     = errors.New("too many calls")
)

const (
	maxTags    = 64 // of one call
	maxForks   = 16 // of one call
	maxStreams = 8  // that carry media, of one SDP

	maxDelay = 5 * time.Minute // of a delete
)

// Config is what a Registry needs.
type Config struct {
	Interfaces  []Interface // the first is the default
	First, Last uint16      // the ports that are lent
	MaxCalls    int
	Idle        time.Duration // a call without a packet either way for so long is over
	Latch       time.Duration // see end
	Addresses   Policy
	Log         *slog.Logger

	// Send sends a packet of ours, as Play does to who hears nothing else; nil: such
	// parties hear nothing.
	Send func(via, to netip.AddrPort, b []byte) error

	// Over is told of every call that ends, under locks; nil: nobody is.
	Over func(Summary)

	// Admit says why a new call may not begin; nil: only MaxCalls counts. It is called
	// under locks and may not wait.
	Admit func() error

	Name     string                          // of the relay, in sessions
	Resume   func(forward.Leg) error         // puts a leg of a process before this one into force, with its counts; nil: they begin anew
	Journal  *journal.Journal                // keeps calls for a process after this one; nil: nobody does
	Repeated func(local netip.AddrPort) bool // the kernel repeats that leg; nil: none
}

// A Registry is the calls of a relay.
type Registry struct {
	cfg   Config
	table forward.Table
	log   *slog.Logger
	seed  maphash.Seed
	turn  atomic.Uint32 // whose turn it is among addresses of one name

	mu     sync.RWMutex // guards the fields below
	calls  map[string]*Call
	owners map[netip.AddrPort]owner // of lent ports
	past   Totals                   // of calls that have ended
	last   []session.Session        // the last words about those, until Ended tells them

	playMu  sync.Mutex    // guards playing; whoever holds Call.mu may take it
	playing []played      // at most maxPlayers
	wake    chan struct{} // there is something to play
}

type owner struct {
	call   *Call
	fork   *fork
	stream *stream
	half   *half
	end    *end
}

// New makes an empty registry over table.
func New(cfg Config, table forward.Table) *Registry {
	return &Registry{
		cfg: cfg, table: table, log: cfg.Log, seed: maphash.MakeSeed(),
		calls: make(map[string]*Call), owners: make(map[netip.AddrPort]owner),
		wake: make(chan struct{}, 1),
	}
}

// List returns the IDs of at most limit live calls, sorted.
func (r *Registry) List(limit int) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := make([]string, 0, min(limit, len(r.calls)))
	for id := range r.calls {
		if len(ids) == limit {
			break
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// find returns the call, locked, or nil.
func (r *Registry) find(id string) *Call {
	r.mu.RLock()
	c := r.calls[id]
	r.mu.RUnlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	if c.ended { // between the two locks
		c.mu.Unlock()
		return nil
	}
	return c
}

// begin returns the call, locked, and makes it if it is not there.
func (r *Registry) begin(id string, now time.Time) (c *Call, fresh bool, err error) {
	for {
		if c = r.find(id); c != nil {
			return c, false, nil
		}
		if c, err = r.add(id, now); c != nil || err != nil {
			return c, true, err
		}
	}
}

// add makes the call and locks it; nil when somebody else just made it.
func (r *Registry) add(id string, now time.Time) (*Call, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls[id] != nil {
		return nil, nil
	}
	if len(r.calls) >= r.cfg.MaxCalls {
		return nil, fmt.Errorf("%w: %d, and the limit is %d", ErrTooMany, len(r.calls), r.cfg.MaxCalls)
	}
	if r.cfg.Admit != nil {
		if err := r.cfg.Admit(); err != nil {
			return nil, err
		}
	}
	c := &Call{ID: id, created: now, lastSignal: now, tags: make(map[string]*monologue)}
	c.mu.Lock()
	r.calls[id] = c
	return c, nil
}

// lend gets a pair of ports for a half of s in f of c, which is locked.
func (r *Registry) lend(c *Call, f *fork, s *stream, face *Interface) (*half, error) {
	pair, err := face.Pool.Lend()
	if err != nil {
		return nil, err
	}
	h := &half{face: face, pair: pair, rtp: end{local: pair.RTP}, rtcp: end{local: pair.RTCP}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own(c, f, s, h)
	return h, nil
}

// Learn is the forward.Learner: may a packet from from at local be believed?
func (r *Registry) Learn(local, from netip.AddrPort) bool {
	r.mu.RLock()
	o, ok := r.owners[local]
	r.mu.RUnlock()
	if !ok {
		return false
	}
	c := o.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || o.fork.ended || c.owns(from) {
		return false
	}
	pinned, source := o.end.pinned, o.end.from()
	yes := o.end.learn(from, time.Now(), r.cfg.Latch)
	if !yes && o.end.pinned == pinned {
		return false
	}
	if yes && pinned && source != from && o.end == &o.half.rtp {
		o.half.rtcp.anew()
	}
	err := r.programme(c, o.fork, o.stream)
	r.note(c)
	return err == nil && yes
}
