package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lindero/lindero/shield/protocol"
)

// A nodeKey is one process of a node: its name, and what it made up when it started.
// Two nodes that go by one name by mistake are told apart by it.
type nodeKey struct{ name, instance string }

// A speaker is who makes a call of a node, and the address it comes from.
type speaker struct {
	nodeKey
	from string
}

// rivalFor is for how long after its last word a process counts as one that goes by
// its name; maxRivals is how many are told apart.
const (
	rivalFor    = 10 * time.Second
	maxRivals   = 8
	maxInstance = 64 // bytes
)

// ofName are the processes that go by a name, the newest first. mu is held.
func (n *nodes) ofName(name string) []*node {
	var all []*node
	for key, d := range n.byKey {
		if key.name == name {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *node) int { return b.first.Compare(a.first) })
	return all
}

// makeWay forgets the earlier processes of a node that begins anew, which were silent
// for a while. A crash every second, or a liar, gets no more than maxRivals. mu is held.
func (n *nodes) makeWay(name string, now time.Time) {
	others := n.ofName(name)
	for i, d := range others {
		if now.Sub(d.spoke) > rivalFor || i >= maxRivals-1 {
			delete(n.byKey, d.key)
		}
	}
}

// here are the processes that count, of each name the last, and those beside it that
// still speak: their rivals. mu is held.
func (n *nodes) here(now time.Time) map[*node][]*node {
	names := map[string][]*node{}
	for key, d := range n.byKey {
		names[key.name] = append(names[key.name], d)
	}
	out := make(map[*node][]*node, len(n.byKey))
	for _, all := range names {
		for _, d := range all {
			over := slices.ContainsFunc(all, func(e *node) bool { return e.first.After(d.spoke) })
			if over {
				continue // another process took its place
			}
			out[d] = nil
			for _, e := range all {
				if e != d && !d.first.After(e.spoke) && now.Sub(d.spoke) < rivalFor && now.Sub(e.spoke) < rivalFor {
					out[d] = append(out[d], e)
				}
			}
		}
	}
	return out
}

// notes say what an operator should set right. mu is held.
func (d *node) notes(rivals []*node) []string {
	all := []string{}
	if len(rivals) > 0 {
		at := make([]string, len(rivals))
		for i, r := range rivals {
			at[i] = r.from
		}
		slices.Sort(at)
		all = append(all, fmt.Sprintf("another node goes by this name too, at %s: each wants a name of its own (an edge's name, a relay's id)", strings.Join(at, " and ")))
	}
	if d.clock.Wrong() {
		ahead, which := d.clock.Ahead(), "ahead of"
		if ahead < 0 {
			ahead, which = -ahead, "behind"
		}
		all = append(all, fmt.Sprintf("its clock is %v %s core's; the ends of bans are corrected by it, but set the clocks right, as by NTP", ahead.Round(100*time.Millisecond), which))
	}
	return all
}

// shown is how an explanation names the process. mu is held.
func (d *node) shown(rivals []*node) string {
	if len(rivals) == 0 {
		return d.key.name
	}
	return d.key.name + " at " + d.from
}

// hello notes that a node speaks and what its clock says, and returns what is known
// of that clock.
func (n *nodes) hello(s speaker, theirs time.Time) (protocol.Clock, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.node(s)
	if err != nil {
		return protocol.Clock{}, err
	}
	d.clock.Heard(theirs, time.Now())
	return d.clock, nil
}

// news are the notes on a node when they say something else than the last time.
func (n *nodes) news(s speaker) (notes []string, news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.byKey[s.nodeKey]
	if d == nil {
		return nil, false
	}
	notes = d.notes(n.here(time.Now())[d])
	kinds := fmt.Sprint(len(notes), d.clock.Wrong())
	news = d.said != "" && kinds != d.said || d.said == "" && len(notes) > 0
	d.said = kinds
	return notes, news
}
