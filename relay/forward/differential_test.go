package forward_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/forward/forwardtest"
	"github.com/lindero/lindero/wire/rtp"
)

// The same packets and the same changes of the table, once with sockets alone and
// once with the kernel's program before them: what comes out is the same, byte for
// byte, from the same address to the same address in the same order, and so are the
// counts.
func TestKernelAndSocketsDoTheSame(t *testing.T) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			lab := forwardtest.NewLab(t, mode)
			for seed := range uint64(4) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { differ(t, lab, seed) })
			}
		})
	}
}

func differ(t *testing.T, lab *forwardtest.Lab, seed uint64) {
	d := &dreamer{Rand: rand.New(rand.NewPCG(seed, 1)), legs: map[netip.AddrPort]forward.Leg{}, streams: map[int]*rtp.Header{}}
	for side := range 2 {
		for _, six := range []bool{false, true} {
			d.locals = append(d.locals, lab.Local(t, side, six), lab.Local(t, side, six))
			d.parties = append(d.parties, lab.Peer(t, forwardtest.Place{Side: side, Six: six}), lab.Peer(t, forwardtest.Place{Side: side, Host: 1, Six: six}))
		}
	}
	d.Shuffle(len(d.locals), func(i, j int) { d.locals[i], d.locals[j] = d.locals[j], d.locals[i] })
	happens := d.dream(600)
	plain := play(t, lab, d, happens)
	kernel := play(t, lab, d, happens, forward.WithKernel(lab.Forwarder))
	t.Logf("%d packets, forwarded %d; by sockets when there was a kernel: %d", plain.sent, plain.forwarded, kernel.bySockets)
	if kernel.bySockets > plain.bySockets*4/5 {
		t.Errorf("the kernel repeated next to nothing: sockets forwarded %d of %d", kernel.bySockets, plain.bySockets)
	}
	if !slices.Equal(plain.counts, kernel.counts) {
		for i := range plain.counts {
			if plain.counts[i] != kernel.counts[i] {
				t.Errorf("counts %d: sockets\n%+v, kernel\n%+v", i, plain.counts[i], kernel.counts[i])
				break
			}
		}
	}
	keys := slices.Sorted(maps.Keys(plain.heard))
	if others := slices.Sorted(maps.Keys(kernel.heard)); !slices.Equal(keys, others) {
		t.Fatalf("sockets: %v\nkernel: %v", keys, others)
	}
	for _, key := range keys {
		a, b := plain.heard[key], kernel.heard[key]
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("%s: packet %d of sockets\n%x, of kernel\n%x", key, i, a[i], b[i])
				break
			}
		}
		if len(a) != len(b) {
			t.Errorf("%s: %d packets of sockets, %d of kernel", key, len(a), len(b))
		}
	}
}

// An outcome is all that can be seen of a table.
type outcome struct {
	counts          []forward.Counts
	heard           map[string][]string // by who heard, from where, and which kind of packet
	sent, forwarded uint64
	bySockets       uint64
}

// A player lets a trace happen to a table.
type player struct {
	outcome
	u       *forward.Userspace
	table   forwardtest.Table
	locals  []netip.AddrPort
	current map[netip.AddrPort]forward.Counts // at the last change
	routes  map[netip.AddrPort]netip.AddrPort // where each leg goes
	ended   uint64                            // packets of legs that were deleted
	again   uint64                            // packets that came to the table once more, from itself

	mu    sync.Mutex // guards these
	to    map[netip.AddrPort]netip.AddrPort
	total int
}

