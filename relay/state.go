package relay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/journal"
)

// StateOff is the value of Config.State of a relay that a restart makes forget its calls.
const StateOff = "off"

// A state is what a relay keeps for the process after it: its calls in a journal, and
// what user space counts in a memory. A nil state keeps nothing.
type state struct {
	dir     string
	journal *journal.Journal
	known   map[string][]byte // by the process before, until it is restored
	memory  *forward.Memory   // nil: the kernel has the counts, or there is none
	path    string            // of memory
	kept    bool              // memory has counts of the process before
	tried   time.Time         // when the journal was to be rewritten after a fault

	resumed, lost int // calls
}

// openState opens what cfg names, if it does.
func (r *Relay) openState(cfg Config) (err error) {
	if cfg.State == "" || cfg.State == StateOff {
		return nil
	}
	s := &state{dir: cfg.State}
	var notes []error
	if s.journal, s.known, notes, err = journal.Open(cfg.State, call.StateVersion); err != nil {
		return fmt.Errorf("relay: state %s: %w", cfg.State, err)
	}
	for _, n := range notes {
		r.log.Warn("some calls of the process before this one may be forgotten", "error", n)
	}
	s.openMemory(binds(cfg), cfg.MediaPorts, r)
	r.state = s
	return nil
}

// openMemory maps the counts: in memory where that is to be had, else beside the
// journal. Without them calls go on all the same, and count anew.
func (s *state) openMemory(faces []netip.Addr, ports PortRange, r *Relay) {
	var err error
	var errs []error
	for _, path := range []string{inMemory(s.dir), filepath.Join(s.dir, "counts")} {
		if s.memory, s.kept, err = forward.OpenMemory(path, faces, ports.Low, ports.High); err == nil {
			s.path = path
			return
		}
		errs = append(errs, err)
	}
	r.log.Warn("after a restart calls will count anew in user space", "error", errors.Join(errs...))
}

// inMemory is where the counts of the state in dir are, in a file system in memory.
func inMemory(dir string) string {
	whole, err := filepath.Abs(dir)
	if err != nil {
		whole = dir // the working folder is gone
	}
	sum := sha256.Sum256([]byte(whole))
	return fmt.Sprintf("/dev/shm/lindero-%x.counts", sum[:8])
}

// options are what the table of a relay with this state, and perhaps with a kernel,
// is made with.
func (s *state) options(kernel bool) []forward.Option {
	switch {
	case s == nil || s.memory == nil:
		return nil
	case !kernel:
		return []forward.Option{forward.WithMemory(s.memory)}
	case s.kept:
		return []forward.Option{forward.WithMemoryOf(s.memory)}
	}
	return nil
}

// restore goes on with the calls of the process before, and forgets what of it is
// still in the kernel.
func (r *Relay) restore() error {
	s := r.state
	if s != nil {
		begun := time.Now()
		calls, lost := r.calls.Restore(s.known, begun)
		s.known, s.resumed, s.lost = nil, calls, len(lost)
		for _, err := range lost {
			r.log.Warn("a call of the process before this one is over", "error", err)
		}
		if err := r.calls.Rewrite(); err != nil {
			return fmt.Errorf("relay: state: %w", err)
		}
		if calls+len(lost) > 0 {
			r.log.Info("calls go on", "calls", calls, "lost", len(lost), "took", time.Since(begun).Round(time.Millisecond))
		}
	}
	// Now that the NG socket is ours there is no other relay whose calls this would end.
	r.legs.clear(r.media, false)
	if r.kernel == nil {
		return nil
	}
	for w := range r.kernel.Recovered() {
		if !r.table.Repeated(w.Local) {
			r.kernel.Drop(w.Local)
		}
	}
	if s == nil || s.memory == nil {
		return nil
	}
	// From now on the kernel's memory has the counts; the next process must not take
	// these for newer.
	memory := s.memory
	s.memory = nil
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("relay: state: %w", errors.Join(err, memory.Close()))
	}
	return memory.Close()
}

// retry is how long after a fault the journal is rewritten.
const retry = 10 * time.Second

// sweep rewrites the journal when most of it is old, or when nothing could be written.
func (s *state) sweep(r *Relay, now time.Time) {
	if s == nil || !s.journal.Grown() && (s.journal.Fault() == "" || now.Sub(s.tried) < retry) {
		return
	}
	fault := s.journal.Fault()
	s.tried = now
	switch err := r.calls.Rewrite(); {
	case err != nil:
		r.log.Error("the state of calls cannot be written: a restart now would forget some", "error", err)
	case fault != "":
		r.log.Info("the state of calls is written again", "after", fault)
	}
}

// keeps says whether calls go on when this process ends.
func (s *state) keeps() bool { return s != nil }

func (s *state) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.journal.Close(), s.memory.Close())
}
