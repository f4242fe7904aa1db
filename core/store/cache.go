package store

import (
	"errors"
	"sync"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// A cache remembers the answers of a query for a short while. It remembers "not
// found" as well, apart from the rest: so a stranger who guesses names can push
// out other guesses and nothing else, and cannot tell a name that exists by how
// long its second answer takes.
type cache[K comparable, V any] struct {
	life time.Duration
	size int

	mu      sync.RWMutex // guards the fields below
	version uint64       // counts forgets, so that an answer read before one is not kept after it
	present map[K]answer[V]
	absent  map[K]answer[V]
}

type answer[V any] struct {
	value V
	until time.Time
}

func newCache[K comparable, V any](size int, life time.Duration) *cache[K, V] {
	return &cache[K, V]{life: life, size: size, present: map[K]answer[V]{}, absent: map[K]answer[V]{}}
}

// get is the remembered answer for k, or ask's.
func (c *cache[K, V]) get(k K, ask func() (V, error)) (V, error) {
	now := time.Now()
	c.mu.RLock()
	yes, isThere := c.present[k]
	no, isNot := c.absent[k]
	version := c.version
	c.mu.RUnlock()
	switch {
	case isThere && now.Before(yes.until):
		return yes.value, nil
	case isNot && now.Before(no.until):
		return no.value, tenancy.ErrNotFound
	}

	v, err := ask()
	if err != nil && !errors.Is(err, tenancy.ErrNotFound) {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != version {
		return v, err
	}
	into, other := c.present, c.absent
	if err != nil {
		into, other = c.absent, c.present
	}
	delete(other, k)
	if _, again := into[k]; !again && len(into) >= c.size {
		drop(into, c.size/8)
	}
	into[k] = answer[V]{v, now.Add(c.life)}
	return v, err
}

// drop makes room by forgetting any n entries; map order is as good as random,
// and whatever was wanted comes back with one query.
func drop[K comparable, V any](m map[K]answer[V], n int) {
	for k := range m {
		if n--; n < 0 {
			return
		}
		delete(m, k)
	}
}

// forget empties the cache, after a change.
func (c *cache[K, V]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	clear(c.present)
	clear(c.absent)
}