func play(t *testing.T, lab *forwardtest.Lab, d *dreamer, happens trace, options ...forward.Option) outcome {
	p := &player{locals: d.locals, current: map[netip.AddrPort]forward.Counts{}, to: map[netip.AddrPort]netip.AddrPort{}}
	p.heard = map[string][]string{}
	legs := map[netip.AddrPort]forward.Leg{}
	p.u = start(t, func(local, from netip.AddrPort) bool {
		if (local.Port()+from.Port())%3 == 0 {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		leg := legs[local]
		leg.From, leg.Exact, leg.Learn = from, netip.AddrPort{}, netip.Addr{}
		return p.u.Put(leg) == nil
	}, options...)
	p.table = lab.Table(t, p.u)
	for _, local := range p.locals {
		if err := p.table.Open(local); err != nil {
			t.Fatal(err)
		}
	}
	stop := p.listen(t, d.parties)
	for _, event := range happens {
		switch e := event.(type) {
		case datagrams:
			// What goes through sockets and what the kernel repeats overtake each other:
			// each burst is over before the next, and what is no media goes alone.
			for _, b := range e.packets {
				if class(b) != "media" {
					p.settle(t)
				}
				if _, err := d.parties[e.from].WriteToUDPAddrPort(b, e.to); err != nil {
					t.Fatal(err)
				}
				p.sent++
				if class(b) != "media" {
					p.settle(t)
				}
			}
			p.settle(t)
		case forward.Leg:
			p.mu.Lock()
			legs[e.Local], p.to[e.Local] = e, e.To
			p.mu.Unlock()
			if err := p.u.Put(e); err != nil {
				t.Fatal(err)
			}
		case forgotten:
			if c, err := p.u.Delete(e.local); err == nil {
				p.ended += all(c)
				p.counts = append(p.counts, comparable(c))
				delete(p.current, e.local)
			}
		}
	}
	for _, local := range p.locals {
		if c, err := p.u.Counts(local); err == nil {
			p.counts = append(p.counts, comparable(c))
		}
	}
	stop()
	p.bySockets = p.u.Packets()[forward.Forwarded]
	for _, local := range p.locals {
		if err := p.table.Close(local); err != nil {
			t.Error(err)
		}
	}
	return p.outcome
}

// settle waits until every packet has come to its end, and been heard if it was sent
// on: only then may the table change, or the two would be compared at another moment.
func (p *player) settle(t *testing.T) {
	t.Helper()
	var ended, again, forwarded uint64
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		ended, again, forwarded = p.ended, p.again, p.forwarded
		now := map[netip.AddrPort]forward.Counts{}
		for _, local := range p.locals {
			c, err := p.u.Counts(local)
			if err != nil {
				continue
			}
			now[local] = c
			ended += all(c)
			left := through(c) - through(p.current[local])
			if slices.Contains(p.locals, p.to[local]) {
				again += left
			} else {
				forwarded += left
			}
		}
		verdicts := p.u.Packets()
		ended += verdicts[forward.Resting] + verdicts[forward.Oversize]
		p.mu.Lock()
		heard := uint64(p.total)
		p.mu.Unlock()
		if ended == p.sent+again && heard == forwarded {
			p.current, p.again, p.forwarded = now, again, forwarded
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("of %d packets sent and %d sent again %d ended; of %d forwarded %d were heard", p.sent, again, ended, forwarded, heard)
		}
	}
}

// all is how many packets came to a leg, through how many it sent on.
func all(c forward.Counts) uint64     { return c.Packets + c.WrongSource + c.NotRTP + c.STUN }
func through(c forward.Counts) uint64 { return c.Packets - c.Held - c.Failed - c.Blocked }

// comparable is c without what depends on when packets came.
func comparable(c forward.Counts) forward.Counts {
	c.Jitter, c.RoundTrip, c.LastSeen = 0, 0, time.Time{}
	return c
}

// listen writes down what the parties hear, until the function it returns is called.
func (p *player) listen(t *testing.T, parties []*net.UDPConn) (stop func()) {
	var all sync.WaitGroup
	for i, conn := range parties {
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			b := make([]byte, 4096)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				p.mu.Lock()
				key := fmt.Sprintf("party %d from %v, %s", i, from, class(b[:n]))
				p.heard[key] = append(p.heard[key], string(b[:n]))
				p.total++
				p.mu.Unlock()
			}
		})
	}
	return func() {
		for _, conn := range parties {
			if err := conn.SetReadDeadline(time.Now()); err != nil {
				t.Error(err)
			}
		}
		all.Wait()
	}
}

// class tells what the kernel repeats from what it leaves to sockets: between the
// two there is no order.
func class(b []byte) string {
	if h, _, err := rtp.Parse(b); err == nil && rtp.KindOf(b) == rtp.RTP && (h.PayloadType < 64 || h.PayloadType > 95) {
		return "media"
	}
	return "other"
}
