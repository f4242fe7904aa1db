package transport

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// reloaded is something in files that may change. It is looked at when it is
// asked for, once a second at most; nothing runs behind it.
type reloaded[T any] struct {
	what  string
	files []string
	read  func() (T, error)
	log   *slog.Logger

	current atomic.Pointer[T]
	due     atomic.Int64 // when the files are looked at next; whoever moves it owns seen until then

	seen []fileStamp
}

// A fileStamp changes when the file does.
type fileStamp struct {
	time time.Time
	size int64
}

// load reads what the files hold for the first time.
func load[T any](what string, files []string, log *slog.Logger, read func() (T, error)) (*reloaded[T], error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &reloaded[T]{what: what, files: files, read: read, log: log}
	stamps, err := r.look()
	if err != nil {
		return nil, fmt.Errorf("transport: %s: %w", what, err)
	}
	v, err := read()
	if err != nil {
		return nil, fmt.Errorf("transport: %s: %w", what, err)
	}
	r.seen = stamps
	r.current.Store(&v)
	r.due.Store(time.Now().Add(time.Second).UnixNano())
	return r, nil
}

func (r *reloaded[T]) look() ([]fileStamp, error) {
	stamps := make([]fileStamp, len(r.files))
	for i, f := range r.files {
		info, err := os.Stat(f)
		if err != nil {
			return nil, err
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

// at is what is in force now: what the files hold, or what they held before they
// became unusable.
func (r *reloaded[T]) at(now time.Time) *T {
	due := r.due.Load()
	if now.UnixNano() < due || !r.due.CompareAndSwap(due, 1<<63-1) {
		return r.current.Load()
	}
	defer func() { r.due.Store(now.Add(time.Second).UnixNano()) }()
	stamps, err := r.look()
	same := slices.Equal(stamps, r.seen)
	if err == nil && same {
		return r.current.Load()
	}
	if err == nil {
		var v T
		if v, err = r.read(); err == nil {
			r.current.Store(&v)
			r.log.Info(r.what+" renewed", "file", r.files[0])
		}
	}
	if err != nil && !same {
		r.log.Warn(r.what+" not renewed, the old one stays in force", "err", err)
	}
	r.seen = stamps
	return r.current.Load()
}
