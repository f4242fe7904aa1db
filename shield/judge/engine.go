package judge

import (
	"net/netip"
	"sync/atomic"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// An Engine is the shield in user space: Decide, and the tables the kernel program
// would keep, of the same sizes and addressed in the same way. Its methods may be
// called from any goroutine, and judging allocates nothing and waits for nobody.
// Cells and buckets are read and written without a lock between: when two packets
// meet in one, an update is lost and a packet more is let through, which is
// accepted, here as in the kernel.
type Engine struct {
	seed   Seed
	policy atomic.Pointer[policy.Compiled]
	table  atomic.Pointer[geo.Table]
	ports  atomic.Pointer[portTable]
	legs   [1 << 16 / 64]atomic.Uint64

	sources  sources
	cells    []atomic.Uint64
	around   [2][]atomic.Uint64
	halfOpen []atomic.Uint64
	all      [Aggregates]atomic.Uint64
	refused  []atomic.Uint64

	counters [geo.Countries][policy.Verdicts]atomic.Uint64
}

// Counters are packets by country and verdict.
type Counters [geo.Countries][16]uint64

// A Port is a range of ports of ours.
type Port struct {
	TCP         bool
	First, Last uint16
	Service     policy.Service
}

// portTable is the service of each port, UDP first.
type portTable [2][1 << 16]policy.Service

func (t *portTable) service(tcp bool, port uint16) policy.Service {
	if tcp {
		return t[1][port]
	}
	return t[0][port]
}

// NewEngine makes an Engine without a policy, which lets everything pass as
// unclassified, without a country table and without ports.
func NewEngine(seed Seed) *Engine {
	e := &Engine{
		seed:     seed,
		cells:    make([]atomic.Uint64, Cells),
		around:   [2][]atomic.Uint64{make([]atomic.Uint64, Arounds), make([]atomic.Uint64, Arounds)},
		halfOpen: make([]atomic.Uint64, HalfOpens),
		refused:  make([]atomic.Uint64, Refusals),
	}
	e.ports.Store(new(portTable))
	return e
}

// Seed is what the engine hashes keys with.
func (e *Engine) Seed() Seed { return e.seed }

// SetPolicy puts p into force whole; nil: none.
func (e *Engine) SetPolicy(p *policy.Compiled) { e.policy.Store(p) }

// Policy is what is in force, or nil.
func (e *Engine) Policy() *policy.Compiled { return e.policy.Load() }

// SetTable puts a country table into force; nil: countries are off.
func (e *Engine) SetTable(t *geo.Table) { e.table.Store(t) }

// Table is the country table in force, or nil.
func (e *Engine) Table() *geo.Table { return e.table.Load() }

// SetPorts replaces the ports that JudgeFrame takes for ours. Of ranges that share
// a port the last has it.
func (e *Engine) SetPorts(ports []Port) {
	t := new(portTable)
	for _, p := range ports {
		row := &t[0]
		if p.TCP {
			row = &t[1]
		}
		for n := int(p.First); n <= int(p.Last); n++ {
			row[n] = p.Service
		}
	}
	e.ports.Store(t)
}

// SetLeg says whether a call has the RTP port.
func (e *Engine) SetLeg(port uint16, live bool) {
	if bit := uint64(1) << (port % 64); live {
		e.legs[port/64].Or(bit)
	} else {
		e.legs[port/64].And(^bit)
	}
}

func (e *Engine) live(port uint16) bool { return e.legs[port/64].Load()>>(port%64)&1 != 0 }

// PutSource makes or changes a source. Its bucket starts full when it is new and is
// kept when it is not. ErrFull when there are MaxSources.
func (e *Engine) PutSource(k Key, v Source) error { return e.sources.put(k, v) }

// DeleteSource forgets a source and tells whether there was one.
func (e *Engine) DeleteSource(k Key) bool { return e.sources.remove(k) }

// Sources calls f for all of them, those that are over included.
func (e *Engine) Sources(f func(Key, Source)) { e.sources.all(f) }

// Judge judges a packet that is for a service of ours, such as a listener receives,
// and counts it.
func (e *Engine) Judge(p Packet, now Millis) Ruling {
	p.Source = p.Source.Unmap() // of a listener that takes both families
	return e.count(e.judge(&p, now))
}

// JudgeFrame judges an Ethernet frame and counts it.
func (e *Engine) JudgeFrame(frame []byte, now Millis) Ruling {
	p, v, ours := Parse(frame, e.ports.Load().service)
	if !ours {
		return e.count(Ruling{Verdict: v})
	}
	return e.count(e.judge(&p, now))
}

func (e *Engine) count(r Ruling) Ruling {
	r.Sampled = e.counters[r.Country][r.Verdict].Add(1)&63 == 1
	return r
}

// places are where a source's state lies.
type places struct {
	cell, halfOpen, all, refused *atomic.Uint64
	around                       [2]*atomic.Uint64
	source                       *exactState // nil: none
}

func (e *Engine) places(p *Packet) places {
	k, near := KeyOf(p.Source), e.seed.Around(AroundOf(p.Source))
	return places{
		cell:     &e.cells[e.seed.Cell(k)],
		around:   [2]*atomic.Uint64{&e.around[0][near[0]], &e.around[1][near[1]]},
		halfOpen: &e.halfOpen[e.seed.HalfOpen(k)],
		all:      &e.all[Aggregate(*p)%Aggregates],
		refused:  &e.refused[e.seed.Refused(k)],
		source:   e.sources.find(k),
	}
}

// state reads the places; own is where the source's exact state is put.
func (e *Engine) state(p *Packet, at places, own *Source) State {
	k := KeyOf(p.Source)
	s := State{
		Tag:      e.seed.Tag(k),
		Cell:     UnpackCell(at.cell.Load()),
		Around:   [2]Bucket{unpackBucket(at.around[0].Load()), unpackBucket(at.around[1].Load())},
		All:      unpackBucket(at.all.Load()),
		HalfOpen: unpackHalfOpen(at.halfOpen.Load()),
		Name:     e.seed.Name(k),
		Refused:  Refused(at.refused.Load()),
		Live:     p.Service == policy.RTP && e.live(p.Port),
	}
	if at.source != nil {
		*own = at.source.load()
		s.Source = own
	}
	return s
}

func (e *Engine) judge(p *Packet, now Millis) Ruling {
	country, table := e.country(p.Source)
	at := e.places(p)
	var own Source
	before := e.state(p, at, &own)
	bucket := own.Bucket
	after := before
	r := decide(p, &after, e.policy.Load(), country, table, now)
	if after.Cell != before.Cell {
		at.cell.Store(after.Cell.Pack())
	}
	for i, b := range after.Around {
		if b != before.Around[i] {
			at.around[i].Store(b.pack())
		}
	}
	if after.All != before.All {
		at.all.Store(after.All.pack())
	}
	if after.Refused != before.Refused {
		at.refused.Store(uint64(after.Refused))
	}
	if after.HalfOpen != before.HalfOpen {
		at.halfOpen.Store(after.HalfOpen.pack())
	}
	if own.Bucket != bucket {
		at.source.bucket.Store(own.Bucket.pack())
	}
	return r
}

// country is where a is, and whether there is a table to say so.
func (e *Engine) country(a netip.Addr) (geo.Country, bool) {
	t := e.table.Load()
	if t == nil {
		return geo.Unknown, false
	}
	return t.Country(a), true
}

// Look is what the engine knows that would decide p now; it changes nothing.
func (e *Engine) Look(p Packet) State {
	p.Source = p.Source.Unmap()
	return e.state(&p, e.places(&p), new(Source))
}

// Counters copies the counters.
func (e *Engine) Counters() *Counters {
	c := new(Counters)
	for i := range c {
		for v := range c[i] {
			c[i][v] = e.counters[i][v].Load()
		}
	}
	return c
}
