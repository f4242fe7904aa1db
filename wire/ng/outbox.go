package ng

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// maxUnread is how many bytes of replies may wait for a reader.
const maxUnread = 2 * maxReply

// An outbox is the replies on their way to one connection. Workers never wait for
// it: whoever does not read is closed.
type outbox struct {
	server *Server
	write  func([][]byte) error
	close  func()
	slots  chan struct{} // of commands that are not answered yet
	wake   chan struct{}

	mu     sync.Mutex // guards the fields below
	queue  [][]byte
	bytes  int // in queue, and being written
	failed bool
	ended  bool
}

func newOutbox(s *Server, write func([][]byte) error, close func()) *outbox {
	return &outbox{server: s, write: write, close: close, slots: make(chan struct{}, s.cfg.Pipelined), wake: make(chan struct{}, 1)}
}

// take gives j to a worker once there is a place among the commands that are not
// answered yet. It says false when the connection or the server ends first.
func (o *outbox) take(ctx context.Context, j job) bool {
	select {
	case o.slots <- struct{}{}:
	case <-o.server.done:
		return false
	case <-ctx.Done():
		return false
	}
	if !o.server.give(ctx, j) {
		<-o.slots
		return false
	}
	return true
}

func (o *outbox) longest() int { return maxReply }

func (o *outbox) send(b []byte, _ netip.AddrPort) {
	o.mu.Lock()
	switch {
	case o.failed:
	case o.bytes+len(b) > maxUnread:
		o.fail()
	default:
		o.queue = append(o.queue, append([]byte(nil), b...))
		o.bytes += len(b)
	}
	o.mu.Unlock()
	o.nudge()
	<-o.slots
}

// fail gives the connection up. The caller holds mu.
func (o *outbox) fail() {
	if !o.failed {
		o.failed, o.queue = true, nil
		o.server.stats.slow.Add(1)
		o.close()
	}
}

func (o *outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run writes until finish.
func (o *outbox) run() {
	for {
		o.mu.Lock()
		batch, ended := o.queue, o.ended
		o.queue = nil
		o.mu.Unlock()
		if len(batch) == 0 {
			if ended {
				return
			}
			<-o.wake
			continue
		}
		err := o.write(batch)
		o.mu.Lock()
		for _, b := range batch {
			o.bytes -= len(b)
		}
		if err != nil {
			o.fail()
		}
		o.mu.Unlock()
	}
}

// finish waits, not for long, until all that was asked is answered, and ends run
// after what there is to write.
func (o *outbox) finish(patience time.Duration) {
	late := time.NewTimer(patience)
	defer late.Stop()
wait:
	for range cap(o.slots) {
		select {
		case o.slots <- struct{}{}:
		case <-o.server.done:
			break wait
		case <-late.C:
			break wait
		}
	}
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	o.nudge()
}
