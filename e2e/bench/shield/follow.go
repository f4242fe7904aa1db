package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
)

// edges is how many guards follow one core: a region's.
const edges = 5

// A region is a core and guards that follow it, each with its filter in the kernel
// on a wire of its own.
type region struct {
	dir, api string
	token    string
	core     *exec.Cmd
	wires    []*livegen.Wire
	guards   []*shield.Guard
	stop     context.CancelFunc
	running  sync.WaitGroup
	mounted  bool
}

// newRegion starts it; close ends all of it.
func newRegion(ctx context.Context, binary string) (r *region, err error) {
	r = &region{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.dir, err = os.MkdirTemp("", "lindero-bench-region"); err != nil {
		return r, err
	}
	if err := r.startCore(ctx, binary); err != nil {
		return r, err
	}
	pins := filepath.Join(r.dir, "bpf")
	if err := os.Mkdir(pins, 0o700); err != nil {
		return r, err
	}
	if err := unix.Mount("bpf", pins, "bpf", 0, ""); err != nil {
		return r, fmt.Errorf("mounting a BPF file system: %w", err)
	}
	r.mounted = true
	ctx, r.stop = context.WithCancel(ctx)
	for n := range edges {
		if err := r.addEdge(ctx, n, pins); err != nil {
			return r, err
		}
	}
	return r, nil
}

// startCore starts a process that has a core in it and waits until its API answers.
func (r *region) startCore(ctx context.Context, binary string) error {
	at, err := freeAddresses(7)
	if err != nil {
		return err
	}
	data := filepath.Join(r.dir, "data")
	r.api = "http://" + at[0]
	said, err := os.Create(filepath.Join(r.dir, "core.log"))
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command(binary, "up", "--data", data, "--http", at[0], "--sip", at[1], "--sips", at[2], "--inside", at[3],
		"--core", at[4], "--ng", at[5], "--metrics", at[6], "--media-ports", "38000-38099", "--voice-ports", "41900-41999")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return err
	}
	r.core = cmd
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		token, err := os.ReadFile(filepath.Join(data, "operator.token"))
		r.token = strings.TrimSpace(string(token))
		var v policy.Version
		if err == nil && r.ask(ctx, http.MethodGet, "/api/v1/shield/policy", nil, &v) == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			text, _ := os.ReadFile(said.Name()) // what there is of it
			return fmt.Errorf("core does not answer: %.500s", text)
		}
	}
}

// freeAddresses are ports of loopback that nobody has now.
func freeAddresses(n int) (list []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until the last is had, so that no two are the same
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// close ends guards and core and takes filters, mounts and files away.
func (r *region) close() error {
	var faults []error
	if r.stop != nil {
		r.stop()
	}
	r.running.Wait()
	for _, w := range r.wires {
		faults = append(faults, w.Close())
	}
	if r.core != nil {
		_ = r.core.Process.Signal(syscall.SIGTERM) // gone already is as good
		_ = r.core.Wait()                          // it ends because we end it
	}
	if r.mounted {
		faults = append(faults, unix.Unmount(filepath.Join(r.dir, "bpf"), unix.MNT_DETACH))
	}
	if r.dir != "" {
		faults = append(faults, os.RemoveAll(r.dir))
	}
	return errors.Join(faults...)
}

// addEdge makes the n-th guard.
func (r *region) addEdge(ctx context.Context, n int, pins string) error {
	w, err := livegen.NewWire()
	if err != nil {
		return err
	}
	r.wires = append(r.wires, w)
	place := filepath.Join(pins, fmt.Sprint(n))
	if err := os.Mkdir(place, 0o700); err != nil {
		return err
	}
	cfg := shield.DefaultConfig()
	cfg.Mode, cfg.Devices, cfg.Pin = "native", []string{livegen.FarDevice}, place
	cfg.State = filepath.Join(r.dir, fmt.Sprintf("edge%d.json", n))
	cfg.Core, cfg.TokenFile = r.api, filepath.Join(r.dir, "data", "node.token")
	var g *shield.Guard
	err = w.InFar(func() (err error) {
		g, err = shield.New(cfg, fmt.Sprintf("edge%d", n), "edge", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		return err
	})
	if err != nil {
		return err
	}
	r.guards = append(r.guards, g)
	r.running.Go(func() { _ = g.Run(ctx) }) // it ends because we stop it
	return nil
}

// change puts a policy into force and returns how long it took until the kernel of
// every edge had it.
func (r *region) change(ctx context.Context, note string, deny netip.Prefix) (time.Duration, error) {
	document := policy.Default()
	document.Deny = []policy.Prefix{{Prefix: deny, Note: note}}
	body, err := json.Marshal(map[string]any{"document": document, "note": note})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	var v struct {
		Version uint64 `json:"version"`
	}
	if err := r.ask(ctx, http.MethodPut, "/api/v1/shield/policy", body, &v); err != nil {
		return 0, err
	}
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		late := 0
		for _, g := range r.guards {
			if g.Status().PolicyVersion != v.Version {
				late++
			}
		}
		if late == 0 {
			return time.Since(began), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-limit:
			return 0, fmt.Errorf("version %d is not in force on %d of %d edges after 30 s", v.Version, late, len(r.guards))
		}
	}
}

// ask asks the API as the operator.
func (r *region) ask(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, r.api+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, into)
}
