package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

const (
	askers   = 64 // commands under way
	askFor   = 5 * time.Second
	resident = 2000 // calls whose memory is measured
)

// offers counts offers answered; each is deleted again, or ports would run out.
func (b *bench) offers(ctx context.Context) error {
	rate := map[string]float64{}
	for _, name := range []string{oursUser, rtpengine} {
		n, err := b.offered(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		say("%-22s %.0f offers/s, each with its delete", name, n)
		rate[name] = n
	}
	b.add(offerRate, rate[oursUser], rate[rtpengine])
	return nil
}

func (b *bench) offered(ctx context.Context, name string) (rate float64, err error) {
	c, err := begin(ctx, name, b.binary, insideAddr)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var answered atomic.Uint64
	var all sync.WaitGroup
	faults := make([]error, askers)
	began := time.Now()
	before, err := c.group.CPU()
	if err != nil {
		return 0, err
	}
	for w := range faults {
		all.Go(func() {
			for i := 0; time.Since(began) < askFor && ctx.Err() == nil; i++ {
				id := fmt.Sprintf("offer-%d-%d", w, i)
				_, err := c.client.do(ng.Command{
					Name: ng.Offer, CallID: id, FromTag: "a", SDP: described(callerAddr, 4000), Direction: [2]string{"external", "internal"},
					Replace: []string{ng.ReplaceOrigin, ng.ReplaceSession}, Flags: []string{ng.FlagTrustAddress}, ICE: ng.ICERemove,
				})
				if err == nil {
					answered.Add(1)
					_, err = c.client.do(ng.Command{Name: ng.Delete, CallID: id, FromTag: "a"})
				}
				if err != nil {
					faults[w] = err
					return
				}
			}
		})
	}
	all.Wait()
	wall := time.Since(began)
	after, err := c.group.CPU()
	if err != nil {
		return 0, err
	}
	say("%-22s %.0f µs of the relay's processor for an offer and its delete", name, float64((after-before).Microseconds())/float64(answered.Load()))
	return float64(answered.Load()) / wall.Seconds(), errors.Join(faults...)
}

// memory measures what calls in progress add to the process.
func (b *bench) memory(ctx context.Context) error {
	size := map[string]float64{}
	for _, name := range []string{oursUser, rtpengine} {
		n, err := b.grown(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		say("%-22s %.1f kB a call", name, n)
		size[name] = n
	}
	b.add(callMemory, size[oursUser], size[rtpengine])
	return nil
}

func (b *bench) grown(ctx context.Context, name string) (kB float64, err error) {
	c, err := begin(ctx, name, b.binary, insideAddr)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	// What the first calls make for all to come is not theirs.
	if _, _, err := c.calls("first", 50, 0); err != nil {
		return 0, err
	}
	before, err := c.group.Memory()
	if err != nil {
		return 0, err
	}
	in, out, err := c.calls("resident", resident, 50)
	if err != nil {
		return 0, err
	}
	sinks, err := c.street.sinks()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sinks()) }()
	if err := errors.Join(c.warm(ctx, in, true), c.warm(ctx, out, false)); err != nil {
		return 0, err
	}
	after, err := c.group.Memory()
	return (after - before) / resident / 1024, err
}
