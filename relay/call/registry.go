package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// Refusals. Their text is what the edge is told.
var (
	ErrUnknownCall = errors.New("unknown call-id")
	ErrUnknownTag  = errors.New("unknown tag")
	ErrTooMany     = errors.New("too many calls")
)

const (
	maxTags    = 64 // of one call; forks beyond are refused
	maxStreams = 8  // that carry media, of one call

	// A call nobody answers is over for the phones after three minutes
	// (RFC 3261 §16.6, timer C).
	unanswered = 180 * time.Second
	// A call on hold may be silent for so long.
	holdIdle = time.Hour
)

// Config is what a Registry needs.
type Config struct {
	Interfaces []Interface // the first is the default
	MaxCalls   int
	Idle       time.Duration // a call without a packet either way for so long is over
	Latch      time.Duration // see end
	Log        *slog.Logger
}

// A Registry is the calls of a relay.
type Registry struct {
	cfg   Config
	table forward.Table
	log   *slog.Logger

	mu     sync.RWMutex // guards the fields below
	calls  map[string]*Call
	owners map[netip.AddrPort]owner // of lent ports
	ends   [reasons]uint64
}

type owner struct {
	call   *Call
	stream *stream
	end    *end
}

// New makes an empty registry over table.
func New(cfg Config, table forward.Table) *Registry {
	return &Registry{
		cfg: cfg, table: table, log: cfg.Log,
		calls: make(map[string]*Call), owners: make(map[netip.AddrPort]owner),
	}
}

// A Reason is why a call ended.
type Reason uint8

// The reasons.
const (
	Deleted    Reason = iota // by command
	Idle                     // nothing came for too long
	Unanswered               // no answer in time
	Failed                   // its first offer could not be served
	reasons
)

// Reasons lists all reasons, for metrics.
func Reasons() []Reason { return []Reason{Deleted, Idle, Unanswered, Failed} }

// String names r as metrics do.
func (r Reason) String() string {
	return [reasons]string{"deleted", "idle", "unanswered", "failed"}[r%reasons]
}

// Counts is how many calls and lent legs there are, and how many calls ended why.
func (r *Registry) Counts() (calls, legs int, ended [reasons]uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.calls), len(r.owners), r.ends
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
		return nil, fmt.Errorf("%w: %d", ErrTooMany, len(r.calls))
	}
	c := &Call{ID: id, created: now, lastSignal: now, tags: make(map[string]*monologue)}
	c.mu.Lock()
	r.calls[id] = c
	return c, nil
}

// lend gets a pair of ports for h of the call, which is locked.
func (r *Registry) lend(c *Call, s *stream, face *Interface) (*half, error) {
	pair, err := face.Pool.Lend()
	if err != nil {
		return nil, err
	}
	h := &half{pool: face.Pool, pair: pair, rtp: end{local: pair.RTP}, rtcp: end{local: pair.RTCP}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners[pair.RTP] = owner{c, s, &h.rtp}
	r.owners[pair.RTCP] = owner{c, s, &h.rtcp}
	return h, nil
}

// end ends the call, which is locked: its legs are served no more, its ports rest.
func (r *Registry) end(c *Call, why Reason, now time.Time) {
	c.ended = true
	var spared, used []*half
	for _, s := range c.streams {
		for _, h := range s.halves {
			switch {
			case h == nil:
			case r.silence(h) && !c.answered:
				spared = append(spared, h)
			default:
				used = append(used, h)
			}
		}
	}
	r.forget(c, why, spared, used)
	// Only now may another call have the pairs: its entries would be taken for ours.
	for _, h := range used {
		h.pool.Return(h.pair, now)
	}
	for _, h := range spared {
		h.pool.Spare(h.pair)
	}
}

// silence takes h out of the table and tells whether nothing ever came to it.
func (r *Registry) silence(h *half) bool {
	var all uint64
	for _, local := range []netip.AddrPort{h.pair.RTP, h.pair.RTCP} {
		// Not there when the other half never came to be; then nothing came.
		counts, _ := r.table.Delete(local)
		all += counts.Packets + counts.WrongSource + counts.NotRTP + counts.STUN
	}
	return all == 0
}

// forget takes a call that has ended out of the books.
func (r *Registry) forget(c *Call, why Reason, halves ...[]*half) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, c.ID)
	r.ends[why]++
	for _, h := range slices.Concat(halves...) {
		delete(r.owners, h.pair.RTP)
		delete(r.owners, h.pair.RTCP)
	}
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
	if c.ended || c.owns(from) {
		return false
	}
	pinned := o.end.pinned
	yes := o.end.learn(from, time.Now(), r.cfg.Latch)
	if !yes && o.end.pinned == pinned {
		return false
	}
	return r.programme(o.stream) == nil && yes
}

// owns says whether addr is one of the call's own ports: a call that hears
// itself would do so for ever.
func (c *Call) owns(addr netip.AddrPort) bool {
	for e := range c.ends() {
		if e.local == addr {
			return true
		}
	}
	return false
}

// Sweep ends the calls that are over though nobody said so.
func (r *Registry) Sweep(now time.Time) {
	r.mu.RLock()
	all := make([]*Call, 0, len(r.calls))
	for _, c := range r.calls {
		all = append(all, c)
	}
	r.mu.RUnlock()
	for _, c := range all {
		c.mu.Lock()
		if why, over := r.over(c, now); !c.ended && over {
			r.end(c, why, now)
			r.log.Log(context.Background(), level(c), "call ended without a word", "call", c.ID, "why", why.String())
		}
		c.mu.Unlock()
	}
}

// level is how loud a call is. One that is not answered yet may be a stranger's,
// whom core will refuse: nobody may fill our log.
func level(c *Call) slog.Level {
	if c.answered {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (r *Registry) over(c *Call, now time.Time) (Reason, bool) {
	if !c.answered {
		return Unanswered, now.Sub(c.created) > unanswered
	}
	limit := r.cfg.Idle
	if c.onHold() {
		limit = max(limit, holdIdle)
	}
	last := c.lastSignal
	if now.Sub(last) <= limit {
		return Idle, false
	}
	for e := range c.ends() {
		if counts, err := r.table.Counts(e.local); err == nil && counts.LastSeen.After(last) {
			last = counts.LastSeen
		}
	}
	return Idle, now.Sub(last) > limit
}
