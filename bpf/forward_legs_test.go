package bpf

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// A packet that goes to another leg of ours goes that one's way at once, and both
// count it; whatever keeps the other from taking it sends the packet up untouched.
func TestJoinedLegs(t *testing.T) {
	c := newCrossing(t)
	a, b, d, e := at(ours4, 30000), at(ours6, 30010), at(ours4, 30020), at(ours4, 30030)
	first := c.put(t, Way{Local: a, From: phone4, Via: at(ours6, 30002), To: b})
	second := c.put(t, Way{Local: b, From: at(ours6, 30002), Via: at(ours4, 30012), To: far4, Clock: 16000})
	third, fourth := c.f.Track(d), c.f.Track(e)
	in := between(phone4, a, rtp(1)).Bytes()
	run := func(name string, wantAction uint32, want []byte, why string) {
		t.Helper()
		before := []Track{*first, *second, *third, *fourth}
		moved := c.reasons(t)
		action, out := c.test(t, in, "")
		if action != wantAction || !bytes.Equal(out, want) || moved() != why {
			t.Errorf("%s: action %d, %s\n%x, want\n%x", name, action, moved(), out, want)
		}
		after := []Track{*first, *second, *third, *fourth}
		if wantAction == pass && !slices.Equal(before, after) {
			t.Errorf("%s: counted %+v", name, after)
		}
	}
	run("two legs", redirect, c.leaving("w0", farMAC, at(ours4, 30012), far4, rtp(1)).Bytes(), "")
	for _, k := range []*Track{first, second} {
		if k.Packets != 1 || k.Bytes != 172 || k.Receiver.Received != 1 || k.Seen != 1e12 || k.SSRC != 7 {
			t.Errorf("counted %+v", *k)
		}
	}
	c.put(t, Way{Local: b, From: at(ours6, 30002), Via: at(ours4, 30012), To: d})
	run("the third is not there", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: d, From: at(ours4, 30012), Via: at(ours4, 30022), To: far4})
	run("three legs", redirect, c.leaving("w0", farMAC, at(ours4, 30022), far4, rtp(1)).Bytes(), "")
	if first.Packets != 2 || second.Packets != 2 || third.Packets != 1 || second.Receiver.Duplicate != 1 {
		t.Errorf("counted %+v %+v %+v", *first, *second, *third)
	}
	c.put(t, Way{Local: d, From: at(ours4, 30012), Via: at(ours4, 30022), To: e})
	c.put(t, Way{Local: e, From: at(ours4, 30022), Via: at(ours4, 30032), To: far4})
	run("four legs", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: b, From: at(ours6, 30003), Via: at(ours4, 30012), To: far4})
	run("the second believes somebody else", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: b, From: phone6, Via: at(ours4, 30012), To: far4})
	run("another address", pass, in, "not_joined 1 ")
	c.f.Drop(b)
	run("the second was dropped", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: b, From: at(ours6, 30002), Via: at(ours6, 30012), To: at(ours6, 30010)})
	run("in a circle", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: a, From: phone4, Via: at(ours6, 30002), To: b, Any: true})
	c.put(t, Way{Local: b, From: at(ours6, 30002), Via: at(ours4, 30012), To: far4})
	run("anything, to a leg of RTP", pass, in, "not_joined 1 ")
	c.put(t, Way{Local: b, From: at(ours6, 30002), Via: at(ours4, 30012), To: far4, Any: true})
	run("anything", redirect, c.leaving("w0", farMAC, at(ours4, 30012), far4, rtp(1)).Bytes(), "")
}

// A leg of anything repeats it, and hears no RTP in it.
func TestAnything(t *testing.T) {
	c := newCrossing(t)
	k := c.put(t, Way{Local: at(ours4, 30000), From: phone4, Via: at(ours4, 30002), To: far4, Any: true})
	for _, payload := range [][]byte{{}, {1}, []byte("fax"), rtp(9), append([]byte{0x80, 200}, make([]byte, 6)...)} {
		action, out := c.test(t, between(phone4, at(ours4, 30000), payload).Bytes(), "")
		if want := c.leaving("w0", farMAC, at(ours4, 30002), far4, payload).Bytes(); action != redirect || !bytes.Equal(out, want) {
			t.Errorf("%x: action %d, sent\n%x, want\n%x", payload, action, out, want)
		}
	}
	if k.Packets != 5 || k.Bytes != 184 || k.Receiver != (Receiver{}) || k.SSRC != 0 {
		t.Errorf("counted %+v", *k)
	}
}

