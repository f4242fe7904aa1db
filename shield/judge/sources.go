package judge

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/lindero/lindero/shield/policy"
)

// MaxSources is how many sources have exact state at one time, as in the kernel.
const MaxSources = 131072

// ErrFull says that there are MaxSources already.
var ErrFull = errors.New("judge: the table of sources is full")

const shards = 64

// sources finds exact state without making packets wait for each other: they read
// behind one of many locks, and change only the bucket, which is one word.
type sources struct {
	shards [shards]shard
	adding sync.Mutex // held by who adds or removes, before a shard's; guards n
	n      int
}

type shard struct {
	mu    sync.RWMutex // guards byKey
	byKey map[Key]*exactState
	_     [32]byte // a cache line for each
}

type exactState struct {
	what   atomic.Uint64 // until, class, proven
	bucket atomic.Uint64
}

func (s *sources) shard(k Key) *shard { return &s.shards[mix(uint64(k))%shards] }

func (s *sources) find(k Key) *exactState {
	sh := s.shard(k)
	sh.mu.RLock()
	x := sh.byKey[k]
	sh.mu.RUnlock()
	return x
}

func (x *exactState) load() Source {
	w := x.what.Load()
	return Source{
		Until: uint32(w), Class: policy.Class(w >> 32), Proven: w>>40&1 != 0,
		Bucket: unpackBucket(x.bucket.Load()),
	}
}

func (x *exactState) set(v Source) {
	w := uint64(v.Until) | uint64(v.Class)<<32
	if v.Proven {
		w |= 1 << 40
	}
	x.what.Store(w)
}

// put makes or changes a source. A new one's bucket is full: refilling clamps it to
// what its class may have.
func (s *sources) put(k Key, v Source) error {
	s.adding.Lock()
	defer s.adding.Unlock()
	if x := s.find(k); x != nil {
		x.set(v)
		return nil
	}
	if s.n == MaxSources {
		return ErrFull
	}
	x := new(exactState)
	x.set(v)
	x.bucket.Store(Bucket{Tokens: ^uint32(0)}.pack())
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.byKey == nil {
		sh.byKey = map[Key]*exactState{}
	}
	sh.byKey[k] = x
	s.n++
	return nil
}

func (s *sources) remove(k Key) bool {
	s.adding.Lock()
	defer s.adding.Unlock()
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, ok := sh.byKey[k]; !ok {
		return false
	}
	delete(sh.byKey, k)
	s.n--
	return true
}

// all calls f for every source; f may put and remove sources.
func (s *sources) all(f func(Key, Source)) {
	type found struct {
		key   Key
		value Source
	}
	var some []found
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		some = some[:0]
		for k, x := range sh.byKey {
			some = append(some, found{k, x.load()})
		}
		sh.mu.RUnlock()
		for _, x := range some {
			f(x.key, x.value)
		}
	}
}
