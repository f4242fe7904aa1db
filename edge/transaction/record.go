package transaction

import (
	"sync"
	"sync/atomic"

	"github.com/lindero/lindero/edge/wheel"
)

// A Record is one request on its way and both halves of its transaction. It goes
// back to its table when both halves are over and nothing pins it.
type Record[T any] struct {
	// Constant once made.
	table *Table[T]
	index uint32

	nonce atomic.Uint64 // 0 while free; changed only with mu held

	mu     sync.Mutex // guards the fields below
	Server Server     // towards whoever sent the request
	Client Client     // towards whomever it was sent to
	Data   T
	key    Key
	pins   int
	timer  wheel.Timer
	due    wheel.Time // when timer will fire, 0 when it is not set

	conn       uint64     // the connection that is watched, 0 for none
	next, prev *Record[T] // others that watch it; guarded by table.conns.mu
}

// lockIf locks r if it is still the one nonce names.
func (r *Record[T]) lockIf(nonce uint64) bool {
	r.mu.Lock()
	if nonce != 0 && r.nonce.Load() == nonce {
		return true
	}
	r.mu.Unlock()
	return false
}

// Ref names r for later.
func (r *Record[T]) Ref() Ref { return Ref{r.index, r.nonce.Load()} }

// Key is what r was created with.
func (r *Record[T]) Key() Key { return r.key }

// Pin keeps r although both halves are over, until Unpin: an answer from
// somewhere else is still to come.
func (r *Record[T]) Pin() { r.pins++ }

// Unpin undoes one Pin.
func (r *Record[T]) Unpin() { r.pins-- }

// Release unlocks r and sets its timer to the next deadline of its halves. A
// record that has nothing left to do ends here.
func (r *Record[T]) Release() {
	if r.pins == 0 && r.Server.Over() && r.Client.Over() {
		r.end()
		r.mu.Unlock()
		return
	}
	next := wheel.Earliest(r.Server.Next(), r.Client.Next())
	// A timer that fires too early only looks and sets itself again, which is
	// cheaper than moving it whenever a deadline moves away.
	if next != 0 && (r.due == 0 || next < r.due) {
		r.due = next
		r.table.wheel.Schedule(&r.timer, next)
	}
	r.mu.Unlock()
}

// end gives r back to its table. Its lock is held; what pointed to r notices that
// the nonce has changed.
func (r *Record[T]) end() {
	t := r.table
	if r.due != 0 {
		t.wheel.Stop(&r.timer)
	}
	r.Unwatch()
	r.nonce.Store(0)
	var zero T
	r.Data, r.Server, r.Client, r.due = zero, Server{}, Client{}, 0
	s := &t.shards[r.index&(numShards-1)]
	s.mu.Lock()
	delete(s.keys, r.key)
	s.free = append(s.free, r)
	s.mu.Unlock()
	t.live.Add(-1)
}

// Expire is called by the wheel.
func (r *Record[T]) Expire(now wheel.Time) {
	r.mu.Lock()
	if r.nonce.Load() == 0 || r.due == 0 || r.due > now {
		r.mu.Unlock() // ended, or another's life began, or set anew, since it fired
		return
	}
	r.due = 0
	r.table.fire(r, now)
	r.Release()
}

// watch finds the records that depend on a connection.
type watch[T any] struct {
	mu    sync.Mutex // guards the map and next and prev of every record
	heads map[uint64]*Record[T]
}

// Watch makes r one of those that Watchers returns for conn, in place of an
// earlier one. conn 0 is none.
func (r *Record[T]) Watch(conn uint64) {
	r.Unwatch()
	if conn == 0 {
		return
	}
	w := &r.table.conns
	w.mu.Lock()
	defer w.mu.Unlock()
	r.conn = conn
	r.next, r.prev = w.heads[conn], nil
	if r.next != nil {
		r.next.prev = r
	}
	w.heads[conn] = r
}

// Unwatch undoes Watch.
func (r *Record[T]) Unwatch() {
	if r.conn == 0 {
		return
	}
	w := &r.table.conns
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case r.prev != nil:
		r.prev.next = r.next
	case r.next != nil:
		w.heads[r.conn] = r.next
	default:
		delete(w.heads, r.conn)
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.next, r.prev, r.conn = nil, nil, 0
}

// Watchers returns the records that watch conn.
func (t *Table[T]) Watchers(conn uint64) []Ref {
	t.conns.mu.Lock()
	defer t.conns.mu.Unlock()
	var refs []Ref
	for r := t.conns.heads[conn]; r != nil; r = r.next {
		refs = append(refs, Ref{r.index, r.nonce.Load()})
	}
	return refs
}
