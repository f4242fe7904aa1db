package forward

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// besides is how many files a process has open besides media sockets: listeners,
// connections of those who command it, logs, maps.
const besides = 256

// AllowFiles raises this process's limit of open files as far as it may, and
// reports when it stays too low for so many sockets. A table works all the same
// until the limit is met; then Open fails.
func AllowFiles(sockets int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("forward: limit of open files: %w", err)
	}
	wanted := uint64(sockets + besides)
	for _, most := range []uint64{max(wanted, limit.Max), limit.Max} { // the first takes a privilege
		if limit.Cur >= wanted {
			return nil
		}
		// A variable of its own: Setrlimit must not leave half of a refused one in limit.
		raised := unix.Rlimit{Cur: min(wanted, most), Max: most}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	if limit.Cur >= wanted {
		return nil
	}
	return fmt.Errorf("forward: this process may open %d files, and %d media ports want %d: raise the hard limit (LimitNOFILE= of the service, ulimit -Hn)",
		limit.Cur, sockets, wanted)
}
