package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Host is one machine of the lab.
type Host struct {
	Name string
	Addr netip.Addr // the one others reach it by, or for a phone in a home its private one

	lab *Lab
	ns  string
}

// Command prepares a program that will run on this host, as root.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
}

// Unprivileged is Command for the user nobody, with no capability left.
func (h *Host) Unprivileged(ctx context.Context, name string, args ...string) *exec.Cmd {
	drop := []string{"--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "--no-new-privs", name}
	return h.Command(ctx, "setpriv", append(drop, args...)...)
}

// Run runs a program that must succeed and returns what it printed.
func (h *Host) Run(name string, args ...string) string {
	h.lab.t.Helper()
	out, err := h.Command(h.lab.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		h.lab.t.Fatalf("%s: %s %s: %v\n%s", h.Name, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h *Host) sysctl(key, value string) {
	h.lab.t.Helper()
	h.Run("sysctl", "-qw", key+"="+value)
}

// nft loads a ruleset.
func (h *Host) nft(rules string) {
	h.lab.t.Helper()
	cmd := h.Command(h.lab.t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.lab.t.Fatalf("%s: nft: %v\n%s", h.Name, err, out)
	}
}

// Mappings counts the NAT's live UDP mappings towards port, for a home's router.
func (h *Host) Mappings(port uint16) int {
	h.lab.t.Helper()
	n := 0
	for line := range strings.Lines(h.Run("cat", "/proc/net/nf_conntrack")) {
		if strings.Contains(line, "udp") && strings.Contains(line, "dport="+strconv.Itoa(int(port))+" ") {
			n++
		}
	}
	return n
}

// In calls f on a thread inside the host. Sockets that f itself opens belong to
// the host for ever; goroutines that f starts do not run there.
func (h *Host) In(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- h.enter(f) }()
	return <-result
}

// enter is In on a goroutine of its own.
func (h *Host) enter(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("lab: entering %s: %w", h.Name, err)
	}
	defer home.Close()
	away, err := os.Open("/run/netns/" + h.ns)
	if err != nil {
		return fmt.Errorf("lab: entering %s: %w", h.Name, err)
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("lab: entering %s: %w", h.Name, err)
	}
	err = f()
	// The thread goes home before others use it. It cannot simply end: should it
	// be the first of the process, it lives on, and the whole process seems to be
	// in the host, to whoever cleans up there.
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return fmt.Errorf("lab: leaving %s: %w", h.Name, back) // the thread stays locked and ends with this goroutine
	}
	runtime.UnlockOSThread()
	return err
}
