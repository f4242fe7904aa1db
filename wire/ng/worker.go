package ng

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// maxReply is the longest reply that a stream carries.
const maxReply = 4 << 20

// A sink takes replies. send must not block, and not keep b.
type sink interface {
	send(b []byte, to netip.AddrPort)
	longest() int
}

// A job is a command on its way to a worker.
type job struct {
	from    netip.AddrPort
	message *[]byte // of the pool
	plain   bool    // without cookie: not remembered
	back    sink
}

// messages lends the memory of commands that wait.
var messages = sync.Pool{New: func() any { return new([]byte) }}

func message(b []byte) *[]byte {
	m := messages.Get().(*[]byte)
	*m = append((*m)[:0], b...)
	return m
}

func release(m *[]byte) {
	if cap(*m) <= 16<<10 { // a long one would stay long
		messages.Put(m)
	}
}

// worker is who runs a job: always the same for one call-id.
func (s *Server) worker(j job) *worker {
	cookie, dict := []byte(nil), *j.message
	if !j.plain {
		var err error
		if cookie, dict, err = SplitCookie(dict); err != nil {
			return nil
		}
	}
	id := callID(dict)
	if id == nil {
		id = cookie
	}
	return s.workers[maphash.Bytes(s.seed, id)%uint64(len(s.workers))]
}

// offer gives j to its worker, or drops it when too much waits already.
func (s *Server) offer(j job) {
	w := s.worker(j)
	if w == nil {
		s.stats.malformed.Add(1)
		release(j.message)
		return
	}
	n := int64(len(*j.message))
	if s.waiting.Add(n) <= maxWaiting {
		select {
		case w.jobs.room <- struct{}{}:
			w.jobs.put(j)
			return
		default:
		}
	}
	s.waiting.Add(-n)
	s.stats.dropped.Add(1)
	release(j.message)
}

// give gives j to its worker and waits until there is room. It says false when
// the server ends first, or j is no message.
func (s *Server) give(ctx context.Context, j job) bool {
	w := s.worker(j)
	if w == nil {
		s.stats.malformed.Add(1)
		release(j.message)
		return false
	}
	n := int64(len(*j.message))
	s.waiting.Add(n)
	select {
	case w.jobs.room <- struct{}{}:
		w.jobs.put(j)
		return true
	case <-s.done:
	case <-ctx.Done():
	}
	s.waiting.Add(-n)
	release(j.message)
	return false
}

// A worker runs commands one after the other.
type worker struct {
	server *Server
	jobs   *turns

	// Owned by run.
	seen *cookies
	out  []byte
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-w.jobs.wake:
		case <-ctx.Done():
			return
		}
		for j, ok := w.jobs.take(); ok && ctx.Err() == nil; j, ok = w.jobs.take() {
			w.server.waiting.Add(-int64(len(*j.message)))
			w.answer(j, time.Now())
			release(j.message)
		}
	}
}

// answer sends the reply to j, the first one when it comes again.
func (w *worker) answer(j job, now time.Time) {
	cookie, dict := []byte(nil), *j.message
	if !j.plain {
		cookie, dict, _ = SplitCookie(dict) // it was split before
	}
	from := netip.AddrPortFrom(j.from.Addr().Unmap(), j.from.Port())
	var key cookieKey
	if !j.plain {
		key = w.seen.key(from.Addr(), cookie, dict)
		if reply, again := w.seen.find(key, now); again {
			w.server.stats.duplicates.Add(1)
			w.send(j, reply, dict)
			return
		}
	}
	w.out = w.begin(j)
	w.out = w.server.reply(w.out, from, dict)
	if !j.plain {
		w.seen.keep(key, append([]byte(nil), w.out...), now)
	}
	w.send(j, w.out, dict)
}

// begin is the out buffer with what stands before the dictionary of a reply to j.
func (w *worker) begin(j job) []byte {
	out := w.out[:0]
	if cap(out) > maxReply/4 {
		out = nil // a long reply is rare
	}
	if !j.plain {
		cookie, _, _ := SplitCookie(*j.message)
		out = append(append(out, cookie...), ' ')
	}
	return out
}

// send sends reply, or an apology when the way is too narrow for it.
func (w *worker) send(j job, reply, dict []byte) {
	if len(reply) > j.back.longest() {
		w.out = appendReply(w.begin(j), Refuse("the reply is longer than a datagram"), encodingOf(dict))
		reply = w.out
	}
	j.back.send(reply, j.from)
}

// reply runs the command in dict and appends the dictionary that answers it.
func (s *Server) reply(out []byte, from netip.AddrPort, dict []byte) []byte {
	cmd, err := ParseCommand(dict)
	var reply Reply
	if err != nil {
		s.stats.malformed.Add(1)
		reply = Refuse("%v", err)
	} else {
		s.stats.commands.Add(1)
		reply = s.handle(from, cmd)
	}
	if reply.Result == ResultLoadLimit && !cmd.understands(SupportsLoadLimit) {
		reply.Result = ResultError
	}
	return appendReply(out, reply, encodingOf(dict))
}

func encodingOf(dict []byte) Encoding {
	if len(dict) > 0 && dict[0] == '{' {
		return JSON
	}
	return Bencode
}
