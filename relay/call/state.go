package call

import (
	"net/netip"
	"slices"

	"github.com/lindero/lindero/relay/ports"
)

// StateVersion changes with whatever a state says, and how.
const StateVersion = 1

// maxLines is how many m= lines a state may have, refused ones included.
const maxLines = 1 << 10

// A place names one of our addresses: interfaces are constant only within a process.
type place struct {
	name string
	bind netip.Addr
}

// state writes or reads everything a process must know to go on with a call. Digits
// that are being played are left out, and so is the hash of the last SDP, whose seed
// is the process's.
func (c *coder) state(call *Call, find func(place) *Interface) {
	c.text(&call.ID)
	c.time(&call.created)
	c.time(&call.lastSignal)
	c.bool(&call.answered, &call.dropped)
	c.sums(&call.gone.RTP)
	c.sums(&call.gone.RTCP)
	code(c, &call.gone.ZeroWay)
	code(c, &call.gone.OneWay)
	c.tags(call)
	n := c.count(len(call.forks), maxForks)
	if c.reading {
		call.forks = nil
	}
	for i := range n {
		if c.reading {
			call.forks = append(call.forks, &fork{})
		}
		c.fork(call.forks[i], find)
	}
}

func (c *coder) tags(call *Call) {
	names := make([]string, 0, 4)
	for name := range call.tags {
		names = append(names, name)
	}
	slices.Sort(names)
	n := c.count(len(names), maxTags)
	if c.reading {
		names, call.tags = make([]string, n), make(map[string]*monologue, n)
	}
	for _, name := range names {
		c.text(&name)
		m := call.tags[name]
		if c.reading {
			m = &monologue{}
			call.tags[name] = m
		}
		c.time(&m.created)
		c.text(&m.label)
	}
}

func (c *coder) fork(f *fork, find func(place) *Interface) {
	c.text(&f.branch)
	c.time(&f.created)
	c.time(&f.dies)
	c.bool(&f.answered)
	for x := range f.sides {
		s := &f.sides[x]
		c.face(&s.face, find)
		c.text(&s.tag)
		c.bool(&s.rules.Block, &s.rules.Silence, &s.rules.NoEvents, &s.said.said)
		c.text(&s.said.id.User)
		c.text(&s.said.id.Name)
		code(c, &s.said.id.Version)
	}
	n := c.count(len(f.tags), maxTags)
	if c.reading {
		f.tags = make(map[string]int, n)
		for range n {
			var tag string
			var x uint8
			c.text(&tag)
			code(c, &x)
			f.tags[tag] = int(x & 1)
		}
	} else {
		for tag, x := range f.tags {
			c.text(&tag)
			code(c, &x)
		}
	}
	n = c.count(len(f.streams), maxLines)
	for i := range n {
		if c.reading {
			f.streams = append(f.streams, &stream{})
		}
		c.stream(f.streams[i], find)
	}
}

// face writes or reads an address of ours; one that is not ours any more is bad.
func (c *coder) face(v **Interface, find func(place) *Interface) {
	var at place
	if !c.reading {
		at = place{(*v).Name, (*v).Bind}
	}
	c.text(&at.name)
	c.addr(&at.bind)
	if c.reading && !c.bad {
		if *v = find(at); *v == nil {
			c.bad = true
		}
	}
}

func (c *coder) stream(s *stream, find func(place) *Interface) {
	c.text(&s.kind)
	c.text(&s.proto)
	for x := range s.halves {
		there := s.halves[x] != nil
		if c.bool(&there); !there {
			continue
		}
		if c.reading {
			s.halves[x] = &half{}
		}
		c.half(s.halves[x], find)
	}
}

func (c *coder) half(h *half, find func(place) *Interface) {
	c.face(&h.face, find)
	port := h.pair.RTP.Port()
	code(c, &port)
	if c.reading && !c.bad {
		h.pair = ports.Pair{RTP: netip.AddrPortFrom(h.face.Bind, port), RTCP: netip.AddrPortFrom(h.face.Bind, port+1)}
		h.rtp.local, h.rtcp.local = h.pair.RTP, h.pair.RTCP
	}
	c.end(&h.rtp)
	c.end(&h.rtcp)
	m := &h.mux
	c.bool(&h.refused, &h.quiet, &h.any, &m.asked, &m.told, &m.settled, &m.agreed)
	c.bool(&m.put.Offer, &m.put.Require, &m.put.Demux, &m.put.Accept, &m.put.Reject)
	c.text(&h.proto)
	c.addr(&h.named)
	c.text(&h.codec)
	code(c, &h.clock)
	for i := range h.events.types {
		code(c, &h.events.types[i])
	}
	code(c, &h.events.first)
	code(c, &h.events.clock)
}

func (c *coder) end(e *end) {
	c.bool(&e.sendable, &e.held, &e.asymmetric, &e.follows, &e.pinned)
	c.addrPort(&e.signalled)
	c.addr(&e.received)
	c.addr(&e.moved)
	c.addrPort(&e.source)
	c.time(&e.latched)
}
