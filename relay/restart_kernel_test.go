package relay_test

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/relay/forward/forwardtest"
	"github.com/lindero/lindero/wire/ng"
)

// A kernel is what a guard is to a relay, without policy: filters that let live ports
// through, and behind them the forwarder. Both are pinned and outlive the process.
type kernel struct {
	config  childConfig
	shields []*bpf.Shield
}

func (k *kernel) open(faces []netip.Addr, first, last uint16) (*bpf.Forwarder, error) {
	f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Pin: k.config.Pin, Faces: faces, First: first, Last: last})
	if err != nil {
		return nil, err
	}
	for _, d := range k.config.Devices {
		s, err := bpf.Open(bpf.Options{Device: d, Pin: k.config.Pin, Mode: bpf.Native, Owner: "relay"})
		if err != nil {
			return nil, err
		}
		k.shields = append(k.shields, s)
		if err := s.Chain(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// serve names the media ports. As a guard does, it comes when the relay has said which
// of them its calls have: of the others nothing gets through.
func (k *kernel) serve(ports relay.PortRange) error {
	var errs []error
	for _, s := range k.shields {
		errs = append(errs, s.SetServices([]bpf.Port{{First: ports.Low, Last: ports.High, Service: 4}}))
	}
	return errors.Join(errs...)
}

// Leg implements relay.Legs.
func (k *kernel) Leg(port uint16, live bool) {
	for _, s := range k.shields {
		s.SetLeg(port, live)
	}
}

// Calls that the kernel repeats lose nothing at all while there is no process.
func TestKilledRelayLosesNothingInTheKernel(t *testing.T) {
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Skip(err)
	}
	lab := forwardtest.NewRoads(t, "kill")
	c := newChild(t)
	c.Namespace, c.Pin, c.Devices = lab.Relay(), forwardtest.Pins(t), lab.Devices()
	c.External, c.Internal = lab.Address(0), lab.Address(1)
	first := c.start(t)
	var g *rig
	lab.In(t, func() error { g = newClientOf(t, c.NG); return nil })
	var calls []*dialogue
	for i := range 5 {
		calls = append(calls, g.setBetween(2*i, // none is behind a NAT
			&phone{t: t, rtp: lab.Peer(t, forwardtest.Place{}), rtcp: lab.Peer(t, forwardtest.Place{})},
			&phone{t: t, rtp: lab.Peer(t, forwardtest.Place{Side: 1}), rtcp: lab.Peer(t, forwardtest.Place{Side: 1})}))
	}
	over := calls[4] // ends while nobody can say so to the kernel
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, d := range calls {
		d.a.talk(ctx, &all, d.b.ssrc)
		d.b.talk(ctx, &all, d.a.ssrc)
	}
	both(t, calls, 30)
	before := g.rtpStats(calls[0].id, "a").Int("packets")
	first.end(syscall.SIGKILL)
	killed := time.Now()
	both(t, calls, 50) // half a second without a relay
	second := c.start(t)
	t.Logf("there was no relay for %v", time.Since(killed))
	both(t, calls, 50)
	if now := g.rtpStats(calls[0].id, "a").Int("packets"); now < before+100 {
		t.Errorf("%d packets are counted, %d before the kill", now, before)
	}
	reoffered(t, g, calls[0])
	g.do(ng.Command{Name: ng.Delete, CallID: over.id, FromTag: "a"}, ng.ResultOK)
	calls = calls[:4]
	stop()
	for _, d := range calls {
		whole(t, g, d)
	}
	silent(t, over, calls[0])
	for _, d := range append(calls, over) {
		for _, k := range []*talker{d.a, d.b} {
			if err := k.rtp.SetReadDeadline(time.Now()); err != nil {
				t.Fatal(err)
			}
			if n := k.odd.Load(); n > 0 {
				t.Errorf("%s: %d odd packets", d.id, n)
			}
		}
	}
	all.Wait()
	if err := second.end(syscall.SIGTERM); err != nil {
		t.Errorf("%v: %s", err, second.log)
	}
}

// whole checks that everything that was sent in a call was heard and counted.
func whole(t *testing.T, g *rig, d *dialogue) {
	t.Helper()
	for tag, k := range map[string]*talker{"a": d.a, "b": d.b} {
		other := d.b
		if tag == "b" {
			other = d.a
		}
		eventually(t, d.id+" heard everything", func() bool { return other.heard.Load() == k.sent.Load() })
		if s := g.rtpStats(d.id, tag); s.Int("packets") != k.sent.Load() || s.Int("lost") != 0 {
			t.Errorf("%s %s: sent %d, %v", d.id, tag, k.sent.Load(), s)
		}
	}
}

// silent checks that nothing is heard of a call that was deleted, while another is.
func silent(t *testing.T, over, other *dialogue) {
	t.Helper()
	heard := over.b.heard.Load()
	for _, k := range []*talker{over.a, other.a} { // the latter comes later, and arrives
		if _, err := k.rtp.WriteToUDPAddrPort(k.packet(), k.peer); err != nil {
			t.Fatal(err)
		}
		k.sent.Add(1)
	}
	eventually(t, "one packet more is heard", func() bool { return other.b.heard.Load() == other.a.sent.Load() })
	if over.b.heard.Load() != heard {
		t.Error("a call that was deleted is heard")
	}
}
