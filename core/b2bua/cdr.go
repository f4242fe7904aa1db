package b2bua

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// Writing CDRs: how many at once, how long one try may take, and how long to
// wait after a failure, doubling.
const (
	cdrWriters  = 4
	cdrTimeout  = 5 * time.Second
	cdrFirstTry = 250 * time.Millisecond
	cdrLastTry  = 15 * time.Second
)

// A recorder writes CDRs behind the calls, so that a slow or dead database never
// holds one up. A record is tried until it is written. Their number is bounded
// because a call is only admitted while live calls and waiting records together
// are within Config.MaxCalls: records are never dropped to make room.
type recorder struct {
	log     *slog.Logger
	tenant  func(tenancy.CompanyID) Tenant
	pending atomic.Int64 // records not written yet
	retries atomic.Int64 // failures so far
	lost    atomic.Int64 // given up because the process ended
	wake    chan struct{}

	mu     sync.Mutex // guards the fields below
	queue  []tenancy.CDR
	closed bool
}

func newRecorder(log *slog.Logger, tenant func(tenancy.CompanyID) Tenant) *recorder {
	return &recorder{log: log, tenant: tenant, wake: make(chan struct{}, 1)}
}

// write leaves a record to be written and never blocks.
func (r *recorder) write(cdr tenancy.CDR) {
	r.pending.Add(1)
	r.mu.Lock()
	r.queue = append(r.queue, cdr)
	r.mu.Unlock()
	r.signal()
}

// close lets run return when all records are written.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
}

func (r *recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes until close was called and nothing is left, or ctx ends. What is
// left then is logged whole, so that it can be entered by hand.
func (r *recorder) run(ctx context.Context) {
	var writers sync.WaitGroup
	for range cdrWriters {
		writers.Go(func() { r.serve(ctx) })
	}
	writers.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cdr := range r.queue {
		r.giveUp(cdr)
	}
	r.queue = nil
}

func (r *recorder) serve(ctx context.Context) {
	for {
		cdr, ok, closed := r.next()
		switch {
		case ok:
			r.persist(ctx, cdr)
		case closed:
			r.signal() // the next writer wants to know too
			return
		default:
			select {
			case <-r.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *recorder) next() (cdr tenancy.CDR, ok, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue = nil
		return cdr, false, r.closed
	}
	cdr = r.queue[0]
	r.queue = r.queue[1:]
	if len(r.queue) > 0 {
		r.signal()
	}
	return cdr, true, false
}

// persist tries one record until it is written or ctx ends.
func (r *recorder) persist(ctx context.Context, cdr tenancy.CDR) {
	for wait := cdrFirstTry; ; wait = min(2*wait, cdrLastTry) {
		try, cancel := context.WithTimeout(ctx, cdrTimeout)
		err := r.tenant(cdr.Company).WriteCDR(try, cdr)
		cancel()
		if err == nil {
			r.pending.Add(-1)
			return
		}
		r.retries.Add(1)
		if wait == cdrFirstTry {
			r.log.Warn("b2bua: a CDR could not be written, trying on", "cdr", cdr.ID, "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			r.giveUp(cdr)
			return
		}
	}
}

// giveUp logs a record that will not be written any more.
func (r *recorder) giveUp(cdr tenancy.CDR) {
	r.lost.Add(1)
	r.pending.Add(-1)
	r.log.Error("b2bua: a CDR was not written", "id", cdr.ID, "company", cdr.Company,
		"caller", cdr.CallerUser, "callee", cdr.CalleeUser, "from", number(cdr.From), "to", number(cdr.To),
		"call", cdr.CallID, "start", cdr.Start, "answer", cdr.Answer, "end", cdr.End,
		"verdict", cdr.Verdict, "code", cdr.Code, "by", cdr.HungUpBy, "reason", cdr.Reason)
}
