package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

const (
	perSecond = 50     // packets of G.711 each way
	held      = 8      // seconds
	bearable  = 0.0001 // of the packets lost
	slack     = 0.98   // of the rate; a generator that is slower has reached its limit
	mostCalls = 14_000 // that have ports
)

// calls finds out how many calls each contender holds.
func (b *bench) calls(ctx context.Context) error {
	best := map[string]int{}
	for _, l := range []struct {
		name        string
		first, step float64
	}{{oursKernel, 2000, 1.26}, {oursUser, 400, 1.12}, {rtpengine, 400, 1.12}} {
		n, err := b.search(ctx, l.name, l.first, l.step)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		best[l.name] = n
	}
	b.add(kernelCalls, float64(best[oursKernel]), float64(best[rtpengine]))
	b.add(userCalls, float64(best[oursUser]), float64(best[rtpengine]))
	return nil
}

// search adds calls until too much is lost, twice in a row: others may have the
// machine for a moment.
func (b *bench) search(ctx context.Context, name string, first, step float64) (best int, err error) {
	c, err := begin(ctx, name, b.binary)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	sinks, err := c.street.sinks()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sinks()) }()
	var inward, outward []flow
	for want := first; want <= mostCalls; want *= step {
		more, back, err := c.client.calls("held", int(want)-len(inward), len(inward))
		if err != nil {
			return best, err
		}
		inward, outward = append(inward, more...), append(outward, back...)
		if err := errors.Join(c.warm(ctx, inward, true), c.warm(ctx, outward, false)); err != nil {
			return best, err
		}
		good := false
		for range 2 {
			h, err := c.hold(ctx, inward, outward)
			if err != nil {
				return best, err
			}
			say("%-22s %d calls: %v", name, len(inward), h)
			if good = h.lost < bearable && h.pace > slack; good {
				break
			}
		}
		if !good {
			break
		}
		best = len(inward)
	}
	return best, nil
}

// A holding is what came of holding some calls.
type holding struct {
	lost float64 // of the packets
	pace float64 // the rate that was reached, of the one wanted
	busy float64 // of a processor, by the relay's process
}

func (h holding) String() string {
	return fmt.Sprintf("lost %.4f %%, pace %.1f %%, relay's process %.0f %% of a processor", 100*h.lost, 100*h.pace, 100*h.busy)
}

// hold sends both ways for a while.
func (c *contender) hold(ctx context.Context, inward, outward []flow) (holding, error) {
	started, err := c.account()
	if err != nil {
		return holding{}, err
	}
	in, err := c.street.arrived(true)
	if err != nil {
		return holding{}, err
	}
	out, err := c.street.arrived(false)
	if err != nil {
		return holding{}, err
	}
	var all sync.WaitGroup
	var results [2]livegen.Result
	var faults [2]error
	for i, flows := range [][]flow{inward, outward} {
		p := c.street.plan(flows, i == 0)
		p.Rate, p.Processor = uint64(len(flows)*perSecond), loadCPU+1
		p.Packets = p.Rate * held
		all.Go(func() {
			g, err := livegen.Open(p)
			if err != nil {
				faults[i] = err
				return
			}
			defer g.Close()
			results[i], faults[i] = g.Run(ctx)
		})
	}
	all.Wait()
	settling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := errors.Join(faults[0], faults[1], c.street.settle(settling)); err != nil {
		return holding{}, err
	}
	ended, err := c.account()
	if err != nil {
		return holding{}, err
	}
	in2, err := c.street.arrived(true)
	if err != nil {
		return holding{}, err
	}
	out2, err := c.street.arrived(false)
	if err != nil {
		return holding{}, err
	}
	sent, came := float64(results[0].Sent+results[1].Sent), float64(in2-in+out2-out)
	wall := max(results[0].Wall, results[1].Wall)
	return holding{
		lost: max(0, 1-came/sent), pace: held / wall.Seconds(),
		busy: float64(ended.process-started.process) / float64(wall),
	}, nil
}
