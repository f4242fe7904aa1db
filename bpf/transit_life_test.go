package bpf_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
)

// total is what the legs of streams counted.
func total(t *testing.T, f *bpf.Forwarder, x *transit, streams uint16) (k bpf.Track) {
	t.Helper()
	for i := range streams {
		one := f.Track(x.way(i).Local)
		k.Packets += one.Packets
		k.Bytes += one.Bytes
		k.Receiver.Received += one.Receiver.Received
		k.Receiver.Duplicate += one.Receiver.Duplicate
		k.Receiver.Reordered += one.Receiver.Reordered
		k.Receiver.Past += one.Receiver.Past + one.Receiver.Highest - one.Receiver.Base + 1
		k.Failed += one.Failed
	}
	return k
}

// Programs are replaced by new ones, of this layout and for other ports, while packets
// come as fast as they can: every one that comes in goes out and is counted once.
func TestReplacedUnderLoad(t *testing.T) {
	const streams = 100
	x := newTransit(t)
	s := x.shield(t, 4*streams)
	f := x.forwarder(t, 2*streams, s)
	for i := range uint16(streams) {
		ok(t, f.Put(x.way(i)))
	}
	arrivals, err := x.in.Received()
	ok(t, err)
	replaced := 0
	sent, arrived, _ := x.sends(t, x.plan(streams), func(ctx context.Context, sent func() uint64) {
		began := time.Now()
		for replaced < 12 || sent() < 2_000_000 && time.Since(began) < time.Minute {
			ok(t, f.Close())
			ports := uint16(2 * streams)
			if replaced%4 == 1 {
				ports = 4 * streams // which carries the legs into other memory
			}
			f = x.forwarder(t, ports, nil)
			replaced++
		}
	})
	came, err := x.in.Received()
	ok(t, err)
	came -= arrivals
	k := total(t, f, x, streams)
	t.Logf("%d sent, %d came, %d arrived, %d replacements: %+v", sent, came, arrived, replaced, k)
	if came < sent-sent/10 {
		t.Errorf("%d of %d packets came in: that shows little", came, sent)
	}
	if arrived != came || k.Packets != came || k.Bytes != came*172 || k.Receiver.Received != came || k.Failed != 0 {
		t.Errorf("%d came, %d arrived, counted %+v", came, arrived, k)
	}
	r, err := f.Reasons()
	ok(t, err)
	for i, n := range r {
		if n > 0 {
			t.Errorf("%d packets ended by reason %d", n, i)
		}
	}
	n := 0
	for w := range f.Recovered() {
		if i := (w.Local.Port() - firstRTP) / 2; w.From != x.way(i).From || w.To != x.way(i).To || w.Via != x.way(i).Via || w.Clock != 8000 {
			t.Errorf("recovered %+v, was %+v", w, x.way(i))
		}
		n++
	}
	if n != streams {
		t.Errorf("%d ways of %d were recovered", n, streams)
	}
}

// asRelay is how this binary, run again by TestKilled, is told where to pin.
const asRelay = "LINDERO_TEST_FORWARD_AND_WAIT"

// TestForwardAndWait is the child: it repeats one stream and waits to be killed.
func TestForwardAndWait(t *testing.T) {
	pin, asked := os.LookupEnv(asRelay)
	if !asked {
		t.Skip("runs in a process that TestKilled begins")
	}
	s, err := bpf.Open(bpf.Options{Device: livegen.FarDevice, Pin: pin, Mode: bpf.Native, Owner: "relay"})
	ok(t, err)
	ok(t, s.SetServices([]bpf.Port{{First: firstRTP, Last: firstRTP + 9, Service: 4}}))
	s.SetLeg(firstRTP, true)
	x := &transit{pin: pin, in: &livegen.Wire{Addr: netip.MustParseAddr("192.0.2.2")}}
	f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Pin: pin, Faces: []netip.Addr{x.in.Addr, outside}, First: firstRTP, Last: firstRTP + 9})
	ok(t, err)
	ok(t, errors.Join(s.Chain(f), f.Put(x.way(0))))
	_, err = os.Stdout.WriteString("ready\n")
	ok(t, err)
	select {}
}

