package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// A street is three namespaces in a row: callers, the relay, callees. All load is
// made at both ends and counted there by the devices; nothing of it reaches a stack
// but the relay's.
type street struct {
	left, right *livegen.Wire // callers to relay, relay to callees
}

// Where everybody lives. The relay has far0 towards callers, near0 towards callees.
var (
	callerAddr  = netip.MustParseAddr("192.0.2.1")
	outsideAddr = netip.MustParseAddr("192.0.2.2")
	insideAddr  = netip.MustParseAddr("198.51.100.2")
	calleeAddr  = netip.MustParseAddr("198.51.100.3")
)

// newStreet lays it out; close takes it away.
func newStreet() (_ *street, err error) {
	s := &street{}
	if s.left, err = livegen.NewWire(); err != nil {
		return nil, err
	}
	if s.right, err = livegen.NewWire(); err != nil {
		return nil, errors.Join(err, s.left.Close())
	}
	if err := s.right.Join(s.left); err != nil {
		return nil, errors.Join(err, s.close())
	}
	for _, command := range [][2]string{
		{s.left.Near, "addr add 192.0.2.1/24 dev near0"},
		{s.left.Near, "link set lo up"},
		{s.left.Near, "neigh replace 192.0.2.2 lladdr " + s.left.FarMAC.String() + " dev near0"},
		{s.left.Far, "addr add 198.51.100.2/24 dev near0"},
		{s.left.Far, "neigh replace 192.0.2.1 lladdr " + s.left.NearMAC.String() + " dev far0"},
		{s.left.Far, "neigh replace 198.51.100.3 lladdr " + s.right.FarMAC.String() + " dev near0"},
		{s.right.Far, "addr add 198.51.100.3/24 dev far0"},
		{s.right.Far, "neigh replace 198.51.100.2 lladdr " + s.right.NearMAC.String() + " dev far0"},
	} {
		args := append([]string{"-n", filepath.Base(command[0])}, strings.Fields(command[1])...)
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("ip %s: %w: %s", command[1], err, out), s.close())
		}
	}
	for network, commands := range map[string][]string{
		// GRO gives a veth the receive ring that redirected frames want.
		s.left.Near: {"ethtool -K near0 gro on"},
		s.right.Far: {"ethtool -K far0 gro on"},
		s.left.Far:  {"ethtool -K far0 gro on", "ethtool -K near0 gro on", "sysctl -q -w net.ipv4.ip_forward=1"},
	} {
		for _, c := range commands {
			args := append([]string{"--net=" + network}, strings.Fields(c)...)
			if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w: %s", c, err, out), s.close())
			}
		}
	}
	return s, nil
}

func (s *street) close() error { return errors.Join(s.left.Close(), s.right.Close()) }

// A flow is one direction of a call: the ports of who sends and of the relay where
// it arrives, and those it leaves by.
type flow struct{ from, local, via, to uint16 }

// plan is a load of RTP: from callers to the relay, or from callees.
func (s *street) plan(flows []flow, inward bool) livegen.Plan {
	p := livegen.Plan{
		Network: s.left.Near, Device: livegen.NearDevice, FromMAC: s.left.NearMAC, ToMAC: s.left.FarMAC,
		From: netip.PrefixFrom(callerAddr, 32), To: outsideAddr,
	}
	if !inward {
		p.Network, p.Device, p.FromMAC, p.ToMAC = s.right.Far, livegen.FarDevice, s.right.FarMAC, s.right.NearMAC
		p.From, p.To = netip.PrefixFrom(calleeAddr, 32), insideAddr
	}
	p.Payload = make([]byte, 172)
	p.Payload[0] = 0x80
	for _, f := range flows {
		p.Streams = append(p.Streams, livegen.Stream{FromPort: f.from, ToPort: f.local})
	}
	return p
}

// arrived is how many packets a device at an end has taken in.
func (s *street) arrived(inward bool) (n uint64, err error) {
	network, device := s.left.Near, livegen.NearDevice
	if inward {
		network, device = s.right.Far, livegen.FarDevice
	}
	err = livegen.In(network, func() error {
		// The file of /sys is that of the mount's namespace; this one is the thread's.
		b, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if name, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == device {
				n, err = strconv.ParseUint(strings.Fields(rest)[1], 10, 64)
				return err
			}
		}
		return fmt.Errorf("no device %s", device)
	})
	return n, err
}

// softirq is the time of the kernel threads that take over what arrives when it gets
// too much for those who sent it.
func softirq() (t time.Duration, err error) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is good
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), "ksoftirqd/") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(name), "schedstat"))
		if err != nil {
			return 0, err
		}
		if f := strings.Fields(string(stat)); len(f) > 0 {
			n, _ := strconv.ParseInt(f[0], 10, 64) // the kernel writes numbers
			t += time.Duration(n)
		}
	}
	return t, nil
}

// command prepares a program that runs where the relay is, on one processor.
func (s *street) command(processor int, name string, args ...string) (string, []string) {
	return "nsenter", append([]string{"--net=" + s.left.Far, "taskset", "-c", strconv.Itoa(processor), name}, args...)
}

// settle waits until nothing arrives any more.
func (s *street) settle(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := uint64(0)
	for {
		a, err := s.arrived(true)
		if err != nil {
			return err
		}
		b, err := s.arrived(false)
		if err != nil || a+b == last {
			return err
		}
		last = a + b
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
