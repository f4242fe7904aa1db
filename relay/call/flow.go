package call

import (
	"sync/atomic"

	"github.com/lindero/lindero/relay/forward"
)

// A Flow is what was believed of RTP and RTCP together, whatever became of it.
type Flow struct{ Packets, Bytes, Failed uint64 }

// flow sums up what all calls have seen, those that ended, too. It only grows.
type flow struct{ packets, bytes, failed atomic.Uint64 }

// Flow is the sum over all calls since the registry was made, as of the last Sweep or
// Totals.
func (r *Registry) Flow() Flow {
	return Flow{r.flow.packets.Load(), r.flow.bytes.Load(), r.flow.failed.Load()}
}

// add takes in what c, which is locked, has seen since it was asked last: all that it
// has seen is in sums.
func (f *flow) add(c *Call, sums ...forward.Counts) {
	var now Flow
	for i := range sums {
		now.Packets += sums[i].Packets
		now.Bytes += sums[i].Bytes
		now.Failed += sums[i].Failed
	}
	was := c.flowed
	if now.Packets < was.Packets {
		return // a packet was counted at a port after its last look, and the port was given back
	}
	c.flowed = now
	f.packets.Add(now.Packets - was.Packets)
	f.bytes.Add(now.Bytes - was.Bytes)
	f.failed.Add(now.Failed - was.Failed)
}

// count brings the sum up to date with c, which is locked.
func (r *Registry) count(c *Call) {
	sums := [3]forward.Counts{c.gone.RTP, c.gone.RTCP}
	for e := range c.ends() {
		n := r.counts(e)
		sums[2].Packets += n.Packets
		sums[2].Bytes += n.Bytes
		sums[2].Failed += n.Failed
	}
	r.flow.add(c, sums[:]...)
}
