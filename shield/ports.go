package shield

import (
	"fmt"
	"sync"

	"github.com/lindero/lindero/shield/policy"
)

// A Port is a port of ours.
type Port struct {
	TCP         bool
	First, Last uint16
	Service     policy.Service
}

// ports are what the roles of this process serve.
type ports struct {
	mu sync.Mutex // guards the fields below, and is held while they are written into the filter
	of map[string][]Port
}

// Serve replaces the ports that owner ("edge" or "relay") has. RTP ranges that
// overlap the kernel's ephemeral ports are reserved (ip_local_reserved_ports), or,
// when that fails, are not filtered, with a warning that says what to do.
func (g *Guard) Serve(owner string, list []Port) error {
	for _, p := range list {
		if p.First == 0 || p.Last < p.First || p.Service == policy.NoService || p.Service >= policy.Services {
			return fmt.Errorf("shield: %s serves no ports %d-%d for %v", owner, p.First, p.Last, p.Service)
		}
		if p.Service == policy.RTP && p.TCP {
			return fmt.Errorf("shield: %s serves RTP over TCP, which there is not", owner)
		}
	}
	if at := g.post.Load(); at.mode == modeNative || at.mode == modeGeneric {
		list = g.reserve(list)
	}
	g.ports.mu.Lock()
	defer g.ports.mu.Unlock()
	if g.ports.of == nil {
		g.ports.of = map[string][]Port{}
	}
	g.ports.of[owner] = list
	var all []Port
	for _, ports := range g.ports.of {
		all = append(all, ports...)
	}
	return g.post.Load().setServices(all)
}

// reserve keeps the kernel from lending RTP ports to others, and takes out of
// list what it could not keep.
func (g *Guard) reserve(list []Port) []Port {
	var want []span
	for _, p := range list {
		if p.Service == policy.RTP {
			want = append(want, span{p.First, p.Last})
		}
	}
	if want == nil {
		return list
	}
	added, err := g.sysctl.reserve(want)
	if err == nil {
		if added != nil {
			g.log.Info("shield: ports are reserved for media", "ports", formatSpans(added), "in", g.sysctl.reserved)
		}
		return list
	}
	lent, lentErr := g.sysctl.lent()
	if lentErr != nil {
		lent = span{1, 65535}
	}
	have := g.sysctl.have()
	var kept []Port
	var open []span
	for _, p := range list {
		if p.Service != policy.RTP || covered(span{p.First, p.Last}, have) {
			kept = append(kept, p)
			continue
		}
		for _, s := range (span{p.First, p.Last}).without(lent) {
			kept = append(kept, Port{First: s.first, Last: s.last, Service: policy.RTP})
		}
		if s := (span{p.First, p.Last}); s.overlaps(lent) {
			open = append(open, span{max(s.first, lent.first), min(s.last, lent.last)})
		}
	}
	if open != nil {
		g.log.Warn("shield: some media ports are not filtered, since the kernel lends them to others too", "ports", formatSpans(open),
			"err", err, "do", "sysctl net.ipv4.ip_local_reserved_ports="+formatSpans(merge(append(have, want...))))
	}
	return kept
}

// Leg says whether a call has the RTP port.
func (g *Guard) Leg(port uint16, live bool) { g.post.Load().setLeg(port, live) }
