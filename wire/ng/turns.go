package ng

import (
	"net/netip"
	"sync"
)

// turns are the jobs that wait for a worker: those of one source in the order they
// came, the sources in turns. So whoever sends many at once waits for itself, and
// nobody else for more than one command of each of the others.
type turns struct {
	room chan struct{} // a place for each job that waits
	wake chan struct{} // there is something to take

	mu      sync.Mutex // guards the fields below
	sources map[netip.AddrPort]*source
	line    []*source // those that have jobs; the first is next
}

// A source is an address and port that commands came from: one connection, or one
// socket of a proxy.
type source struct {
	at   netip.AddrPort
	jobs []job
}

func newTurns(room int) *turns {
	return &turns{room: make(chan struct{}, room), wake: make(chan struct{}, 1), sources: make(map[netip.AddrPort]*source)}
}

// put adds j. The caller has a place in room.
func (t *turns) put(j job) {
	t.mu.Lock()
	s := t.sources[j.from]
	if s == nil {
		s = &source{at: j.from}
		t.sources[j.from] = s
		t.line = append(t.line, s)
	}
	s.jobs = append(s.jobs, j)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take removes the next job, or says that there is none.
func (t *turns) take() (j job, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.line) == 0 {
		return job{}, false
	}
	s := t.line[0]
	t.line[0] = nil // append moves the rest on when it grows
	t.line = t.line[1:]
	j, s.jobs[0] = s.jobs[0], job{}
	if s.jobs = s.jobs[1:]; len(s.jobs) > 0 {
		t.line = append(t.line, s)
	} else {
		delete(t.sources, s.at)
	}
	<-t.room
	return j, true
}
