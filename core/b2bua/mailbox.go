package b2bua

import (
	"errors"
	"sync"
)

// maxMail is how many events may wait for one call. Nobody honest gets near; a
// phone that floods its own dialog loses requests, not our memory.
const maxMail = 512

// A mailbox holds what other goroutines want done on a call's own one, in order.
type mailbox struct {
	wake chan struct{} // has a value when there is something to take

	mu     sync.Mutex // guards the fields below
	queue  []func()
	closed bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// Why a mailbox takes nothing.
var (
	errGone   = errors.New("b2bua: the call is over")
	errBuried = errors.New("b2bua: the call has too much to do")
)

// post leaves f to be run by the owner and never blocks. It is false when the
// owner is gone; f will not run then.
func (m *mailbox) post(f func()) bool { return m.put(f, false) == nil }

// offer is post for what a peer can send as often as it likes: it fails with
// errBuried when much is waiting already, and with errGone when nobody reads.
func (m *mailbox) offer(f func()) error { return m.put(f, true) }

func (m *mailbox) put(f func(), bounded bool) error {
	m.mu.Lock()
	switch {
	case m.closed:
		m.mu.Unlock()
		return errGone
	case bounded && len(m.queue) >= maxMail:
		m.mu.Unlock()
		return errBuried
	}
	m.queue = append(m.queue, f)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return nil
}

// take empties the mailbox.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	queue := m.queue
	m.queue = nil
	return queue
}

// close refuses further mail and returns what was not read.
func (m *mailbox) close() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	queue := m.queue
	m.queue = nil
	return queue
}

// A group counts goroutines. Unlike a sync.WaitGroup it may grow while it is waited for.
type group struct {
	mu   sync.Mutex // guards the fields below
	n    int
	idle chan struct{} // closed when n is zero; nil when nobody waits
}

// Go runs f on a goroutine of the group.
func (g *group) Go(f func()) {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
	go func() {
		defer g.done()
		f()
	}()
}

func (g *group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// empty is closed when no goroutine runs.
func (g *group) empty() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle
}
