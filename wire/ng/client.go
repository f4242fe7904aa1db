package ng

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Errors that done may be given besides a relay's own words, which are in Reply.
var (
	ErrDown    = errors.New("ng: the relay does not answer; not tried")
	ErrTimeout = errors.New("ng: no reply in time")
	ErrBusy    = errors.New("ng: too many commands wait for replies")
	ErrClosed  = errors.New("ng: client closed")
	ErrTooLong = errors.New("ng: command longer than a datagram")
)

// ClientConfig tunes a Client. The zero value is usable: every field that is
// zero takes the value in its comment.
type ClientConfig struct {
	Log        *slog.Logger  // slog.DiscardHandler
	Deadline   time.Duration // 1.5 s from Do to ErrTimeout
	Retransmit time.Duration // 200 ms between sendings of one command
	InFlight   int           // 4096 commands may wait for replies; more get ErrBusy
	Failures   int           // 3 timeouts in a row open the breaker
	Probe      time.Duration // 1 s between pings while the breaker is open
	KeepAlive  time.Duration // 30 s between pings on a connection that is quiet, to know that it lives
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Deadline, 1500 * time.Millisecond}, {&c.Retransmit, 200 * time.Millisecond}, {&c.Probe, time.Second}, {&c.KeepAlive, 30 * time.Second}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if c.InFlight <= 0 {
		c.InFlight = 4096
	}
	if c.Failures <= 0 {
		c.Failures = 3
	}
	return c
}

// A Client sends commands to one relay and never makes its caller wait. After
// some timeouts in a row its circuit breaker opens: commands fail at once with
// ErrDown, a ping goes out each second, and the first reply closes it again. Over
// UDP it repeats what is not answered; over a stream it connects again when the
// connection breaks, and repeats what had no reply then.
type Client struct {
	cfg    ClientConfig
	log    *slog.Logger
	link   link
	prefix string // of our cookies: unguessable, and new with each process

	submit chan *pending
	down   atomic.Bool

	mu     sync.Mutex // guards closed, and sending on submit against the end of Run
	closed bool

	// Owned by Run.
	waiting  map[string]*pending // by cookie
	serial   uint64
	failures int
	probed   time.Time
	spoke    time.Time // when something was sent last
	heard    time.Time // when something came last
}

// A link is the way to the relay. run reads until ctx ends and tells what happens;
// the others do not block.
type link interface {
	run(ctx context.Context, events chan<- event)
	write(b []byte)
	reset()         // the connection seems dead: make another
	reliable() bool // what was written arrives, or the link says up again
}

// An event is a message that came, or a connection that was made.
type event struct {
	message []byte
	up      func() // to be called before anything is written by the new connection
}

type pending struct {
	cmd      Command
	datagram []byte
	done     func(Reply, error)
	deadline time.Time
	resend   time.Time
	probe    bool // a ping of our own
}

// NewClient opens a socket to the relay at addr. Nothing is sent before Run,
// though Do may be called.
func NewClient(addr netip.AddrPort, cfg ClientConfig) (*Client, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("ng: socket to relay %v: %w", addr, err)
	}
	_ = conn.SetReadBuffer(1 << 20) // a smaller buffer still works
	cfg = cfg.withDefaults()
	cfg.Log = cfg.Log.With("relay", addr.String())
	return newClient(&datagrams{conn}, cfg), nil
}

// NewStreamClient makes a client that speaks over connections that dial makes, one
// at a time: TCP, or TLS with its handshake done. dial is called by Run and should
// end with its context. name is the relay's in the log.
func NewStreamClient(name string, dial func(context.Context) (net.Conn, error), cfg ClientConfig) *Client {
	cfg = cfg.withDefaults()
	cfg.Log = cfg.Log.With("relay", name)
	return newClient(newStreamLink(dial, cfg), cfg)
}

func newClient(link link, cfg ClientConfig) *Client {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	return &Client{
		cfg: cfg, log: cfg.Log, link: link,
		prefix:  hex.EncodeToString(random) + "_",
		submit:  make(chan *pending, cfg.InFlight),
		waiting: make(map[string]*pending),
	}
}

// Do sends cmd and returns. done runs exactly once: with the relay's reply,
// which may be a refusal (Reply.Err), or with an error. It runs on the goroutine
// of Run and must not block; when nothing can be sent at all (ErrDown, ErrBusy,
// ErrClosed) it runs before Do returns.
func (c *Client) Do(cmd Command, done func(Reply, error)) {
	if c.down.Load() {
		done(Reply{}, ErrDown)
		return
	}
	p := &pending{cmd: cmd, done: done, deadline: time.Now().Add(c.cfg.Deadline)}
	if err := c.enqueue(p); err != nil {
		done(Reply{}, err)
	}
}