// The process is killed, and audio goes on; the next one finds the way and the count.
// With the shield detached, or the forwarder ended, nothing more is repeated.
func TestKilled(t *testing.T) {
	x := newTransit(t)
	self, err := os.Executable()
	ok(t, err)
	child := x.in.Command(self, "-test.run=^TestForwardAndWait$")
	child.Env = append(os.Environ(), asRelay+"="+x.pin)
	out, err := child.StdoutPipe()
	ok(t, err)
	ok(t, child.Start())
	b := make([]byte, 6)
	if _, err := out.Read(b); err != nil || string(b) != "ready\n" {
		t.Fatalf("the child says %q, %v", b, err)
	}
	p := x.plan(1)
	p.Packets, p.Rate = 500, 5000
	if _, arrived, _ := x.sends(t, p, nil); arrived != 500 {
		t.Fatalf("%d of 500 arrived", arrived)
	}
	ok(t, child.Process.Kill())
	var ended *exec.ExitError
	if err := child.Wait(); !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if _, arrived, _ := x.sends(t, p, nil); arrived != 500 {
		t.Fatalf("after the kill %d of 500 arrived", arrived)
	}
	f := x.forwarder(t, 10, nil)
	ways := 0
	for w := range f.Recovered() {
		if w != x.way(0) && (w.Clock != 8000 || w.Local != x.way(0).Local) {
			t.Errorf("recovered %+v", w)
		}
		ways++
	}
	if k := f.Track(x.way(0).Local); ways != 1 || k.Packets != 1000 || k.Receiver.Received != 1000 {
		t.Errorf("%d ways, %+v", ways, *k)
	}
	if e := f.Forwarding(); len(e) != 1 || e[0] != (bpf.Exit{Device: livegen.FarDevice, Mode: bpf.Native}) {
		t.Errorf("forwarding %+v", e)
	}
	if _, arrived, _ := x.sends(t, p, nil); arrived != 500 {
		t.Fatalf("with the next process %d of 500 arrived", arrived)
	}
	ok(t, bpf.Unforward(x.pin))
	if _, arrived, _ := x.sends(t, p, nil); arrived != 0 {
		t.Errorf("after Unforward %d of 500 arrived", arrived)
	}
	if err := bpf.Unforward(x.pin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ending it twice: %v", err)
	}
}

// A shield that goes takes forwarding with it, one that comes back brings it when it is
// told to; a shield that is replaced keeps it.
func TestForwardingFollowsTheShield(t *testing.T) {
	x := newTransit(t)
	p := x.plan(1)
	p.Packets, p.Rate = 500, 5000
	want := func(when string, n uint64) {
		t.Helper()
		if _, arrived, _ := x.sends(t, p, nil); arrived != n {
			t.Errorf("%s: %d of 500 arrived, want %d", when, arrived, n)
		}
	}
	s := x.shield(t, 10)
	f := x.forwarder(t, 10, s)
	ok(t, f.Put(x.way(0)))
	want("at first", 500)
	ok(t, s.Close())
	s = x.shield(t, 10)
	want("with the shield replaced", 500)
	f.Drop(x.way(0).Local)
	want("dropped", 0)
	ok(t, f.Put(x.way(0)))
	want("put again", 500)
	ok(t, errors.Join(s.Close(), bpf.Detach(livegen.FarDevice, x.pin)))
	want("detached", 0)
	s = x.shield(t, 10)
	want("attached, not chained", 0)
	ok(t, s.Chain(f))
	want("chained", 500)
	everybody := nobody(1, true)
	everybody.Lists.Root4 = slices.Repeat([]uint32{leaf | listAllow}, 1<<12)
	ok(t, s.SetPolicy(everybody))
	want("from whom a list allows", 500)
	ok(t, s.SetPolicy(nobody(1, true)))
	want("from whom a list denies", 0)
	if k := f.Track(x.way(0).Local); k.Packets != 2500 {
		t.Errorf("%+v", *k)
	}
}
