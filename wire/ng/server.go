package ng

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

const (
	cookieLife = 10 * time.Second
	maxCookies = 16384 // replies kept for retransmissions; the oldest goes first
	maxKept    = 16 << 20
)

// Serve answers commands on conn, one at a time, until ctx ends. It owns conn
// and closes it. A command that comes again with its cookie from the same
// address within 10 s gets the first reply; handle does not see it. A datagram
// without cookie is dropped, one that cannot be understood gets result error.
// Only ctx or the loss of the socket ends the loop.
func Serve(ctx context.Context, conn *net.UDPConn, log *slog.Logger, handle func(from netip.AddrPort, c Command) Reply) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	seen := newCookies()
	in, out := make([]byte, MaxDatagram), make([]byte, 0, 4096)
	for wait := time.Duration(0); ; {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		switch {
		case err == nil:
			wait = 0
			if out = respond(seen, out[:0], in[:n], from, time.Now(), handle); len(out) > 0 {
				// A reply that cannot be sent is lost like any datagram: the edge asks again.
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("ng: udp %v: %w", conn.LocalAddr(), err)
		default:
			wait = min(max(2*wait, time.Millisecond), time.Second)
			log.Warn("ng read", "err", err, "retry", wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
}

// respond appends the datagram that answers in, or nothing.
func respond(seen *cookies, out, in []byte, from netip.AddrPort, now time.Time, handle func(netip.AddrPort, Command) Reply) []byte {
	cookie, dict, err := SplitCookie(in)
	if err != nil {
		return nil
	}
	key := cookieKey{from, string(cookie)}
	if reply, again := seen.find(key, now); again {
		return append(out, reply...)
	}
	cmd, err := ParseCommand(dict)
	var reply Reply
	if err != nil {
		reply = Refuse("%v", err)
	} else {
		reply = handle(from, cmd)
	}
	out = AppendReply(out, key.cookie, reply)
	if len(out) > MaxDatagram {
		out = AppendReply(out[:0], key.cookie, Refuse("the reply is longer than a datagram"))
	}
	seen.keep(key, append([]byte(nil), out...), now)
	return out
}

type cookieKey struct {
	from   netip.AddrPort
	cookie string
}

type kept struct {
	key   cookieKey
	reply []byte
	until time.Time
}

// cookies remembers replies for retransmissions, bounded by time, number and
// bytes. One goroutine uses it.
type cookies struct {
	replies map[cookieKey][]byte
	queue   []kept // oldest first; all live equally long
	bytes   int
}

func newCookies() *cookies { return &cookies{replies: make(map[cookieKey][]byte)} }

func (c *cookies) find(key cookieKey, now time.Time) ([]byte, bool) {
	for len(c.queue) > 0 && !now.Before(c.queue[0].until) {
		c.forgetOldest()
	}
	r, ok := c.replies[key]
	return r, ok
}

func (c *cookies) keep(key cookieKey, reply []byte, now time.Time) {
	for len(c.queue) >= maxCookies || len(c.queue) > 0 && c.bytes+len(reply) > maxKept {
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
