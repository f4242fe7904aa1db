package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs beside the test, with what it says kept and
// watched. It is killed when the test ends.
type Process struct {
	Name string

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; valid when done is closed

	mu      sync.Mutex
	output  bytes.Buffer
	changed chan struct{} // closed and replaced when output grows
}

// Start starts cmd. Its standard output and error are one stream.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, t: t, cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, tail(p.Output(), 12000))
		}
	})
	return p
}

// Write takes in what the program says; it is called by os/exec.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.output.Write(b)
}

// Output is what the program has said so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Await waits until the program has said text at least n times.
func (p *Process) Await(text string, n int, limit time.Duration) {
	p.t.Helper()
	if !p.Says(text, n, limit) {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended without saying %q (%d times): %v", p.Name, text, n, p.err)
		default:
			p.t.Fatalf("%s did not say %q (%d times) within %v", p.Name, text, n, limit)
		}
	}
}

// Says is Await that answers instead of failing.
func (p *Process) Says(text string, n int, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		said, changed := strings.Count(p.output.String(), text), p.changed
		p.mu.Unlock()
		if said >= n {
			return true
		}
		select {
		case <-changed:
		case <-p.done:
			return strings.Count(p.Output(), text) >= n
		case <-timer.C:
			return false
		}
	}
}

// Wait waits for the program to end by itself.
func (p *Process) Wait(limit time.Duration) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.t.Fatalf("%s still runs after %v", p.Name, limit)
		return nil
	}
}

// Signal sends a signal, if the program still runs.
func (p *Process) Signal(s os.Signal) {
	_ = p.cmd.Process.Signal(s) // gone already is no failure; Wait tells
}

// Kill ends the program at once, as a crash would, and waits.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// PID is the program's process number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// count is how often the program has said text.
func (p *Process) count(text string) int { return strings.Count(p.Output(), text) }
