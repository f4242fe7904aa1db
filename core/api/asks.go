package api

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxAsks is how many may wait for answers of one kind at once.
const maxAsks = 256

// asks are the questions to nodes that somebody waits for the answers of, which are A.
type asks[A any] struct {
	mu   sync.Mutex // guards open
	open map[string]*ask[A]
}

type ask[A any] struct {
	waiting map[nodeKey]bool // nodes that have not answered; guarded by asks.mu
	answers chan said[A]
}

// A said is what a node answered.
type said[A any] struct {
	node  nodeKey
	shown string // how people read its name
	what  A
}

func newAsks[A any]() *asks[A] { return &asks[A]{open: map[string]*ask[A]{}} }

var errAsks = errors.New("api: too many questions at once")

// begin makes room for the answers to the question with the id.
func (s *asks[A]) begin(id string) (*ask[A], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= maxAsks {
		return nil, errAsks
	}
	q := &ask[A]{waiting: map[nodeKey]bool{}, answers: make(chan said[A], maxNodes)}
	s.open[id] = q
	return q, nil
}

func (s *asks[A]) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

// of says which nodes were asked. An answer that came before this is not lost.
func (s *asks[A]) of(q *ask[A], nodes []nodeKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range nodes {
		if _, answered := q.waiting[key]; !answered {
			q.waiting[key] = true
		}
	}
}

// answered hands a node's answer to the question with the id to who asked it. It
// never blocks: a node answers a question once.
func (s *asks[A]) answered(node nodeKey, shown, id string, what A) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.open[id]
	if q == nil {
		return // too late, or never asked
	}
	if waits, known := q.waiting[node]; known && !waits {
		return
	}
	q.waiting[node] = false
	select {
	case q.answers <- said[A]{node, shown, what}:
	default: // more nodes than there can be
	}
}

// gather waits until all who were asked have answered, at most for limit.
func gather[A any](ctx context.Context, q *ask[A], asked []nodeKey, limit time.Duration) (all []said[A]) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for len(all) < len(asked) {
		select {
		case s := <-q.answers:
			all = append(all, s)
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	return all
}
