package relay

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

const (
	interval   = time.Minute // of interval statistics
	maxProxies = 64          // that are counted apart
)

// commands counts what proxies asked of a relay and how long that took.
type commands struct {
	mu      sync.Mutex // guards the fields below
	proxies map[netip.Addr]*proxy
	window  window // now
	last    window // the interval before, whole
}

// A proxy is who sent commands.
type proxy struct {
	counts map[string]*timing // by command
	errors uint64
}

// A timing is how often something was done and how long it took.
type timing struct {
	n           uint64
	all         time.Duration
	least, most time.Duration
}

func (t *timing) add(d time.Duration) {
	if t.n == 0 || d < t.least {
		t.least = d
	}
	t.most = max(t.most, d)
	t.all += d
	t.n++
}

// A window is one interval.
type window struct {
	begun    time.Time
	counts   map[string]*timing
	min, max int // of calls
	sampled  bool
}

// counted are the commands of statistics, with rtpengine's short names.
func counted() []struct{ name, short string } {
	return []struct{ name, short string }{
		{ng.Ping, "ping"}, {ng.Offer, "offer"}, {ng.Answer, "answer"}, {ng.Delete, "delete"}, {ng.Query, "query"}, {ng.List, "list"},
		{ng.BlockDTMF, "blkdtmf"}, {ng.UnblockDTMF, "unblkdtmf"}, {ng.BlockMedia, "blkmedia"}, {ng.UnblockMedia, "unblkmedia"},
		{ng.PlayDTMF, "playdtmf"}, {ng.Statistics, "stats"}, {ng.SilenceMedia, "slnmedia"}, {ng.UnsilenceMedia, "unslnmedia"},
	}
}

// add counts a command. Names that are not ours are not counted by name.
func (c *commands) add(from netip.Addr, name string, took time.Duration, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(time.Now())
	p := c.proxies[from]
	if p == nil && len(c.proxies) < maxProxies {
		if c.proxies == nil {
			c.proxies = make(map[netip.Addr]*proxy)
		}
		p = &proxy{counts: make(map[string]*timing)}
		c.proxies[from] = p
	}
	for _, known := range counted() {
		if known.name != name {
			continue
		}
		count(c.window.counts, name, took)
		if p != nil {
			count(p.counts, name, took)
		}
	}
	if p != nil && result == ng.ResultError {
		p.errors++
	}
}

func count(in map[string]*timing, name string, took time.Duration) {
	if in[name] == nil {
		in[name] = &timing{}
	}
	in[name].add(took)
}

// calls notes how many calls there are.
func (c *commands) calls(n int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	w := &c.window
	if !w.sampled || n < w.min {
		w.min = n
	}
	w.max = max(w.max, n)
	w.sampled = true
}

// turn begins a new interval when it is time.
func (c *commands) turn(now time.Time) {
	switch age := now.Sub(c.window.begun); {
	case age < interval:
		return
	case age < 2*interval:
		c.last = c.window
	default:
		c.last = window{}
	}
	c.window = window{begun: now, counts: make(map[string]*timing)}
}
