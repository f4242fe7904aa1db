package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// childEnv makes this test binary the process without descriptors.
const childEnv = "LINDERO_TEST_EMFILE"

// TestEMFILE fills another process's descriptors with connections and sees it
// serve again when they are gone.
func TestEMFILE(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		exhausted(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestEMFILE$", "-test.v")
	child.Env = append(os.Environ(), childEnv+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	answer := func(prefix string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatalf("child ended before it said %q", prefix)
		return ""
	}
	addr := netip.MustParseAddrPort(answer("addr "))
	var peers []net.Conn
	for range 100 { // the kernel completes them, accepted or not
		peers = append(peers, dial(t, addr))
	}
	answer("exhausted")
	for _, c := range peers {
		c.Close()
	}
	c := dial(t, addr)
	write(t, c, options(1, ""))
	expect(t, c, options(1, ""))
	stdin.Close()
	io.Copy(io.Discard, stdout)
	if err := child.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}

// exhausted serves with few descriptors, says when none is left, and ends with stdin.
func exhausted(t *testing.T) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}); err != nil {
		t.Fatal(err)
	}
	echo := &echoer{}
	s := transport.New(transport.Config{}, echo)
	echo.stack = s
	addr := listen(t, s, transport.TCP)
	run(t, s)
	fmt.Println("\naddr", addr)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	eventually(t, "no descriptor is left", func() bool { return s.Stats().AcceptErrors > 0 })
	fmt.Println("\nexhausted")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("parent does not end")
	}
}
