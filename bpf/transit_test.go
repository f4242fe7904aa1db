package bpf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
)

// Where a transit's streams come from and go to.
var (
	caller   = netip.MustParseAddr("203.0.113.5")
	carrier  = netip.MustParseAddr("198.51.100.9")
	outside  = netip.MustParseAddr("198.51.100.1") // ours, towards the carrier
	firstRTP = uint16(30000)
)

// A transit is a border between two wires: what leaves the first one's near end meets
// shield and forwarder at the second one's near end, which was moved here, goes out by it
// and is counted and dropped at its far end.
type transit struct {
	in, out *livegen.Wire
	pin     string
	sink    io.Closer // at the far end
}

func newTransit(t testing.TB) *transit {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and BPF programs need root")
	}
	x := &transit{pin: filepath.Join(t.TempDir(), "bpf")}
	x.in, x.out = wire(t), wire(t)
	ok(t, x.in.InFar(func() error { // which says things unasked
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	}))
	ok(t, x.out.Join(x.in))
	ok(t, os.Mkdir(x.pin, 0o700))
	if err := unix.Mount("bpf", x.pin, "bpf", 0, ""); err != nil {
		t.Skipf("a BPF file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { ok(t, unix.Unmount(x.pin, 0)) })
	x.here(t, "addr add 198.51.100.1/24 dev "+livegen.NearDevice)
	x.here(t, fmt.Sprintf("neigh add %v lladdr %v dev %s nud permanent", carrier, x.out.FarMAC, livegen.NearDevice))
	ok(t, x.in.InFar(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	sink, err := x.out.Drop()
	ok(t, err)
	x.sink = sink
	t.Cleanup(func() { _ = x.sink.Close() })
	return x
}

func wire(t testing.TB) *livegen.Wire {
	t.Helper()
	w, err := livegen.NewWire()
	ok(t, err)
	t.Cleanup(func() { ok(t, w.Close()) })
	return w
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// here runs ip in the border's namespace.
func (x *transit) here(t testing.TB, args string) {
	t.Helper()
	if out, err := x.in.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// shield opens one at the device where calls come in, with the media ports live.
func (x *transit) shield(t testing.TB, ports uint16) *bpf.Shield {
	t.Helper()
	var s *bpf.Shield
	ok(t, x.in.InFar(func() (err error) {
		s, err = bpf.Open(bpf.Options{Device: livegen.FarDevice, Pin: x.pin, Mode: bpf.Native, Owner: "relay"})
		return err
	}))
	t.Cleanup(func() { _ = s.Close() })
	ok(t, s.SetServices([]bpf.Port{{First: firstRTP, Last: firstRTP + ports - 1, Service: 4}}))
	for i := range ports {
		s.SetLeg(firstRTP+i, true)
	}
	return s
}

// forwarder opens one and, when s is given, chains it.
func (x *transit) forwarder(t testing.TB, ports uint16, s *bpf.Shield) *bpf.Forwarder {
	t.Helper()
	var f *bpf.Forwarder
	ok(t, x.in.InFar(func() (err error) {
		f, err = bpf.OpenForwarder(bpf.ForwarderOptions{Pin: x.pin, Faces: []netip.Addr{x.in.Addr, outside}, First: firstRTP, Last: firstRTP + ports - 1})
		return err
	}))
	t.Cleanup(func() { _ = f.Close() })
	if s != nil {
		ok(t, s.Chain(f))
	}
	return f
}

// way is that of a stream.
func (x *transit) way(i uint16) bpf.Way {
	return bpf.Way{
		Local: netip.AddrPortFrom(x.in.Addr, firstRTP+2*i), From: netip.AddrPortFrom(caller, 4000+i),
		Via: netip.AddrPortFrom(outside, firstRTP+2*i), To: netip.AddrPortFrom(carrier, 5000+i),
	}
}

// plan sends streams of 20 ms G.711.
func (x *transit) plan(streams uint16) livegen.Plan {
	p := x.in.Plan(netip.PrefixFrom(caller, 32), 0)
	p.Payload = append([]byte{0x80, 8}, make([]byte, 170)...)
	for i := range streams {
		p.Streams = append(p.Streams, livegen.Stream{FromPort: 4000 + i, ToPort: firstRTP + 2*i})
	}
	return p
}

// sends runs a plan while during works, which may end it, and returns how many left and how many
// arrived at the far end.
func (x *transit) sends(t testing.TB, p livegen.Plan, during func(ctx context.Context, sent func() uint64)) (sent, arrived uint64, r livegen.Result) {
	t.Helper()
	g, err := livegen.Open(p)
	ok(t, err)
	defer g.Close()
	before, err := x.out.Received()
	ok(t, err)
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		var err error
		r, err = g.Run(ctx)
		result <- err
	}()
	if during != nil {
		during(ctx, g.Sent)
		stop()
	}
	err = <-result
	stop()
	ok(t, err)
	after, err := x.out.Received()
	ok(t, err)
	return r.Sent, after - before, r
}

// The price of a packet through shield and forwarder, beside that of the least program that repeats.
func BenchmarkTransit(b *testing.B) {
	const streams, packets = 100, 4_000_000
	x := newTransit(b)
	p := x.plan(streams)
	p.Packets = packets
	p.Processor = 1
	bare := func() float64 {
		r := livegen.Repeater{Network: x.in.Far, Device: livegen.FarDevice, Out: livegen.NearDevice,
			FromMAC: x.out.NearMAC, ToMAC: x.out.FarMAC, From: outside, To: carrier}
		for i := range uint16(streams) {
			w := x.way(i)
			r.Ways = append(r.Ways, livegen.Way{Local: w.Local.Port(), From: w.Via.Port(), To: w.To.Port()})
		}
		c, err := livegen.Repeat(r)
		ok(b, err)
		defer c.Close()
		return x.rate(b, p)
	}
	ours := func() float64 {
		s := x.shield(b, 2*streams)
		f := x.forwarder(b, 2*streams, s)
		for i := range uint16(streams) {
			ok(b, f.Put(x.way(i)))
		}
		defer func() {
			ok(b, errors.Join(s.Close(), f.Close(), bpf.Unforward(x.pin), bpf.Detach(livegen.FarDevice, x.pin)))
		}()
		return x.rate(b, p)
	}
	for b.Loop() {
		least, us := bare(), ours()
		b.ReportMetric(least, "bare-ns/packet")
		b.ReportMetric(us, "ours-ns/packet")
		b.ReportMetric(least/us, "ratio")
	}
	b.ReportMetric(0, "ns/op")
}

// rate is the processor time of a packet, in ns, the least of some runs.
func (x *transit) rate(b *testing.B, p livegen.Plan) float64 {
	b.Helper()
	best := 1e9
	for range 5 {
		sent, arrived, r := x.sends(b, p, nil)
		if arrived < sent*99/100 {
			b.Fatalf("%d of %d arrived", arrived, sent)
		}
		best = min(best, float64(r.CPU.Nanoseconds())/float64(sent))
	}
	return best
}
