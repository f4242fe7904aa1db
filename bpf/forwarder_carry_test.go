package bpf

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// Legs are found again by their local sides: with the same faces in the same memory,
// with others or other ports in new memory, from another layout with ways and counters.
func TestLegsAreCarried(t *testing.T) {
	c := newCrossing(t)
	o := c.options()
	o.Pin = c.pin
	f := c.forwarder(t, o)
	ways := []Way{
		{Local: at(ours4, 30010), From: phone4, Via: at(ours6, 30012), To: at(ours6, 30014), Clock: 48000},
		{Local: at(ours6, 30014), From: phone6, Via: at(ours6, 30016), To: far6, Clock: 8000, Any: true},
		{Local: at(ours4, 30099), From: phone4, Via: at(ours4, 30012), To: far4, Clock: 8000, Mux: true},
	}
	filled := Track{Packets: 5, Bytes: 500, Seen: 9, WrongSource: 1, NotRTP: 2, STUN: 3, Held: 4, Failed: 6, PayloadType: 8, SSRC: 7,
		Receiver: Receiver{Base: 1, Highest: 2, Window: 3, Received: 4, Started: 1}}
	bare := filled
	bare.Receiver = Receiver{}
	for _, w := range ways {
		*c.putIn(t, f, w) = filled
	}
	// A packet's leg without a way, and one whose writer died in the middle.
	*f.Track(at(ours6, 30050)) = filled
	i, _ := f.index(at(ours4, 30060))
	c.putIn(t, f, Way{Local: at(ours4, 30060), From: phone4, Via: at(ours4, 30012), To: far4})
	f.legs[i].Way.Version |= 1

	f = c.reopened(t, "the same", f, o, ways, filled)
	o.Faces = []netip.Addr{netip.MustParseAddr("203.0.113.1"), ours4, ours6}
	f = c.reopened(t, "faces in another order, and one more", f, o, ways, filled)
	if i, _ := f.index(ways[0].Local); f.legs[i].Way.Flags>>wayFaceShift != 2 {
		t.Error("the joined leg is said to be another face's")
	}
	o.First, o.Last = 30005, 30098
	f = c.reopened(t, "fewer ports", f, o, ways[:2], filled, ways[2].Local)
	o.First, o.Last = 29000, 30999
	f = c.reopened(t, "more ports", f, o, ways[:2], filled, ways[2].Local)
	var r forwardRange
	if err := f.maps.State.Lookup(uint32(0), &r); err != nil {
		t.Fatal(err)
	}
	r.Layout++
	if err := f.maps.State.Put(uint32(0), &r); err != nil {
		t.Fatal(err)
	}
	f = c.reopened(t, "of another layout", f, o, ways[:2], bare)
	o.Faces = []netip.Addr{ours4}
	o.First = 30000
	if f.Close(); t.Failed() {
		return
	}
	f = c.forwarder(t, o)
	if got := slices.Collect(f.Recovered()); len(got) != 0 { // both leave by the address that is no more
		t.Errorf("in force without their address: %v", got)
	}
	if k := f.Track(ways[0].Local); *k != bare {
		t.Errorf("the track of a leg that is not repeated any more: %+v", *k)
	}
}

// reopened closes f and opens another one, in which these ways are in force with this
// track, as is the track of ours6's port 30050, and nothing is left of those that are gone.
func (c *crossing) reopened(t *testing.T, when string, f *Forwarder, o ForwarderOptions, want []Way, track Track, gone ...netip.AddrPort) *Forwarder {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = c.forwarder(t, o)
	got := slices.Collect(f.Recovered())
	slices.SortFunc(got, func(a, b Way) int { return int(a.Local.Port()) - int(b.Local.Port()) })
	if !slices.Equal(got, want) {
		t.Errorf("%s: in force are\n%v, want\n%v", when, got, want)
	}
	for _, w := range append(slices.Clone(want), Way{Local: at(ours6, 30050)}) {
		if k := f.Track(w.Local); *k != track {
			t.Errorf("%s: %v has %+v, want %+v", when, w.Local, *k, track)
		}
	}
	for _, a := range gone {
		if k := f.Track(a); k != nil && *k != (Track{}) {
			t.Errorf("%s: %v has %+v", when, a, *k)
		}
	}
	files, err := os.ReadDir(f.pins.dir)
	for _, file := range files {
		if strings.HasPrefix(file.Name(), fresh) {
			t.Errorf("%s: %s is left", when, file.Name())
		}
	}
	if err != nil || len(files) != 7 {
		t.Errorf("%s: %d pins, %v", when, len(files), err)
	}
	return f
}

func (c *crossing) putIn(t *testing.T, f *Forwarder, w Way) *Track {
	t.Helper()
	if err := f.Put(w); err != nil {
		t.Fatal(err)
	}
	return f.Track(w.Local)
}
