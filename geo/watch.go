package geo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Watch calls changed with the table at path, now when there is one and again
// whenever the file is replaced, until ctx ends; a file that cannot be read is
// given to failed and the table before it stays. It looks every interval. That
// there is no file is no failure: countries stay as they are until there is one.
func Watch(ctx context.Context, path string, interval time.Duration, changed func(*Table), failed func(error)) {
	var seen stamp
	look := func() {
		now, err := stampOf(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && now == seen {
			return
		}
		if err == nil {
			// Taken before the file is read: should it change meanwhile, it is read again.
			seen = now
			var t *Table
			if t, err = Open(path); err == nil {
				changed(t)
				return
			}
		}
		failed(err)
	}
	look()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			look()
		}
	}
}

// A stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) (stamp, error) {
	at, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{at.ModTime(), at.Size()}, nil
}
