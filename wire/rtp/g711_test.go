package rtp_test

import (
	"testing"

	"github.com/lindero/lindero/wire/rtp"
)

// The ends and the middle of both laws, from the tables of ITU-T G.711.
func TestG711Values(t *testing.T) {
	for b, want := range map[byte]int16{0x00: -32124, 0x80: 32124, 0x7f: 0, 0xff: 0, 0x7e: -8, 0xfe: 8, 0x8f: 16764, 0xf0: 120} {
		if got := rtp.DecodePCMU(b); got != want {
			t.Errorf("PCMU %#02x is %d, want %d", b, got, want)
		}
	}
	for b, want := range map[byte]int16{0xd5: 8, 0x55: -8, 0xaa: 32256, 0x2a: -32256, 0x00: -5504, 0x80: 5504, 0xd4: 24} {
		if got := rtp.DecodePCMA(b); got != want {
			t.Errorf("PCMA %#02x is %d, want %d", b, got, want)
		}
	}
	if u, a := rtp.EncodePCMU(0), rtp.EncodePCMA(0); u != rtp.SilencePCMU || a != rtp.SilencePCMA {
		t.Errorf("silence is %#x and %#x", u, a)
	}
}

func TestG711RoundTrip(t *testing.T) {
	laws := map[string]struct {
		encode func(int16) byte
		decode func(byte) int16
	}{"PCMU": {rtp.EncodePCMU, rtp.DecodePCMU}, "PCMA": {rtp.EncodePCMA, rtp.DecodePCMA}}
	for name, law := range laws {
		for i := range 256 {
			b := byte(i)
			// µ-law has two zeros; the negative one is never made.
			if got := law.encode(law.decode(b)); got != b && law.decode(b) != 0 {
				t.Errorf("%s: %#02x decodes to %d and that encodes to %#02x", name, b, law.decode(b), got)
			}
		}
		last := law.decode(law.encode(-32768))
		for s := -32768; s <= 32767; s++ {
			got := law.decode(law.encode(int16(s)))
			if got < last {
				t.Fatalf("%s: %d comes back as %d, the sample below it as %d", name, s, got, last)
			}
			last = got
			// Half a step: steps are 1/16 of the octave, at least 8 or 16.
			if off, most := abs(int(got)-s), max(abs(s)/32+8, 16); off > most && abs(s) < 32600 {
				t.Fatalf("%s: %d comes back as %d", name, s, got)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }
