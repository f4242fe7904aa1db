package geo

import (
	"context"
	"errors"
	"fmt"
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
	var told string // a failure to look is told once, not every interval
	look := func() {
		now, err := os.Stat(path) // before the file is read: should it change meanwhile, it is read again
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return
		case err != nil:
			if err.Error() != told {
				told = err.Error()
				failed(fmt.Errorf("geo: looking at the country database: %w", err))
			}
			return
		case seen.same(stamp{now}):
			return
		}
		seen, told = stamp{now}, ""
		t, err := Open(path)
		if err != nil {
			failed(err)
			return
		}
		changed(t)
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
type stamp struct{ fs.FileInfo }

func (s stamp) same(o stamp) bool {
	return s.FileInfo != nil && os.SameFile(s.FileInfo, o.FileInfo) && s.ModTime().Equal(o.ModTime()) && s.Size() == o.Size()
}
