package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/e2e/bench/process"
	"github.com/lindero/lindero/wire/ng"
)

const (
	ngPort    = 2223
	firstPort = 30000
	lastPort  = 59999
	relayCPU  = 1 // the processor of the relay; load is made on the other
	loadCPU   = 0
)

// A contender is a relay under test, on a street of its own.
type contender struct {
	name   string
	callee party
	street *street
	group  process.Group
	client *client
	learns bool // packets must come for a while before it is at its best
	close  func() error
}

// A party is where all callees are: an address, and ports from first on, even ones.
type party struct {
	addr  netip.Addr
	first uint16
}

// Names of contenders.
const (
	oursKernel = "lindero, kernel"
	oursUser   = "lindero, user space"
	rtpengine  = "rtpengine, user space"
)

// begin starts a contender, whose inside address is inside: its own, towards the
// callees, or the one that it has towards callers, too.
func begin(ctx context.Context, name, binary string, inside netip.Addr) (*contender, error) {
	s, err := newStreet()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lindero-bench-relay-")
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	c := &contender{name: name, street: s, callee: party{calleeAddr, 4000}}
	if inside == outsideAddr {
		c.callee = party{callerAddr, 4000 + 2*mostCalls}
	}
	var stop func()
	c.close = func() error {
		if c.client != nil {
			c.client.end()
		}
		if stop != nil {
			stop()
		}
		if c.name == oursKernel {
			leave(s, binary, dir)
		}
		return errors.Join(s.close(), os.RemoveAll(dir))
	}
	var args []string
	if name == rtpengine {
		c.learns = true
		args = []string{"rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--log-level=4", "--table=-1", "--num-threads=2",
			"--interface=external/" + outsideAddr.String(), "--interface=internal/" + inside.String(),
			fmt.Sprintf("--listen-ng=%v:%d", outsideAddr, ngPort), fmt.Sprintf("--port-min=%d", firstPort), fmt.Sprintf("--port-max=%d", lastPort),
			"--delete-delay=0", "--pidfile=" + filepath.Join(dir, "rtpengine.pid")}
	} else {
		file, err := configure(name, dir, inside)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		args = []string{binary, "relay", "--config", file}
	}
	program, args := s.command(relayCPU, args[0], args[1:]...)
	p, end, err := process.Start(filepath.Join(dir, "relay.log"), program, args...)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	stop, c.group = end, process.Group{p}
	if c.client, err = newClient(ctx, s); err != nil {
		return nil, errors.Join(err, c.close())
	}
	err = process.Await(ctx, name, func() bool { _, err := c.client.do(ng.Command{Name: ng.Ping}); return err == nil })
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "relay.log"))
		return nil, errors.Join(fmt.Errorf("%w: %s", err, text), c.close())
	}
	return c, nil
}

// configure writes the file of our relay.
func configure(name, dir string, inside netip.Addr) (string, error) {
	shield := map[string]any{"mode": "off"}
	if name == oursKernel {
		shield = map[string]any{
			"mode": "native", "devices": []string{livegen.FarDevice, livegen.NearDevice},
			"pin": filepath.Join(dir, "bpf"), "state": filepath.Join(dir, "shield.json"),
		}
	}
	b, err := json.Marshal(map[string]any{
		"role": "relay", "metrics": "off", "id": "bench", "ng": fmt.Sprintf("%v:%d", outsideAddr, ngPort),
		"external": outsideAddr, "internal": inside, "media_ports": fmt.Sprintf("%d-%d", firstPort, lastPort),
		"max_calls": 14000, "port_rest": "1s", "shield": shield,
	})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "relay.yaml")
	return file, os.WriteFile(file, b, 0o600)
}

// sinks let nothing of the load up to the ends' stacks.
func (s *street) sinks() (func() error, error) {
	left, err := livegen.Drop(s.left.Near, livegen.NearDevice)
	if err != nil {
		return nil, err
	}
	right, err := livegen.Drop(s.right.Far, livegen.FarDevice)
	if err != nil {
		return nil, errors.Join(err, left.Close())
	}
	return func() error { return errors.Join(left.Close(), right.Close()) }, nil
}

// warm lets packets flow gently until the relay knows where everybody is.
func (c *contender) warm(ctx context.Context, flows []flow, inward bool) error {
	p := c.street.plan(flows, inward)
	p.Rate, p.Packets, p.Processor = 20_000, max(uint64(len(flows)*4), 20_000), loadCPU+1
	if c.learns {
		p.Packets = max(p.Packets, 80_000) // rtpengine pins a source after 3 s
	}
	_, err := c.send(ctx, p)
	return err
}

// send makes one load and returns what the sender counted.
func (c *contender) send(ctx context.Context, p livegen.Plan) (livegen.Result, error) {
	g, err := livegen.Open(p)
	if err != nil {
		return livegen.Result{}, err
	}
	defer g.Close()
	r, err := g.Run(ctx)
	if err != nil {
		return r, err
	}
	settling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return r, c.street.settle(settling)
}