// While user space writes a way, packets are user space's; then the new way is in force
// at once, with all of it.
func TestWayChanges(t *testing.T) {
	c := newCrossing(t)
	local := at(ours4, 30000)
	k := c.put(t, Way{Local: local, From: phone4, Via: at(ours4, 30002), To: far4})
	i, _ := c.f.index(local)
	in := between(phone4, local, rtp(1)).Bytes()
	if action, _ := c.test(t, in, ""); action != redirect {
		t.Fatal(action)
	}
	moved := c.reasons(t)
	c.f.legs[i].Way.Version |= 1
	for name, in := range map[string][]byte{"of the peer": in, "of a stranger": between(far4, local, rtp(1)).Bytes()} {
		if action, out := c.test(t, in, ""); action != pass || !bytes.Equal(in, out) {
			t.Errorf("%s, in the middle of a change: action %d", name, action)
		}
	}
	if text := moved(); text != "changing 2 " || k.Packets != 1 || k.WrongSource != 0 {
		t.Errorf("%s, %+v", text, *k)
	}
	// The exit that is remembered is the old way's.
	c.put(t, Way{Local: local, From: phone4, Via: at(ours4, 30002), To: netip.AddrPortFrom(phone4.Addr(), 7)})
	action, out := c.test(t, in, "")
	if want := c.leaving("v0", phoneMAC, at(ours4, 30002), netip.AddrPortFrom(phone4.Addr(), 7), rtp(1)).Bytes(); action != redirect || !bytes.Equal(out, want) {
		t.Errorf("action %d, sent\n%x, want\n%x", action, out, want)
	}
	c.f.Drop(local)
	if action, _ := c.test(t, in, ""); action != pass || k.Packets != 2 {
		t.Errorf("dropped: action %d, %+v", action, *k)
	}
}

