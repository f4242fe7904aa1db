package ng

import (
	"hash/maphash"
	"net/netip"
	"time"
)

const (
	cookieLife = 10 * time.Second
	maxCookies = 65536 // replies kept for retransmissions, by all workers; the oldest goes first
	maxKept    = 64 << 20
)

// A cookieKey names a command. A retransmission may come by another socket or
// another transport, so the port does not count. The command itself does: two
// proxies behind one address that number their cookies alike must not be given
// each other's replies.
type cookieKey struct {
	from   netip.Addr
	cookie string
	sum    uint64 // of the dictionary
}

type kept struct {
	key   cookieKey
	reply []byte
	until time.Time
}

// cookies remembers replies for retransmissions, bounded by time, number and
// bytes. One goroutine uses it.
type cookies struct {
	seed    maphash.Seed
	most    int // replies
	room    int // bytes of replies
	replies map[cookieKey][]byte
	queue   []kept // oldest first; all live equally long
	bytes   int
}

func newCookies(seed maphash.Seed, share int) *cookies {
	return &cookies{seed: seed, most: maxCookies / share, room: maxKept / share, replies: make(map[cookieKey][]byte)}
}

func (c *cookies) key(from netip.Addr, cookie, dict []byte) cookieKey {
	return cookieKey{from, string(cookie), maphash.Bytes(c.seed, dict)}
}

func (c *cookies) find(key cookieKey, now time.Time) ([]byte, bool) {
	for len(c.queue) > 0 && !now.Before(c.queue[0].until) {
		c.forgetOldest()
	}
	r, ok := c.replies[key]
	return r, ok
}

func (c *cookies) keep(key cookieKey, reply []byte, now time.Time) {
	for len(c.queue) >= c.most || len(c.queue) > 0 && c.bytes+len(reply) > c.room {
		c.forgetOldest()
	}
	c.replies[key] = reply
	c.queue = append(c.queue, kept{key, reply, now.Add(cookieLife)})
	c.bytes += len(reply)
}

func (c *cookies) forgetOldest() {
	old := c.queue[0]
	delete(c.replies, old.key)
	c.bytes -= len(old.reply)
	c.queue[0] = kept{} // let go of the bytes; append moves the rest on when it grows
	c.queue = c.queue[1:]
}
