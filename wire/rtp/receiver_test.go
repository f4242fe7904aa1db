package rtp_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// scale is that of 8000 Hz.
var scale = rtp.Scale(8000)

func TestReceiverSums(t *testing.T) {
	for name, c := range map[string]struct {
		sequence []uint16
		want     rtp.Stats
	}{
		"in order":               {[]uint16{10, 11, 12}, rtp.Stats{Received: 3, Expected: 3}},
		"one lost":               {[]uint16{10, 12}, rtp.Stats{Received: 2, Expected: 3, Lost: 1}},
		"across the wrap":        {[]uint16{65534, 65535, 0, 1}, rtp.Stats{Received: 4, Expected: 4}},
		"lost in the wrap":       {[]uint16{65534, 1}, rtp.Stats{Received: 2, Expected: 4, Lost: 2}},
		"reordered":              {[]uint16{10, 12, 11, 13}, rtp.Stats{Received: 4, Expected: 4, Reordered: 1}},
		"reordered over wrap":    {[]uint16{65535, 1, 0, 2}, rtp.Stats{Received: 4, Expected: 4, Reordered: 1}},
		"before the first":       {[]uint16{10, 9, 11}, rtp.Stats{Received: 3, Expected: 3, Reordered: 1}},
		"twice in a row":         {[]uint16{10, 10, 11}, rtp.Stats{Received: 3, Expected: 2, Duplicate: 1}},
		"twice, late":            {[]uint16{10, 11, 12, 10}, rtp.Stats{Received: 4, Expected: 3, Duplicate: 1}},
		"a duplicate hides none": {[]uint16{10, 12, 12}, rtp.Stats{Received: 3, Expected: 3, Lost: 1, Duplicate: 1}},
		"restart far away":       {[]uint16{10, 11, 30000, 30001, 30002}, rtp.Stats{Received: 5, Expected: 5, Restarts: 1}},
		"a single stray":         {[]uint16{10, 11, 30000, 12}, rtp.Stats{Received: 3, Expected: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var r rtp.Receiver
			for i, s := range c.sequence {
				stamp := uint32(i) * 160
				r.Add(rtp.Header{Sequence: s, Timestamp: stamp}, uint64(i)*20e6, scale)
			}
			if got := r.Stats(); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestReceiverNewSource(t *testing.T) {
	var r rtp.Receiver
	for i, h := range []rtp.Header{{Sequence: 10, SSRC: 1}, {Sequence: 12, SSRC: 1}, {Sequence: 50000, SSRC: 2}, {Sequence: 50001, SSRC: 2}} {
		h.Timestamp = uint32(i) * 160
		r.Add(h, uint64(i)*20e6, scale)
	}
	want := rtp.Stats{Received: 4, Expected: 5, Lost: 1, Restarts: 1, SSRC: 2}
	if got := r.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Two packets 20 ms apart by their stamps arrive 30 ms apart: D is 80 units, and
// A.8 gives 80/16 = 5 after the first and (15·5+80)/16 after the second.
func TestJitter(t *testing.T) {
	var r rtp.Receiver
	at := time.Hour
	for i, gap := range []time.Duration{0, 30 * time.Millisecond, 10 * time.Millisecond} {
		at += gap
		r.Add(rtp.Header{Sequence: uint16(i), Timestamp: uint32(i) * 160}, uint64(at), scale)
		if got, want := r.Stats().Jitter, []uint32{0, 5, 9}[i]; got != want {
			t.Errorf("after packet %d: %d, want %d", i, got, want)
		}
	}
	before := r.Stats().Jitter
	for i := range 10 { // one key press: the stamp stays, time goes on
		at += 20 * time.Millisecond
		r.Add(rtp.Header{Sequence: uint16(3 + i), Timestamp: 2 * 160}, uint64(at), scale)
	}
	r.Add(rtp.Header{Sequence: 13, Timestamp: 1 << 31}, uint64(at), scale) // a new clock
	if got := r.Stats().Jitter; got != before {
		t.Errorf("a key press or a new clock made jitter %d of %d", got, before)
	}
}

func TestScale(t *testing.T) {
	for rate, want := range map[uint32]uint32{8000: 2199024, 16000: 4398047, 48000: 13194140, 90000: 24739012, 15_000_000: 4123168605, 1 << 31: 4123168605} {
		if got := rtp.Scale(rate); got != want {
			t.Errorf("%d Hz: %d, want %d", rate, got, want)
		}
	}
}

// A pause in which nothing is sent is no jitter, however the clock went on.
func TestPauseIsNoJitter(t *testing.T) {
	var r rtp.Receiver
	for i, at := range []time.Duration{0, 20 * time.Millisecond, time.Minute, time.Minute + 20*time.Millisecond} {
		r.Add(rtp.Header{Sequence: uint16(i), Timestamp: uint32(i) * 160}, uint64(at), scale)
	}
	// Nor is an arrival before the last one, as clocks of two processors may give.
	r.Add(rtp.Header{Sequence: 4, Timestamp: 4 * 160}, uint64(time.Minute), scale)
	if got := r.Stats(); got.Jitter != 0 || got.Received != 5 || got.Lost != 0 {
		t.Errorf("%+v", got)
	}
}

// A program in the kernel works on the same memory: neither order nor size may
// change without it.
func TestReceiverLayout(t *testing.T) {
	want := "base 0 highest 8 window 16 arrival 24 received 32 past 40 reordered 48 duplicate 56 ssrc 64 stamp 68 jitter 72 resync 76 restarts 80 started 84 size 88"
	kind, got := reflect.TypeFor[rtp.Receiver](), ""
	for i := range kind.NumField() {
		got += fmt.Sprint(kind.Field(i).Name, " ", kind.Field(i).Offset, " ")
	}
	if got += fmt.Sprint("size ", kind.Size()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func BenchmarkReceiver(b *testing.B) {
	b.ReportAllocs()
	var r rtp.Receiver
	h, at := rtp.Header{}, uint64(0)
	for b.Loop() {
		h.Sequence++
		h.Timestamp += 160
		at += 20e6
		r.Add(h, at, scale)
	}
}
