package forward_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/relay/forward"
)

func TestAllowFiles(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	low := unix.Rlimit{Cur: 300, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	sockets := 500
	if err := forward.AllowFiles(sockets); err != nil {
		t.Errorf("%d sockets of at most %d files: %v", sockets, before.Max, err)
	}
	var after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after); err != nil || after.Cur < uint64(sockets) {
		t.Errorf("the limit is %d after: %v", after.Cur, err)
	}
	// More than any kernel allows (fs.nr_open is below 2^31).
	err := forward.AllowFiles(1 << 40)
	if err == nil || !strings.Contains(err.Error(), "raise the hard limit") {
		t.Errorf("a million million sockets: %v", err)
	}
}
