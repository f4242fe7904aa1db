package shield

import (
	"sync"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

const (
	maxSeen   = 2048            // sources in one report
	maxTop    = 512             // sources counted for the list of those that send most
	topPeriod = 5 * time.Second // that list is of the last one to two of these
)

// notes are what samples say of sources: for core since the last report, and for
// who looks now. Both are bounded: a flood of forged sources fills them with its
// own, and says so by how many it is.
type notes struct {
	mu     sync.Mutex // guards the fields below
	report map[judge.Key]protocol.Seen
	unseen uint64 // packets sampled of sources that found no room in a report
	recent *recent
}

func newNotes(now time.Time) *notes {
	return &notes{report: map[judge.Key]protocol.Seen{}, recent: newRecent(maxTop, topPeriod, now)}
}

// takeSamples notes what the filter sampled since the last time.
func (g *Guard) takeSamples(now time.Time) {
	n := g.notes
	n.mu.Lock()
	defer n.mu.Unlock()
	err := g.post.Load().samples(func(s bpf.Sample) {
		k := judge.KeyOf(s.Source)
		n.add(k, protocol.Seen{
			Address: prefixOf(k).Addr(),
			Country: geo.Country(s.Country).String(),
			Class:   policy.Class(s.Class).String(),
			Service: policy.Service(s.Service).ForPeople(),
			Verdict: policy.Verdict(s.Verdict).String(),
			Packets: uint64(s.Weight),
		}, now)
	})
	if err != nil {
		g.tallied.sampleFaults.Add(1)
	}
}

// add notes one sample. n.mu is held.
func (n *notes) add(k judge.Key, s protocol.Seen, now time.Time) {
	n.recent.add(k, s, now)
	old, ok := n.report[k]
	if !ok && len(n.report) >= maxSeen {
		n.unseen += s.Packets
		return
	}
	s.Packets += old.Packets
	n.report[k] = s
}

// unlisted counts the packets of sources that found no room in a report.
func (n *notes) unlisted() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unseen
}

// take hands over the notes of one report.
func (n *notes) take() map[judge.Key]protocol.Seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.report
	n.report = map[judge.Key]protocol.Seen{}
	return out
}

// giveBack returns the notes of a report that core did not take.
func (n *notes) giveBack(report map[judge.Key]protocol.Seen) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, s := range report {
		if newer, ok := n.report[k]; ok {
			newer.Packets += s.Packets
			n.report[k] = newer
		} else if len(n.report) < maxSeen {
			n.report[k] = s
		}
	}
}

// top lists the sources that send most, and over how long they were counted.
func (n *notes) top(limit int, now time.Time) ([]protocol.Seen, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list, over := n.recent.top(now)
	return list[:min(limit, len(list))], over
}

// Top is what happens now, for people.
type Top struct {
	Counters []protocol.Counter `json:"counters"` // totals since the filter was attached
	Sources  []protocol.Seen    `json:"sources"`  // that sent most lately, estimated
	Seconds  float64            `json:"seconds"`  // how long "lately" is
}

// Top reads the counters and lists up to limit sources.
func (g *Guard) Top(limit int) (Top, error) {
	c, err := g.countersNow()
	if err != nil {
		return Top{}, err
	}
	list, over := g.notes.top(limit, time.Now())
	return Top{Counters: c, Sources: list, Seconds: over.Seconds()}, nil
}

// countersNow are the counters that are not zero.
func (g *Guard) countersNow() ([]protocol.Counter, error) {
	all, err := g.post.Load().counters()
	if err != nil {
		return nil, err
	}
	out := []protocol.Counter{}
	for c := range all {
		for v, n := range all[c] {
			if n != 0 {
				out = append(out, protocol.Counter{Country: geo.Country(c).String(), Verdict: policy.Verdict(v).String(), Packets: n})
			}
		}
	}
	return out, nil
}