func (c *Client) enqueue(p *pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	select {
	case c.submit <- p:
		return nil
	default:
		return ErrBusy
	}
}

// Down says whether the breaker is open: the relay has not answered of late.
func (c *Client) Down() bool { return c.down.Load() }

// Run sends, receives and retransmits until ctx ends, then fails what still
// waits with ErrClosed and closes the socket. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	events := make(chan event, 64)
	var reader sync.WaitGroup
	reader.Go(func() { c.link.run(ctx, events) })
	defer reader.Wait()
	defer c.close()

	tick := time.NewTicker(min(c.cfg.Retransmit/4, c.cfg.Probe/4))
	defer tick.Stop()
	for {
		select {
		case p := <-c.submit:
			c.start(p, time.Now())
		case e := <-events:
			c.heard = time.Now()
			if e.up != nil {
				e.up()
				c.repeat(c.heard)
			} else {
				c.reply(e.message)
			}
		case now := <-tick.C:
			c.timers(now)
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Client) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for {
		select {
		case p := <-c.submit:
			p.done(Reply{}, ErrClosed)
		default:
			for _, p := range c.waiting {
				p.done(Reply{}, ErrClosed)
			}
			clear(c.waiting)
			return
		}
	}
}

// start gives p a cookie and sends it for the first time.
func (c *Client) start(p *pending, now time.Time) {
	switch {
	case c.down.Load() && !p.probe: // opened while p was in the queue
		p.done(Reply{}, ErrDown)
		return
	case len(c.waiting) >= c.cfg.InFlight:
		p.done(Reply{}, ErrBusy)
		return
	}
	c.serial++
	cookie := c.prefix + strconv.FormatUint(c.serial, 36)
	if p.cmd.Supports == nil && (p.cmd.Name == Offer || p.cmd.Name == Answer) {
		p.cmd.Supports = []string{SupportsLoadLimit}
	}
	p.datagram = AppendCommand(nil, cookie, p.cmd)
	if len(p.datagram) > MaxDatagram {
		p.done(Reply{}, ErrTooLong)
		return
	}
	c.waiting[cookie] = p
	c.send(p, now)
}

// send writes p once more. A write that fails is a datagram lost: the next
// retransmission or the deadline deals with it.
func (c *Client) send(p *pending, now time.Time) {
	p.resend = now.Add(c.cfg.Retransmit)
	c.spoke = now
	c.link.write(p.datagram)
}

// repeat sends what has no reply by a connection that was just made.
func (c *Client) repeat(now time.Time) {
	for _, p := range c.waiting {
		c.send(p, now)
	}
	if c.down.Load() {
		c.probed = time.Time{} // ask at once
	}
}

func (c *Client) reply(b []byte) {
	cookie, dict, err := SplitCookie(b)
	if err != nil {
		return
	}
	p := c.waiting[string(cookie)]
	if p == nil {
		return // a reply to a retransmission that was answered already
	}
	r, err := ParseReply(dict)
	delete(c.waiting, string(cookie))
	c.failures = 0
	if c.down.Swap(false) {
		c.log.Info("relay answers again")
	}
	if err != nil {
		err = fmt.Errorf("ng: reply to %s: %w", p.cmd.Name, err)
	}
	p.done(r, err)
}

func (c *Client) timers(now time.Time) {
	for cookie, p := range c.waiting {
		switch {
		case !now.Before(p.deadline):
			delete(c.waiting, cookie)
			c.failed(p, now)
			p.done(Reply{}, ErrTimeout)
		case !p.probe && !c.link.reliable() && !now.Before(p.resend):
			c.send(p, now)
		}
	}
	if c.link.reliable() && !c.down.Load() && now.Sub(c.spoke) >= c.cfg.KeepAlive {
		c.ping(now, c.cfg.Deadline)
	}
	if c.down.Load() && !now.Before(c.probed.Add(c.cfg.Probe)) {
		c.probed = now
		c.ping(now, c.cfg.Probe)
	}
}

// ping asks whether the relay lives. It is not repeated: the next one is.
func (c *Client) ping(now time.Time, patience time.Duration) {
	c.spoke = now
	c.start(&pending{cmd: Command{Name: Ping}, probe: true, done: func(Reply, error) {}, deadline: now.Add(patience)}, now)
}

func (c *Client) failed(p *pending, now time.Time) {
	if now.Sub(c.heard) >= c.cfg.Deadline {
		c.link.reset()
	}
	if p.probe {
		return
	}
	if c.failures++; c.failures < c.cfg.Failures || c.down.Swap(true) {
		return
	}
	c.probed = now.Add(-c.cfg.Probe) // ask at once
	c.log.Warn("relay does not answer; calls that need it are refused until it does", "timeouts", c.failures)
}
