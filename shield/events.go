package shield

import (
	"context"
	"net/netip"
	"time"

	"github.com/lindero/lindero/shield/policy"
)

// maxEvents is how many sightings of the edge may wait to be written down. What
// finds no room is counted and lost: the next one of a phone comes soon.
const maxEvents = 8192

// How often the guard looks after its own.
const (
	sampleEvery    = 250 * time.Millisecond // before the kernel's ring is full
	lapseEvery     = 5 * time.Second
	reconcileEvery = time.Minute
)

// An event is something the edge saw of a source.
type event struct {
	kind    kind
	source  netip.Addr
	until   time.Time // registered
	offence Offence
	proven  bool
	detail  string
}

type kind uint8

const (
	sawAnswer kind = iota
	sawRegistration
	sawOffence
)

// Known promotes a source that answered a challenge, for an hour; Registered one
// whose registration core accepted, until it ends. A banned source stays banned,
// a registered one is not made less by Known. They never block.
func (g *Guard) Known(source netip.Addr) { g.saw(event{kind: sawAnswer, source: source}) }

// Registered is told with Known.
func (g *Guard) Registered(source netip.Addr, until time.Time) {
	g.saw(event{kind: sawRegistration, source: source, until: until})
}

// Offended counts an offence of a source and bans it by the policy's Bans. proven
// says that the source cannot be forged: it came over a connection. Sources that
// are known, registered, carriers or allowed are never banned on evidence that
// could be forged. It never blocks.
func (g *Guard) Offended(source netip.Addr, o Offence, proven bool, detail string) {
	g.saw(event{kind: sawOffence, source: source, offence: o, proven: proven, detail: detail})
}

func (g *Guard) saw(e event) {
	if !e.source.IsValid() {
		return
	}
	select {
	case g.events <- e:
	default:
		g.tallied.lost.Add(1)
	}
}

// keep writes down what the edge sees, and does what the clock asks for, until
// ctx ends.
func (g *Guard) keep(ctx context.Context) {
	sample := time.NewTicker(sampleEvery)
	defer sample.Stop()
	lapse := time.NewTicker(lapseEvery)
	defer lapse.Stop()
	reconcile := time.NewTicker(reconcileEvery)
	defer reconcile.Stop()
	for saved := g.ledger.changes(); ; {
		select {
		case <-ctx.Done():
			for range len(g.events) { // what was seen before the end is remembered
				g.note(<-g.events, time.Now())
			}
			return
		case e := <-g.events:
			g.note(e, time.Now())
		case now := <-sample.C:
			g.tend(now)
			g.takeSamples(now)
			g.recompile(now)
		case now := <-lapse.C:
			g.ledger.lapse(time.Duration(g.force.Load().compiled.Bans.Window), now)
			g.ledger.complain()
		case now := <-reconcile.C:
			g.ledger.reconcile(now)
		}
		if n := g.ledger.changes(); n != saved {
			saved = n
			g.save()
		}
	}
}

// note writes one event down.
func (g *Guard) note(e event, now time.Time) {
	if e.source = clean(e.source); !somebody(e.source) {
		return
	}
	switch e.kind {
	case sawAnswer:
		g.ledger.promote(e.source, time.Time{}, now)
	case sawRegistration:
		if !e.until.IsZero() {
			g.ledger.promote(e.source, e.until, now)
		}
	case sawOffence:
		g.tallied.offence(e.offence)
		compiled := g.force.Load().compiled
		switch policy.ListValue(compiled.Lists.Lookup(e.source)).Action() {
		case policy.ListAllow, policy.ListCarrier:
			return // the lists win over bans
		}
		g.ledger.offended(e, compiled.Bans, now)
	}
}
