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

// find is the process with the key, nil when there is none. mu is held.
func (n *nodes) find(key nodeKey) *node {
	for _, d := range n.byName[key.name] {
		if d.key == key {
			return d
		}
	}
	return nil
}

// keep keeps those of a name's processes that ok tells. mu is held.
func (n *nodes) keep(name string, ok func(*node) bool) {
	all := n.byName[name]
	kept := slices.DeleteFunc(slices.Clone(all), func(d *node) bool { return !ok(d) })
	n.count -= len(all) - len(kept)
	if n.byName[name] = kept; len(kept) == 0 {
		delete(n.byName, name)
	}
}

// makeWay forgets the earlier processes of a node that begins anew, which were silent
// for a while. A crash every second, or a liar, gets no more than maxRivals. mu is held.
func (n *nodes) makeWay(name string, now time.Time) {
	n.keep(name, func(d *node) bool { return now.Sub(d.spoke) <= rivalFor })
	if all := n.byName[name]; len(all) >= maxRivals {
		n.keep(name, func(d *node) bool { return d != all[0] }) // they are in the order in which they came
	}
}

// replaced tells whether another process took the place of d, which is one of all.
func (d *node) replaced(all []*node) bool {
	return slices.ContainsFunc(all, func(e *node) bool { return e.first.After(d.spoke) })
}

// rivals are those of all that speak by turns with d, and so are no earlier or later
// process of the same node.
func (d *node) rivals(all []*node, now time.Time) (rivals []*node) {
	for _, e := range all {
		if e != d && !d.first.After(e.spoke) && !e.first.After(d.spoke) && now.Sub(d.spoke) < rivalFor && now.Sub(e.spoke) < rivalFor {
			rivals = append(rivals, e)
		}
	}
	return rivals
}

// each gives do every process that counts, with its rivals. mu is held.
func (n *nodes) each(now time.Time, do func(d *node, rivals []*node)) {
	for _, all := range n.byName {
		for _, d := range all {
			if !d.replaced(all) {
				do(d, d.rivals(all, now))
			}
		}
	}
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
	d := n.find(s.nodeKey)
	if d == nil {
		return nil, false
	}
	notes = d.notes(d.rivals(n.byName[s.name], time.Now()))
	kinds := fmt.Sprint(len(notes), d.clock.Wrong())
	news = d.said != "" && kinds != d.said || d.said == "" && len(notes) > 0
	d.said = kinds
	return notes, news
}
