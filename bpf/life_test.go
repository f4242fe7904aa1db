package bpf

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// The filter stays when the process lets go of it, and the next one finds its state.
func TestCloseLeavesItInForce(t *testing.T) {
	n := newNamespace(t)
	a := n.must(t, Options{Owner: "edge"})
	if m, why := a.Mode(); m != Native || why != "" {
		t.Errorf("attached as %s (%s), want native", m, why)
	}
	first := n.on(t, "v0")
	if first.program == 0 || first.mode != Native {
		t.Fatalf("the device has %+v", first)
	}
	if err := a.PutSource(7, Source{Class: 1, Until: 99}); err != nil {
		t.Fatal(err)
	}
	seed := a.Seed()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if now := n.on(t, "v0"); now != first {
		t.Fatalf("after Close the device has %+v, had %+v", now, first)
	}

	b := n.must(t, Options{Owner: "edge"})
	if now := n.on(t, "v0"); now.program == first.program || now.program == 0 || now.mode != Native {
		t.Errorf("after opening again the device has %+v, had %+v", now, first)
	}
	if b.Seed() != seed {
		t.Error("another seed")
	}
	got := map[uint64]Source{}
	if err := b.Sources(func(k uint64, v Source) { got[k] = v }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[7].Class != 1 || got[7].Until != 99 {
		t.Errorf("sources are %v", got)
	}
}

// A program of another layout is replaced by ours, sources and counters go along,
// and who still holds the old maps is told.
func TestLayoutChange(t *testing.T) {
	for name, change := range map[string]func(*ebpf.CollectionSpec){
		"sources": func(s *ebpf.CollectionSpec) { s.Maps[shieldMapSources].MaxEntries /= 2 },
		"buckets": func(s *ebpf.CollectionSpec) { s.Maps[shieldMapBuckets].ValueSize += 4096 },
	} {
		t.Run(name, func(t *testing.T) { layoutChange(t, change) })
	}
}

func layoutChange(t *testing.T, change func(*ebpf.CollectionSpec)) {
	n := newNamespace(t)
	older := func() (*ebpf.CollectionSpec, error) {
		spec, err := loadShield()
		if err == nil {
			change(spec)
		}
		return spec, err
	}
	var a *Shield
	var err error
	n.in(func() { a, err = open(Options{Device: "v0", Pin: n.pin, Owner: "relay"}, older) })
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	sip := []Port{{First: 5060, Last: 5060, Service: 1}}
	err = errors.Join(a.SetServices(sip), a.PutSource(7, Source{Class: 4, Proven: true}))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := a.Test(sipFrom("192.0.2.9").Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	before := n.on(t, "v0")

	b := n.must(t, Options{Owner: "relay"})
	if now := n.on(t, "v0"); now.program == before.program || now.program == 0 {
		t.Errorf("the device has %+v, had %+v", now, before)
	}
	if mark := b.memory.marks.Count[placeOf(7, b.Seed())]; mark != 1 {
		t.Errorf("the source that was carried has mark %d", mark)
	}
	spec, err := loadShield()
	if err != nil {
		t.Fatal(err)
	}
	if b.maps.Sources.MaxEntries() != spec.Maps[shieldMapSources].MaxEntries || b.maps.Buckets.ValueSize() != spec.Maps[shieldMapBuckets].ValueSize {
		t.Error("the new program has the old map")
	}
	got := map[uint64]Source{}
	if err := b.Sources(func(k uint64, v Source) { got[k] = v }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[7].Class != 4 || !got[7].Proven {
		t.Errorf("sources are %v", got)
	}
	c, err := b.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if c[0][shieldVerdictVERDICT_PASSED] != 5 {
		t.Errorf("passed is %d, was 5", c[0][shieldVerdictVERDICT_PASSED])
	}
	if b.Seed() != a.Seed() {
		t.Error("another seed")
	}
	if _, err := b.Test(sipFrom("192.0.2.9").Bytes()); err != nil {
		t.Fatal(err)
	}
	if c, _ := b.Counters(); c[0][shieldVerdictVERDICT_PASSED] != 6 {
		t.Error("the ports did not go along")
	}
	if err := a.PutSource(8, Source{Class: 1}); !errors.Is(err, ErrGone) {
		t.Errorf("the old maps take sources: %v", err)
	}
	checkPins(t, b, 13)
}

// checkPins wants n pins, none of them half made.
func checkPins(t *testing.T, s *Shield, n int) {
	t.Helper()
	left, err := os.ReadDir(s.pins.dir)
	for _, f := range left {
		if strings.HasPrefix(f.Name(), fresh) {
			t.Errorf("%s is left", f.Name())
		}
	}
	if err != nil || len(left) != n {
		t.Errorf("%d pins: %v", len(left), err)
	}
}

// Another program on the device is not touched, and named.
func TestSecondProgram(t *testing.T) {
	n := newNamespace(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebodys", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n.in(func() {
		var d *net.Interface
		if d, err = net.InterfaceByName("v0"); err != nil {
			return
		}
		var l link.Link
		if l, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: d.Index, Flags: link.XDPGenericMode}); err == nil {
			t.Cleanup(func() { l.Close() })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	before := n.on(t, "v0")
	_, err = n.open(t, Options{})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "somebodys") || !strings.Contains(err.Error(), "generic") {
		t.Errorf("error is %v", err)
	}
	if now := n.on(t, "v0"); now != before {
		t.Errorf("the device has %+v, had %+v", now, before)
	}
	n.in(func() {
		if m, why := Probe("v0"); m != None || !strings.Contains(why, "somebodys") {
			t.Errorf("Probe says %s, %s", m, why)
		}
	})
}

func TestDetach(t *testing.T) {
	n := newNamespace(t)
	if err := Detach("v0", n.pin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("detaching nothing: %v", err)
	}
	s := n.must(t, Options{})
	if err := Detach("v0", n.pin); err != nil {
		t.Fatal(err)
	}
	if now := n.on(t, "v0"); now.program != 0 {
		t.Errorf("the device still has %+v", now)
	}
	if _, err := os.Stat(s.pins.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pins are left: %v", err)
	}
	if err := s.SetPolicy(Policy{}); !errors.Is(err, ErrGone) {
		t.Errorf("who held it is told %v", err)
	}
	n.must(t, Options{})
	if now := n.on(t, "v0"); now.program == 0 {
		t.Error("it cannot be attached again")
	}
}

// lo has no native XDP.
func TestGenericFallback(t *testing.T) {
	n := newNamespace(t)
	n.in(func() {
		if m, why := Probe("lo"); m != Generic || !strings.Contains(why, "driver of lo") {
			t.Errorf("Probe says %s, %s", m, why)
		}
		if m, why := Probe("v0"); m != Native || why != "" {
			t.Errorf("Probe says %s, %s of a veth", m, why)
		}
		if m, why := Probe("v9"); m != None || !strings.Contains(why, "v9") {
			t.Errorf("Probe says %s, %s of no device", m, why)
		}
	})
	_, err := n.open(t, Options{Device: "lo", Mode: Native})
	if !errors.Is(err, ErrNotHere) || !strings.Contains(err.Error(), "native") {
		t.Errorf("native on lo: %v", err)
	}
	s := n.must(t, Options{Device: "lo", Mode: Auto})
	if m, why := s.Mode(); m != Generic || !strings.Contains(why, "driver of lo") {
		t.Errorf("mode is %s, %q", m, why)
	}
	s.Close()
	again := n.must(t, Options{Device: "lo"})
	if m, why := again.Mode(); m != Generic || !strings.Contains(why, "driver of lo") {
		t.Errorf("after opening again mode is %s, %q", m, why)
	}
	asked := n.must(t, Options{Device: "lo", Mode: Native})
	if m, why := asked.Mode(); m != Generic || !strings.Contains(why, "detach it first") {
		t.Errorf("when native is asked for, mode is %s, %q", m, why)
	}
}

// The device is made anew under the same name: the pins' state serves it.
func TestDeviceMadeAnew(t *testing.T) {
	n := newNamespace(t)
	a := n.must(t, Options{})
	if err := a.PutSource(7, Source{Class: 1}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	n.ip(t, "link", "del", "v0")
	n.veth(t)
	b := n.must(t, Options{})
	if now := n.on(t, "v0"); now.program == 0 {
		t.Error("nothing is attached")
	}
	if l, err := b.Look(7, 7); err != nil || l.Source == nil {
		t.Errorf("the source is lost: %+v, %v", l, err)
	}
}

// Two processes share a device: each has its ports, both see the same sources.
func TestTwoOwners(t *testing.T) {
	n := newNamespace(t)
	edge := n.must(t, Options{Owner: "edge"})
	relay := n.must(t, Options{Owner: "relay"})
	if err := errors.Join(
		edge.SetServices([]Port{{First: 5060, Last: 5060, Service: 1}, {TCP: true, First: 5060, Last: 5061, Service: 1}}),
		relay.SetServices([]Port{{First: 30000, Last: 30003, Service: 4}}),
		edge.PutSource(9, Source{Class: 2})); err != nil {
		t.Fatal(err)
	}
	if l, err := relay.Look(9, 9); err != nil || l.Source == nil || l.Source.Class != 2 {
		t.Errorf("the relay sees %+v, %v", l, err)
	}
	relay.SetLeg(30002, true)
	if err := errors.Join(edge.SetServices(nil), edge.SetServices([]Port{{First: 5070, Last: 5070, Service: 1}})); err != nil {
		t.Fatal(err)
	}
	ports := edge.memory.ports
	if ports.Udp[5060] != 0 || ports.Tcp[5061] != 0 || ports.Udp[5070] != 1|1<<4 || ports.Udp[30003] != 4|2<<4 {
		t.Error("an owner's ports are not what it said last")
	}
	if edge.memory.legs.Live[30002/64]>>(30002%64)&1 != 1 {
		t.Error("the relay's leg is lost")
	}
	relay.Close()
	next := n.must(t, Options{Owner: "relay"})
	if err := next.SetServices([]Port{{First: 30000, Last: 30003, Service: 4}}); err != nil {
		t.Fatal(err)
	}
	if edge.memory.legs.Live[30002/64]>>(30002%64)&1 != 0 {
		t.Error("a leg of a relay that is no more is live")
	}
}
