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

	links [2]link[T] // the connections that are watched
}

// An End is one of the two sides of a record, each with a connection to watch.
type End uint8

// The ends.
const (
	Up   End = iota // of the request's sender
	Down            // of its target
)

// A link chains the records that watch one connection.
type link[T any] struct {
	conn       uint64     // 0 for none
	next, prev *Record[T] // guarded by table.conns.mu
}

// linkOf is the link by which r watches conn. Its two connections differ: a
// request does not go back where it came from.
func (r *Record[T]) linkOf(conn uint64) *link[T] {
	if r.links[Up].conn == conn {
		return &r.links[Up]
	}
	return &r.links[Down]
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
	r.Unwatch(Up)
	r.Unwatch(Down)
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

// Watch makes r one of those that Watchers returns for conn, in place of what
// that end watched before. conn 0 is none.
func (r *Record[T]) Watch(e End, conn uint64) {
	r.Unwatch(e)
	if conn == 0 || r.links[Up].conn == conn || r.links[Down].conn == conn {
		return
	}
	w := &r.table.conns
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.heads[conn]
	r.links[e] = link[T]{conn: conn, next: next}
	if next != nil {
		next.linkOf(conn).prev = r
	}
	w.heads[conn] = r
}

// Unwatch undoes Watch.
func (r *Record[T]) Unwatch(e End) {
	l := &r.links[e]
	if l.conn == 0 {
		return
	}
	w := &r.table.conns
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case l.prev != nil:
		l.prev.linkOf(l.conn).next = l.next
	case l.next != nil:
		w.heads[l.conn] = l.next
	default:
		delete(w.heads, l.conn)
	}
	if l.next != nil {
		l.next.linkOf(l.conn).prev = l.prev
	}
	*l = link[T]{}
}

// Watchers returns the records that watch conn.
func (t *Table[T]) Watchers(conn uint64) []Ref {
	t.conns.mu.Lock()
	defer t.conns.mu.Unlock()
	var refs []Ref
	for r := t.conns.heads[conn]; r != nil; r = r.linkOf(conn).next {
		refs = append(refs, Ref{r.index, r.nonce.Load()})
	}
	return refs
}
