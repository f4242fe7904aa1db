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
	window  window        // now
	last    window        // the interval before, whole
	talk    time.Duration // of all calls that have ended, as of the last second
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

	// In an interval: commands in the second that has begun, and in those of its whole
	// seconds that had fewest and most.
	second            uint64
	rarest, mostOften uint64
}

func (t *timing) add(d time.Duration) {
	if t.n == 0 || d < t.least {
		t.least = d
	}
	t.most = max(t.most, d)
	t.all += d
	t.n++
	t.second++
}

// A window is one interval.
type window struct {
	begun    time.Time
	counts   map[string]*timing
	min, max int // of calls
	seconds  int // that were looked at

	talk   time.Duration // that calls that had ended before it lasted
	talked time.Duration // that those that ended in it did, once it is over
}

// counted are the commands of statistics, with rtpengine's short names.
func counted() []struct{ name, short string } {
	return []struct{ name, short string }{
		{ng.Ping, "ping"}, {ng.Offer, "offer"}, {ng.Answer, "answer"}, {ng.Delete, "delete"}, {ng.Query, "query"}, {ng.List, "list"},
		{ng.BlockDTMF, "blkdtmf"}, {ng.UnblockDTMF, "unblkdtmf"}, {ng.BlockMedia, "blkmedia"}, {ng.UnblockMedia, "unblkmedia"},
		{ng.PlayDTMF, "playdtmf"}, {ng.Statistics, "stats"}, {ng.SilenceMedia, "slnmedia"}, {ng.UnsilenceMedia, "unslnmedia"},
		// What is asked for in vain is counted, too.
		{ng.StartRecording, "startrec"}, {ng.StopRecording, "stoprec"}, {ng.PauseRecording, "pauserec"},
		{ng.StartForwarding, "startfwd"}, {ng.StopForwarding, "stopfwd"}, {ng.PlayMedia, "playmedia"}, {ng.StopMedia, "stopmedia"},
		{ng.Publish, "pub"}, {ng.SubscribeRequest, "subreq"}, {ng.SubscribeAnswer, "subans"}, {ng.Unsubscribe, "unsub"}, {ng.Connect, "connect"},
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

// second notes, once a second, how many calls there are and how long those that ended
// lasted, and how often each command came since it was called last.
func (c *commands) second(calls int, talk time.Duration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.talk = talk
	c.turn(now)
	w := &c.window
	if w.seconds == 0 || calls < w.min {
		w.min = calls
	}
	w.max = max(w.max, calls)
	for _, t := range w.counts {
		if w.seconds == 0 || t.second < t.rarest {
			t.rarest = t.second
		}
		t.mostOften = max(t.mostOften, t.second)
		t.second = 0
	}
	w.seconds++
}

// turn begins a new interval when it is time.
func (c *commands) turn(now time.Time) {
	switch age := now.Sub(c.window.begun); {
	case age < interval:
		return
	case age < 2*interval:
		c.last = c.window
		c.last.talked = c.talk - c.last.talk
	default:
		c.last = window{}
	}
	c.window = window{begun: now, counts: make(map[string]*timing), talk: c.talk}
}
