package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// How long a silent node is taken for alive, for one that may answer, and how long
// it is remembered; how many there may be, and how many questions wait for one.
const (
	nodeAlive     = time.Minute
	nodeAnswers   = 5 * time.Second
	nodeForgotten = 24 * time.Hour
	maxNodes      = 4096
	maxQuestions  = 64
)

// nodes are the edges and relays that speak to this core.
type nodes struct {
	mu     sync.Mutex // guards the fields below, and every node
	byName map[string]*node
}

type node struct {
	name      string
	heard     time.Time
	watching  int
	report    protocol.Report // the last, without what is kept elsewhere
	reported  bool
	counters  map[cell]uint64
	speed     map[cell]float64 // packets a second
	measured  time.Time        // when counters were last compared, with then
	then      map[cell]uint64
	questions []question
	wake      chan struct{} // closed when there are questions, and replaced
}

// A cell is one counter: a country's packets that ended in a verdict.
type cell struct {
	country geo.Country
	verdict policy.Verdict
}

type question struct {
	protocol.Question
	until time.Time // then nobody waits for the answer any more
}

func newNodes() *nodes { return &nodes{byName: map[string]*node{}} }

var errNodes = errors.New("api: more nodes than one core can serve")

// node is the node of that name, which has just been heard of. mu is held.
func (n *nodes) node(name string) (*node, error) {
	d := n.byName[name]
	if d == nil {
		if len(n.byName) >= maxNodes {
			return nil, errNodes
		}
		d = &node{name: name, wake: make(chan struct{})}
		n.byName[name] = d
	}
	d.heard = time.Now()
	return d, nil
}

// watch waits until there is something for the node to do, at most protocol.Hold,
// and returns it as the JSON of protocol.Orders. When ctx ends there is nothing.
func (n *nodes) watch(ctx context.Context, name string, w protocol.Watch, look func() (notice, <-chan struct{})) ([]byte, error) {
	hold := time.NewTimer(protocol.Hold)
	defer hold.Stop()
	n.mu.Lock()
	d, err := n.node(name)
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	d.watching++
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		d.watching--
		d.heard = time.Now()
	}()
	for {
		now, changed := look()
		n.mu.Lock()
		questions, wake := d.take(), d.wake
		n.mu.Unlock()
		if orders := now.orders(w, questions); orders != nil {
			return orders, nil
		}
		select {
		case <-changed:
		case <-wake:
		case <-hold.C:
			return []byte("{}"), nil
		case <-ctx.Done():
			return []byte("{}"), nil
		}
	}
}

// take gives the questions that somebody still waits for to whoever asks. mu is held.
func (d *node) take() []protocol.Question {
	var all []protocol.Question
	for _, q := range d.questions {
		if q.until.After(time.Now()) {
			all = append(all, q.Question)
		}
	}
	d.questions = nil
	return all
}

// orders is what the node does not know yet, as the JSON of protocol.Orders; nil
// for nothing. The big parts were written once for all nodes.
func (n *notice) orders(w protocol.Watch, questions []protocol.Question) []byte {
	var b bytes.Buffer
	part := func(name string, value []byte) {
		if b.Len() == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", name)
		b.Write(value)
	}
	if n.newPolicy(w) {
		part("policy", n.policyJSON)
	}
	if revision := n.bansRevision(); w.BansRevision != revision {
		part("bans_revision", fmt.Appendf(nil, "%q", revision))
		part("bans", n.bansJSON)
	}
	if len(questions) > 0 {
		text, err := json.Marshal(questions)
		if err != nil {
			text = []byte("[]") // plain words and addresses always marshal
		}
		part("questions", text)
	}
	if b.Len() == 0 {
		return nil
	}
	b.WriteByte('}')
	return b.Bytes()
}

// newPolicy tells whether a node wants the policy: it has another, or one of another
// history. A node that has the version in force which core cannot use keeps it.
func (n *notice) newPolicy(w protocol.Watch) bool {
	if n.fault != "" && w.PolicyVersion == n.revisions.Policy {
		return false
	}
	return w.PolicyVersion != n.policy.Number || !w.Made.IsZero() && !w.Made.Equal(n.policy.Made)
}

// bansRevision is never empty, since a node says that when it has none.
func (n *notice) bansRevision() string { return fmt.Sprint("b", n.revisions.Bans) }

// ask gives a question to the node called name, or, without a name, to all that
// can be expected to answer, and returns their names.
func (n *nodes) ask(name string, q protocol.Question, until time.Time) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var asked []string
	for _, d := range n.byName {
		if name != "" && d.name != name {
			continue
		}
		if d.watching == 0 && time.Since(d.heard) > nodeAnswers || len(d.questions) >= maxQuestions {
			continue
		}
		d.questions = append(d.questions, question{q, until})
		close(d.wake)
		d.wake = make(chan struct{})
		asked = append(asked, d.name)
	}
	slices.Sort(asked)
	return asked
}

// known tells whether there is a node of that name.
func (n *nodes) known(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byName[name] != nil
}

// forget drops nodes that were silent for a day.
func (n *nodes) forget(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, d := range n.byName {
		if d.watching == 0 && now.Sub(d.heard) > nodeForgotten {
			delete(n.byName, name)
		}
	}
}

// A NodeStatus is a node as people see it.
type NodeStatus struct {
	Name          string    `json:"name"`
	Role          string    `json:"role" doc:"edge, relay or up; empty until it reported"`
	Mode          string    `json:"mode" doc:"native, generic, user or off"`
	Reason        string    `json:"reason" doc:"why the mode is not better"`
	Devices       []string  `json:"devices"`
	LastSeen      time.Time `json:"last_seen"`
	Gone          bool      `json:"gone" doc:"silent for a minute; forgotten after a day"`
	PolicyVersion uint64    `json:"policy_version"`
	TableVersion  string    `json:"table_version" doc:"of its country database; empty: countries are off"`
}

// status lists all nodes by name.
func (n *nodes) status() []NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]NodeStatus, 0, len(n.byName))
	for _, d := range n.byName {
		all = append(all, NodeStatus{
			Name: d.name, Role: d.report.Role, Mode: d.report.Mode, Reason: d.report.Reason,
			Devices: append([]string{}, d.report.Devices...), LastSeen: d.heard.UTC(), Gone: !d.alive(),
			PolicyVersion: d.report.PolicyVersion, TableVersion: d.report.TableVersion,
		})
	}
	slices.SortFunc(all, func(a, b NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (d *node) alive() bool { return d.watching > 0 || time.Since(d.heard) < nodeAlive }
