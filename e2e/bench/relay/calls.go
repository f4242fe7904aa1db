package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/lindero/lindero/wire/ng"
)

const (
	perSecond = 50     // packets of G.711 each way
	held      = 8      // seconds
	bearable  = 0.0001 // of the packets lost
	mostCalls = 14_000 // that have ports
)

// calls finds out how many calls each contender holds.
func (b *bench) calls(ctx context.Context) error {
	best := map[string]float64{}
	for _, l := range []struct {
		name        string
		first, step float64
	}{{oursKernel, 2500, 1.42}, {oursUser, 700, 1.2}, {rtpengine, 400, 1.2}} {
		n, err := b.search(ctx, l.name, l.first, l.step)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		best[l.name] = n
	}
	b.add(kernelCalls, best[oursKernel], best[rtpengine])
	b.add(userCalls, best[oursUser], best[rtpengine])
	return nil
}

// search adds calls until too much is lost, twice in a row: others may have the
// machine for a moment.
func (b *bench) search(ctx context.Context, name string, first, step float64) (best float64, err error) {
	c, err := begin(ctx, name, b.binary, outsideAddr)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	sinks, err := c.street.sinks()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sinks()) }()
	var flows []flow // both ways of every call
	full := false
	for want := first; want <= mostCalls && !full; want *= step {
		there := len(flows) / 2
		in, out, err := c.calls("held", int(want)-there, there)
		var refused *ng.RefusedError
		switch {
		case errors.As(err, &refused):
			full = true
			say("%-22s takes %d calls and no more: %v", name, there+len(in), err)
			if len(in) == 0 {
				return best, nil
			}
		case err != nil:
			return best, err
		}
		flows = append(append(flows, in...), out...)
		if err := c.warm(ctx, flows, true); err != nil {
			return best, err
		}
		good := false
		for range 2 {
			h, err := c.hold(ctx, flows)
			if err != nil {
				return best, err
			}
			say("%-22s %d calls: %v", name, len(flows)/2, h)
			if good = h.lost < bearable; good {
				best = max(best, h.calls)
				break
			}
		}
		if !good {
			break
		}
	}
	return best, nil
}

// A holding is what came of holding some calls.
type holding struct {
	lost  float64 // of the packets
	calls float64 // whose packets came in time: the generator pauses now and then
	busy  float64 // of a processor, by the relay's process
}

func (h holding) String() string {
	return fmt.Sprintf("load of %.0f, lost %.4f %%, relay's process %.0f %% of a processor", h.calls, 100*h.lost, 100*h.busy)
}

// hold sends both ways of all calls for a while. Callers and callees are at one end,
// so that one sender does it: two would take the processor from each other.
func (c *contender) hold(ctx context.Context, flows []flow) (holding, error) {
	started, err := c.account()
	if err != nil {
		return holding{}, err
	}
	before, err := c.street.arrived(false)
	if err != nil {
		return holding{}, err
	}
	p := c.street.plan(flows, true)
	p.Rate, p.Processor = uint64(len(flows)*perSecond), loadCPU+1
	p.Packets = p.Rate * held
	r, err := c.send(ctx, p)
	if err != nil {
		return holding{}, err
	}
	ended, err := c.account()
	if err != nil {
		return holding{}, err
	}
	after, err := c.street.arrived(false)
	if err != nil {
		return holding{}, err
	}
	return holding{
		lost: max(0, 1-float64(after-before)/float64(r.Sent)), calls: float64(r.Sent) / r.Wall.Seconds() / perSecond / 2,
		busy: float64(ended.process-started.process) / float64(r.Wall),
	}, nil
}
