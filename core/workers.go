package core

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A job is one request on its way to a worker, with a copy of its bytes.
type job struct {
	msg  sip.Message
	raw  []byte
	flow transport.Flow
}

// workers carries out jobs that may wait for the database, so that the readers of
// connections never do. Jobs of one Call-ID keep their order, because one worker
// does them all.
type workers struct {
	seed   maphash.Seed
	queues []chan *job
	free   sync.Pool // of *job
}

// queueLength is how many jobs may wait for one worker: a second or two of a slow
// database. More get 503.
const queueLength = 256

func newWorkers(n int) *workers {
	w := &workers{seed: maphash.MakeSeed(), queues: make([]chan *job, n)}
	w.free.New = func() any { return new(job) }
	for i := range w.queues {
		w.queues[i] = make(chan *job, queueLength)
	}
	return w
}

// job copies data and scans the copy.
func (w *workers) job(flow transport.Flow, data []byte) (*job, error) {
	j := w.free.Get().(*job)
	j.raw = append(j.raw[:0], data...)
	j.flow = flow
	return j, j.msg.Scan(j.raw)
}

func (w *workers) release(j *job) { w.free.Put(j) }

// add queues j; false when its queue is full, and j is still the caller's.
func (w *workers) add(j *job) bool {
	n := maphash.Bytes(w.seed, j.msg.Get(sip.CallID)) % uint64(len(w.queues))
	select {
	case w.queues[n] <- j:
		return true
	default:
		return false
	}
}

// run does jobs with do until ctx ends, and returns when the last do has.
func (w *workers) run(ctx context.Context, do func(context.Context, *job)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, q := range w.queues {
		wg.Go(func() {
			for {
				select {
				case j := <-q:
					do(ctx, j)
					w.release(j)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}
