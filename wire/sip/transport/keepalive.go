package transport

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Reasons of connections that the stack closes itself, as Handler.Closed gets them.
var (
	ErrIdle   = errors.New("transport: peer is silent")
	ErrHalf   = errors.New("transport: message is not whole in time")
	ErrNoPong = errors.New("transport: no answer to a ping")
	ErrStall  = errors.New("transport: peer takes nothing")
)

const (
	ping     = "\r\n\r\n"
	pong     = "\r\n"
	maxPongs = 64 // answers at once; nobody honest has more pings waiting
)

// Ping sends the double CRLF of RFC 5626 §4.4.1 on a stream flow; if no pong
// (nor any other byte) comes within Config.Pong the connection is closed.
func (s *Stack) Ping(f Flow) error {
	if f.Protocol == UDP {
		return errNotStream
	}
	c := s.find(f)
	if c == nil {
		return ErrFlowGone
	}
	c.pinged.CompareAndSwap(0, s.clock.Load())
	if err := c.send([]byte(ping)); err != nil {
		return err
	}
	s.count.pingsOut.Add(1)
	return nil
}

var errNotStream = errors.New("transport: ping: a datagram flow has no pong; ask by STUN or OPTIONS")

// pong answers what pings were read.
func (c *conn) pong(in *stream) error {
	c.stack.count.pongsIn.Add(uint64(in.pongs))
	c.stack.count.pingsIn.Add(uint64(in.pings))
	n := min(in.pings, maxPongs)
	in.pings, in.pongs = 0, 0
	if n == 0 {
		return nil
	}
	return c.send(bytes.Repeat([]byte(pong), n))
}

// tick is how often the deadlines of connections must be looked at.
func (c Config) tick() time.Duration {
	least := time.Duration(1 << 62)
	for _, d := range []time.Duration{c.Idle, c.Half, c.Pong, c.Stall} {
		if d > 0 {
			least = min(least, d)
		}
	}
	return min(max(least/8, 5*time.Millisecond), time.Second)
}

// sweep moves the stack's clock and closes what is late. One timer for all
// connections: reading and writing note the clock and arm nothing.
func (s *Stack) sweep(ctx context.Context) {
	begin := time.Now()
	t := time.NewTicker(s.tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := int64(time.Since(begin)) + 1
		s.clock.Store(now)
		s.mu.RLock()
		var late []*conn
		for _, c := range s.conns {
			if c.late(now) != nil {
				late = append(late, c)
			}
		}
		s.mu.RUnlock()
		for _, c := range late {
			c.expire(now)
		}
	}
}

// late says which deadline c has missed, nil when none. What is compared was
// noted up to a tick too early, so a tick is granted.
func (c *conn) late(now int64) error {
	cfg := &c.stack.cfg
	over := func(since int64, limit time.Duration) bool {
		return since != 0 && limit > 0 && now-since > int64(limit+c.stack.tick)
	}
	switch {
	case over(c.half.Load(), cfg.Half):
		return ErrHalf
	case over(c.pinged.Load(), cfg.Pong):
		return ErrNoPong
	case !c.dialed && over(c.seen.Load(), cfg.Idle):
		return ErrIdle
	}
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	if out != nil && over(out.moved.Load(), cfg.Stall) {
		return ErrStall
	}
	return nil
}

// expire closes c for the deadline it has missed, and counts it.
func (c *conn) expire(now int64) {
	count := &c.stack.count
	switch err := c.late(now); err {
	case ErrHalf:
		c.refuse(err, &count.halfClosed)
	case ErrNoPong:
		c.refuse(err, &count.pongMissed)
	case ErrIdle:
		c.refuse(err, &count.idleClosed)
	case ErrStall:
		c.refuse(err, &count.stallClosed)
	}
}
