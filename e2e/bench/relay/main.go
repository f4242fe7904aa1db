// Command relay measures what moving RTP costs: Lindero's relay in the kernel and in
// user space, beside rtpengine in user space and beside the least XDP program that
// rewrites and redirects, on the same three namespaces with the same load. It
// asserts nothing: it prints what is, and keeps it in bench/relay.json. It needs
// root, makes namespaces of its own and removes them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/lindero/lindero/e2e/bench/report"
)

func main() {
	binary := flag.String("lindero", "bin/lindero", "the binary under test")
	out := flag.String("out", "bench", "the folder the figures go to, as relay.json")
	runs := flag.Int("runs", 3, "runs of each figure")
	only := flag.String("only", "", "one part: costs, calls, offers or memory")
	limit := flag.Duration("limit", 30*time.Minute, "longest it may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, *binary, *out, *only, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench relay:", err)
		os.Exit(1)
	}
}

// A bench is one comparison under way: samples by figure, ours and the peer's.
type bench struct {
	binary     string
	ours, peer map[string][]float64
}

func (b *bench) add(figure string, ours, peer float64) {
	b.ours[figure] = append(b.ours[figure], ours)
	b.peer[figure] = append(b.peer[figure], peer)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, binary, out, only string, runs int) error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces and BPF programs need root")
	}
	for _, program := range []string{"ip", "ethtool", "nsenter", "taskset", "rtpengine"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed; make tools does that", program)
		}
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	b := &bench{binary: binary, ours: map[string][]float64{}, peer: map[string][]float64{}}
	parts := []struct {
		name string
		do   func(context.Context) error
	}{{"costs", b.costs}, {"calls", b.calls}, {"offers", b.offers}, {"memory", b.memory}}
	for n := range runs {
		say("run %d of %d", n+1, runs)
		for _, p := range parts {
			if only != "" && only != p.name {
				continue
			}
			if err := p.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	var figures []report.Figure
	for _, f := range wanted {
		if only == "" || strings.HasPrefix(f.part, only) {
			figures = append(figures, report.Compare(f.name, f.unit, f.wanted, b.ours[f.name], b.peer[f.name]))
		}
	}
	if err := report.Print(os.Stdout, figures); err != nil {
		return err
	}
	return report.Write(filepath.Join(out, "relay.json"), figures)
}

// The figures in the order of the table.
const (
	kernelCost  = "kernel forwarding, CPU a packet (peer: rtpengine in user space at 100,000 packets/s)"
	kernelRate  = "kernel forwarding, packets a second on one core (peer: bare rewrite and redirect)"
	userCost    = "user space, CPU of the process a packet, flat out (peer: rtpengine)"
	userPaced   = "user space, CPU of the process a packet at 100,000/s (peer: rtpengine)"
	kernelCalls = "calls held at once, kernel (peer: rtpengine in user space)"
	userCalls   = "calls held at once, user space (peer: rtpengine)"
	offerRate   = "offers answered per second (peer: rtpengine)"
	callMemory  = "memory of a call (peer: rtpengine)"
)

var wanted = []struct{ part, name, unit, wanted string }{
	{"costs", kernelCost, "ns", "<= 0.0167"},
	{"costs", kernelRate, "million/s", ">= 0.75"},
	{"costs", userCost, "ns", "<= 0.7"},
	{"costs", userPaced, "ns", ""},
	{"calls", kernelCalls, "calls", ">= 5000 calls"},
	{"calls", userCalls, "calls", ">= 1.3"},
	{"offers", offerRate, "offers/s", ">= 1"},
	{"memory", callMemory, "kB", "<= 0.5"},
}

const (
	flows = 100 // of RTP, one way each, while the price of a packet is measured
	paced = 100_000
)

// costs measures the price of one packet.
func (b *bench) costs(ctx context.Context) error {
	const packets = 3_000_000
	drop, burst, err := bareDrop(ctx, packets)
	if err != nil {
		return err
	}
	say("%-22s wire %.0f ns a packet", "bare drop", drop)
	bare, err := bareRepeat(ctx, flows, packets)
	if err != nil {
		return err
	}
	say("%-22s %v", "bare repeat", bare)
	flat, slow, in := map[string]cost{}, map[string]cost{}, map[string]float64{}
	for _, name := range []string{oursKernel, oursUser, rtpengine} {
		if flat[name], slow[name], in[name], err = b.cost(ctx, name, packets); err != nil {
			return err
		}
		say("%-22s flat out: %v", name, flat[name])
		say("%-22s at 100,000/s: %v", name, slow[name])
		in[name] -= burst
		say("%-22s in bursts: %.0f ns a packet more than a drop until the relay has it", name, in[name])
	}
	b.add(kernelCost, flat[oursKernel].wire+flat[oursKernel].process-drop, slow[rtpengine].process+in[rtpengine])
	b.add(kernelRate, 1e3/flat[oursKernel].wire, 1e3/bare.wire)
	b.add(userCost, flat[oursUser].process, flat[rtpengine].process)
	b.add(userPaced, slow[oursUser].process, slow[rtpengine].process)
	return nil
}

// cost measures one contender, as fast as it can and paced.
func (b *bench) cost(ctx context.Context, name string, packets uint64) (flat, slow cost, in float64, err error) {
	c, err := begin(ctx, name, b.binary, insideAddr)
	if err != nil {
		return flat, slow, in, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	way, _, err := c.calls("cost", flows, 0)
	if err != nil {
		return flat, slow, in, err
	}
	sinks, err := c.street.sinks()
	if err != nil {
		return flat, slow, in, err
	}
	defer func() { err = errors.Join(err, sinks()) }()
	if err := c.warm(ctx, way, true); err != nil {
		return flat, slow, in, err
	}
	if slow, err = c.measure(ctx, way, paced, 3*paced); err != nil {
		return flat, slow, in, err
	}
	if in, err = c.takeIn(ctx, way); err != nil {
		return flat, slow, in, err
	}
	flat, err = c.measure(ctx, way, 0, packets)
	return flat, slow, in, err
}
