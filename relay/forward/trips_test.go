package forward

import (
	"testing"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// sr is a sender report of the time ntp, rr a reception report of one whose time
// was ntp, which its sender has had for delay.
func sr(ntp uint64) []byte { return rtp.AppendSR(nil, rtp.SenderInfo{SSRC: 1, NTP: ntp}) }

func rr(ntp uint64, delay time.Duration) []byte {
	return rtp.AppendRR(nil, 2, rtp.Report{SSRC: 3}, rtp.Report{SSRC: 1, LastSR: uint32(ntp >> 16), Delay: uint32(delay * second / time.Second)})
}

func TestRoundTrip(t *testing.T) {
	const ntp = 0xd2bd4e3e_c58a1000
	at := func(d time.Duration) uint64 { return uint64(20*time.Hour + d) } // beyond the wrap of 16.16
	for name, c := range map[string]struct {
		sent, reported uint64
		came           time.Duration
		delay          time.Duration
		want           time.Duration
	}{
		"as the RFC's example":           {ntp, ntp, 5250 * time.Millisecond, 5 * time.Second, 250 * time.Millisecond},
		"answered at once":               {ntp, ntp, 30 * time.Millisecond, 0, 30 * time.Millisecond},
		"of a report that never left":    {ntp, ntp + 1<<16, time.Second, 0, 0},
		"who had none":                   {ntp, 0, time.Second, 0, 0},
		"held for longer than it was":    {ntp, ntp, time.Second, 2 * time.Second, 0},
		"held a little longer, by clock": {ntp, ntp, time.Second, time.Second + time.Millisecond, time.Microsecond},
		"longer than anybody waits":      {ntp, ntp, time.Minute, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var trip trips
			trip.left(sr(c.sent), at(0))
			trip.came(rr(c.reported, c.delay), at(c.came))
			if got := trip.roundTrip(); got < c.want-20*time.Microsecond || got > c.want+20*time.Microsecond {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Four reports are remembered, the fifth takes the place of the first.
func TestRoundTripsAreForgotten(t *testing.T) {
	var trip trips
	for i := range uint64(5) {
		trip.left(sr((i+1)<<32), 0)
	}
	trip.came(rr(1<<32, 0), 1e9)
	if got := trip.roundTrip(); got != 0 {
		t.Errorf("%v by a report that is forgotten", got)
	}
	trip.came(rr(2<<32, 0), 1e9)
	if got := trip.roundTrip(); got != time.Second {
		t.Errorf("%v", got)
	}
	var none *trips
	if got := none.roundTrip(); got != 0 {
		t.Errorf("%v without RTCP", got)
	}
}

func FuzzTrips(f *testing.F) {
	f.Add(append(sr(1<<32), rr(1<<32, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var trip trips
		trip.left(b, 1)
		trip.came(b, 1e9)
		if got := trip.roundTrip(); got < 0 || got > 31*time.Second {
			t.Error(got)
		}
	})
}
