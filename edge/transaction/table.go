// Package transaction holds what the edge remembers of requests on their way: the
// state machines of RFC 3261 §17 and RFC 6026 for the side a request came from
// and the side it went to, and the bounded table of records that own a pair of
// them. A record needs no goroutine and no timer of the runtime. The package
// sends nothing and reads no message; the edge does, told by the machines.
package transaction

import (
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/lindero/lindero/edge/wheel"
)

// ErrFull is returned by Create when the table holds as many records as it may.
var ErrFull = errors.New("transaction: table is full")

const (
	shardBits = 5
	numShards = 1 << shardBits
	chunk     = 32 // records allocated at once
)

// A Key identifies a transaction to the one who sent its request (RFC 3261
// §17.2.3). It is a keyed hash: strangers cannot choose keys that collide.
type Key struct{ a, b uint64 }

// A Table is a bounded set of records, each with data of type T for its user.
// Lookups return a record locked; whoever holds one must Release it (or hand it
// on), must not look up another meanwhile, and must not block.
type Table[T any] struct {
	max   int64
	wheel *wheel.Wheel
	fire  func(r *Record[T], now wheel.Time)
	seeds [2]maphash.Seed

	live   atomic.Int64
	shards [numShards]shard[T]
	conns  watch[T]
}

// shard is a part of a table: the records whose keys fall into it. A record may
// be locked while the shard is, only if it is on the free list.
type shard[T any] struct {
	mu    sync.Mutex // guards the fields below
	slots []*Record[T]
	free  []*Record[T]
	keys  map[Key]*Record[T]
}

// New returns a Table of at most max records with timers on w. fire is called
// with a locked record when one of its deadlines has passed; it lets the record's
// machines expire, and must not release the record.
func New[T any](max int, w *wheel.Wheel, fire func(r *Record[T], now wheel.Time)) *Table[T] {
	t := &Table[T]{max: int64(max), wheel: w, fire: fire, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range t.shards {
		t.shards[i].keys = make(map[Key]*Record[T])
	}
	t.conns.heads = make(map[uint64]*Record[T])
	return t
}

// Key makes a key of the parts of a request that identify its transaction.
func (t *Table[T]) Key(parts ...[]byte) Key {
	var k [2]uint64
	for i := range k {
		var h maphash.Hash
		h.SetSeed(t.seeds[i])
		for _, p := range parts {
			h.Write(p)
			h.WriteByte(0) // no header value has a NUL: the parts cannot run into each other
		}
		k[i] = h.Sum64()
	}
	return Key{k[0], k[1]}
}

// Len is the number of records in use.
func (t *Table[T]) Len() int { return int(t.live.Load()) }

// Create returns the record of key, locked: a new one, or the one that is there
// (created is false). The only error is ErrFull.
func (t *Table[T]) Create(key Key) (r *Record[T], created bool, err error) {
	number := key.a & (numShards - 1)
	s := &t.shards[number]
	s.mu.Lock()
	if r = s.keys[key]; r != nil {
		nonce := r.nonce.Load()
		s.mu.Unlock()
		if r.lockIf(nonce) {
			return r, false, nil
		}
		return t.Create(key) // it ended in between
	}
	if t.live.Add(1) > t.max {
		t.live.Add(-1)
		s.mu.Unlock()
		return nil, false, ErrFull
	}
	if len(s.free) == 0 {
		s.grow(t, uint32(number))
	}
	last := len(s.free) - 1
	r = s.free[last]
	s.free = s.free[:last]
	r.mu.Lock()
	r.key = key
	r.nonce.Store(rand.Uint64() | 1) // unguessable, and never 0: that is a free record's
	s.keys[key] = r
	s.mu.Unlock()
	return r, true, nil
}

// grow adds a chunk of records to the free list. They stay until the table goes.
func (s *shard[T]) grow(t *Table[T], number uint32) {
	records := make([]Record[T], chunk)
	for i := range records {
		r := &records[i]
		r.table = t
		r.index = uint32(len(s.slots))<<shardBits | number
		r.timer.Task = r
		s.slots = append(s.slots, r)
		s.free = append(s.free, r)
	}
}

// Find returns the record of key, locked, or nil.
func (t *Table[T]) Find(key Key) *Record[T] {
	s := &t.shards[key.a&(numShards-1)]
	s.mu.Lock()
	r := s.keys[key]
	var nonce uint64
	if r != nil {
		nonce = r.nonce.Load()
	}
	s.mu.Unlock()
	if r == nil || !r.lockIf(nonce) {
		return nil
	}
	return r
}

// A Ref names a record for later, without keeping it. The zero Ref names none.
type Ref struct {
	index uint32
	nonce uint64
}

// At returns the record that ref names, locked, or nil when it has ended.
func (t *Table[T]) At(ref Ref) *Record[T] {
	s := &t.shards[ref.index&(numShards-1)]
	i := int(ref.index >> shardBits)
	s.mu.Lock()
	if i >= len(s.slots) || ref.nonce == 0 {
		s.mu.Unlock()
		return nil
	}
	r := s.slots[i]
	s.mu.Unlock()
	if !r.lockIf(ref.nonce) {
		return nil
	}
	return r
}