// What routes say is believed for a second and no longer, and not when a device changed.
func TestExitsAge(t *testing.T) {
	c := newCrossing(t)
	local := at(ours4, 30000)
	c.put(t, Way{Local: local, From: phone4, Via: at(ours4, 30002), To: far4})
	in := between(phone4, local, rtp(1)).Bytes()
	to := func(when string, mac [6]byte) {
		t.Helper()
		if _, out := c.test(t, in, ""); [6]byte(out) != mac {
			t.Errorf("%s: to %x, want %x", when, out[:6], mac)
		}
	}
	moved := [6]byte{2, 0, 0, 0, 0, 0x77}
	to("at first", farMAC)
	c.ip(t, "neigh", "replace", far4.Addr().String(), "lladdr", "02:00:00:00:00:77", "dev", "w0", "nud", "permanent")
	c.f.SetClock(1e12 + 9e8)
	to("within a second", farMAC)
	c.f.SetClock(1e12 + 11e8)
	to("after it", moved)
	c.ip(t, "neigh", "replace", far4.Addr().String(), "lladdr", "02:00:00:00:00:09", "dev", "w0", "nud", "permanent")
	to("within the next", moved)
	c.ip(t, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
	c.ip(t, "link", "set", "x0", "up")
	c.in(func() {
		if err := c.f.Refresh(); err != nil {
			t.Error(err)
		}
	})
	to("with another device", farMAC)
	c.ip(t, "link", "del", "w0")
	moves := c.reasons(t)
	if action, _ := c.test(t, in, ""); action != drop || moves() != "failed 1 " || c.f.Track(local).Failed != 1 {
		t.Error("to a device that is gone")
	}
	c.in(func() {
		if err := c.f.Refresh(); err != nil {
			t.Error(err)
		}
	})
	if action, _ := c.test(t, in, ""); action != pass || moves() != "no_route 1 " {
		t.Error("known to be gone, it is still sent to")
	}
}

// A device whose driver takes nothing is not used, and a kernel that does not forward is obeyed.
func TestWhyNotByXDP(t *testing.T) {
	c := newCrossing(t)
	local := at(ours4, 30000)
	c.put(t, Way{Local: local, From: phone4, Via: at(ours4, 30002), To: netip.MustParseAddrPort("198.18.0.9:5000")})
	c.ip(t, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
	c.ip(t, "link", "set", "x0", "up")
	c.ip(t, "link", "set", "x1", "up")
	c.ip(t, "addr", "add", "198.18.0.1/24", "dev", "x0")
	c.ip(t, "neigh", "add", "198.18.0.9", "lladdr", "02:00:00:00:00:01", "dev", "x0", "nud", "permanent")
	in := between(phone4, local, rtp(1)).Bytes()
	why := func(want string) {
		t.Helper()
		moved := c.reasons(t)
		c.f.SetClock(c.f.now() + 2e9)
		if _, out := c.test(t, in, ""); moved() != want || want != "" && !bytes.Equal(in, out) {
			t.Errorf("want %q", want)
		}
	}
	why("no_device 1 ")
	refresh := func() {
		c.in(func() {
			if err := c.f.Refresh(); err != nil {
				t.Error(err)
			}
		})
	}
	refresh()
	why("no_xmit 1 ")
	c.in(func() { c.passing(t, "x1") })
	refresh()
	why("")
	c.in(func() { c.sysctl(t, "ipv4/ip_forward", "0") })
	why("forwarding_off 1 ")
}

func TestWaysThatCannotBe(t *testing.T) {
	c := newCrossing(t)
	good := Way{Local: at(ours4, 30000), From: phone4, Via: at(ours6, 30002), To: far6}
	none := netip.AddrPort{}
	for name, change := range map[string]func(w *Way){
		"held":                    func(w *Way) { w.To = none },
		"nobody is believed":      func(w *Way) { w.From = none },
		"a port that is not ours": func(w *Way) { w.Local = at(ours4, 30100) },
		"no address of ours":      func(w *Way) { w.Via = at(far4.Addr(), 30000) },
		"two families":            func(w *Way) { w.From = phone6 },
		"two families, out":       func(w *Way) { w.To = far4 },
		"a zone":                  func(w *Way) { w.To = netip.MustParseAddrPort("[fe80::1%v0]:5") },
		"port 0":                  func(w *Way) { w.To = netip.AddrPortFrom(far6.Addr(), 0) },
		"to everybody":            func(w *Way) { w.To = netip.MustParseAddrPort("[ff02::1]:5") },
	} {
		w := good
		change(&w)
		if err := c.f.Put(w); !errors.Is(err, ErrNoWay) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(slices.Collect(c.f.Recovered())); n != 0 {
		t.Errorf("%d ways are in force", n)
	}
	c.put(t, good)
	good.Clock = 8000
	if all := slices.Collect(c.f.Recovered()); len(all) != 1 || all[0] != good {
		t.Errorf("in force are %v", all)
	}
	if c.f.Track(at(ours4, 29999)) != nil || c.f.Track(at(far4.Addr(), 30000)) != nil {
		t.Error("a track of what is not ours")
	}
	for _, hz := range []uint32{8000, 11025, 16000, 44100, 48000, 90000} {
		if rate(scale(hz)) != hz {
			t.Errorf("%d Hz come back as %d", hz, rate(scale(hz)))
		}
	}
}

// Go's side of the shared memory is the program's.
func TestTrackIsTheKernels(t *testing.T) {
	var l forwardLeg
	if got, want := reflect.TypeFor[Track]().Size(), unsafe.Sizeof(l.Track); got != want {
		t.Fatalf("%d bytes, the kernel's has %d", got, want)
	}
	var walk func(ours, theirs reflect.Type, base uintptr)
	walk = func(ours, theirs reflect.Type, base uintptr) {
		for i := range ours.NumField() {
			f, k := ours.Field(i), theirs.Field(i+1) // the first is HostLayout
			if f.Offset != k.Offset || f.Type.Size() != k.Type.Size() {
				t.Errorf("%s is at %d, the kernel's %s at %d", f.Name, base+f.Offset, k.Name, base+k.Offset)
			}
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, k.Type, f.Offset)
			}
		}
	}
	walk(reflect.TypeFor[Track](), reflect.TypeOf(l.Track), 0)
}
