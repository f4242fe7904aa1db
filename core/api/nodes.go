package api

import (
	"bytes"
	"cmp"
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
	byName map[string][]*node
	count  int
}

type node struct {
	key       nodeKey
	from      string    // the address it speaks from
	first     time.Time // when it was first heard of
	spoke     time.Time // when it last began a call
	heard     time.Time // or ended one
	clock     protocol.Clock
	said      string // which notes are in the log
	watching  int
	report    protocol.Report // the last, without what is kept elsewhere
	reported  bool
	counters  map[cell]uint64
	speed     map[cell]float64 // packets a second
	measured  time.Time        // when counters were last compared, with then
	then      map[cell]uint64
	questions []question
	calls     []callsQuestion
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

type callsQuestion struct {
	protocol.CallsQuestion
	until time.Time
}

func newNodes() *nodes { return &nodes{byName: map[string][]*node{}} }

var errNodes = errors.New("api: more nodes than one core can serve")

// node is the node that speaks now. mu is held.
func (n *nodes) node(s speaker) (*node, error) {
	now := time.Now()
	d := n.find(s.nodeKey)
	if d == nil {
		n.makeWay(s.name, now)
		if n.count >= maxNodes {
			return nil, errNodes
		}
		d = &node{key: s.nodeKey, first: now, wake: make(chan struct{})}
		n.byName[s.name] = append(n.byName[s.name], d)
		n.count++
	}
	d.from, d.spoke, d.heard = s.from, now, now
	return d, nil
}

// watch waits until there is something for the node to do, at most protocol.Hold,
// and returns it as the JSON of protocol.Orders. When ctx ends there is nothing.
func (n *nodes) watch(ctx context.Context, s speaker, w protocol.Watch, look func() (notice, <-chan struct{})) ([]byte, error) {
	hold := time.NewTimer(protocol.Hold)
	defer hold.Stop()
	n.mu.Lock()
	d, err := n.node(s)
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
		questions, calls, wake := d.take(), d.takeCalls(), d.wake
		n.mu.Unlock()
		if orders := now.orders(w, questions, calls); orders != nil {
			return orders, nil
		}
		select {
		case <-changed:
		case <-wake:
		case <-hold.C:
			return orders(nil), nil
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
func (n *notice) orders(w protocol.Watch, questions []protocol.Question, calls []protocol.CallsQuestion) []byte {
	var b bytes.Buffer
	part := func(name string, value []byte) {
		fmt.Fprintf(&b, ",%q:", name)
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
	if len(calls) > 0 {
		text, err := json.Marshal(calls)
		if err != nil {
			text = []byte("[]") // and so do words
		}
		part("calls", text)
	}
	if b.Len() == 0 {
		return nil
	}
	return orders(b.Bytes())
}

// orders are parts, each with a comma before it, behind the time.
func orders(parts []byte) []byte {
	now := time.Now().UTC().AppendFormat([]byte(`{"now":"`), time.RFC3339Nano)
	return append(append(append(now, '"'), parts...), '}')
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
// can be expected to answer, and returns who was asked.
func (n *nodes) ask(name string, q protocol.Question, until time.Time) []nodeKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	var asked []nodeKey
	n.each(time.Now(), func(d *node, _ []*node) {
		if name != "" && d.key.name != name {
			return
		}
		if d.watching == 0 && time.Since(d.heard) > nodeAnswers || len(d.questions) >= maxQuestions {
			return
		}
		d.questions = append(d.questions, question{q, until})
		close(d.wake)
		d.wake = make(chan struct{})
		asked = append(asked, d.key)
	})
	return asked
}

// known tells whether there is a node of that name.
func (n *nodes) known(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.byName[name]) > 0
}

// forget drops nodes that were silent for a day.
func (n *nodes) forget(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.byName {
		n.keep(name, func(d *node) bool { return d.watching > 0 || now.Sub(d.heard) <= nodeForgotten })
	}
}

// A NodeStatus is a node as people see it.
type NodeStatus struct {
	Name          string    `json:"name"`
	Instance      string    `json:"instance" doc:"of this process; nodes that go by one name differ in it"`
	Address       string    `json:"address" doc:"where its calls come from"`
	Role          string    `json:"role" doc:"edge, relay or up; empty until it reported"`
	Mode          string    `json:"mode" doc:"native, generic, user or off"`
	Reason        string    `json:"reason" doc:"why the mode is not better"`
	Devices       []string  `json:"devices"`
	LastSeen      time.Time `json:"last_seen"`
	Gone          bool      `json:"gone" doc:"silent for a minute; forgotten after a day"`
	PolicyVersion uint64    `json:"policy_version"`
	TableVersion  string    `json:"table_version" doc:"of its country database; empty: countries are off"`
	ClockAhead    float64   `json:"clock_ahead" doc:"seconds by which its clock is ahead of core's"`
	Notes         []string  `json:"notes" doc:"what an operator should set right"`
}

// status lists all nodes by name.
func (n *nodes) status() []NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]NodeStatus, 0, n.count)
	n.each(time.Now(), func(d *node, rivals []*node) {
		all = append(all, NodeStatus{
			Name: d.key.name, Instance: d.key.instance, Address: d.from, ClockAhead: d.clock.Ahead().Seconds(), Notes: d.notes(rivals),
			Role: d.report.Role, Mode: d.report.Mode, Reason: d.report.Reason,
			Devices: append([]string{}, d.report.Devices...), LastSeen: d.heard.UTC(), Gone: !d.alive(),
			PolicyVersion: d.report.PolicyVersion, TableVersion: d.report.TableVersion,
		})
	})
	slices.SortFunc(all, func(a, b NodeStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Instance, b.Instance))
	})
	return all
}

func (d *node) alive() bool { return d.watching > 0 || time.Since(d.heard) < nodeAlive }
