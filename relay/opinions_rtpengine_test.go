package relay_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

// report sends RTCP from p as a telephone does: what it sent, and how it hears other,
// whose last report it had at once.
func (p *phone) report(other *phone) {
	p.t.Helper()
	now := uint64(time.Now().UnixNano())
	p.ntp = (now/1e9+2208988800)<<32 | now%1e9<<32/1e9
	b := rtp.AppendSR(nil, rtp.SenderInfo{SSRC: p.ssrc, NTP: p.ntp, Timestamp: uint32(p.sequence) * 160, Packets: uint32(p.sequence)},
		rtp.Report{SSRC: other.ssrc, Highest: uint32(other.sequence), Jitter: 16, LastSR: uint32(other.ntp >> 16), Delay: 1})
	b = rtp.AppendCNAME(b, p.ssrc, "somebody")
	if _, err := p.rtcp.WriteToUDPAddrPort(b, p.peerRTCP); err != nil {
		p.t.Fatal(err)
	}
	if got, _ := read(p.t, other.rtcp, 5*time.Second); got == nil {
		p.t.Error("a report was lost")
	}
}

// The quality of a call stands where rtpengine puts it, under its names and in its
// units, since proxies look for it there.
func TestRTPEngineRatesTheSame(t *testing.T) {
	var said [2]ng.Dict
	for i, g := range []*rig{newRTPEngine(t), newRig(t, manyInterfaces)} {
		a, b := newPhone(t, outside), newPhone(t, inside)
		a.ssrc, b.ssrc = 0x11111111, 0x22222222
		g.connect(a, b, "")
		for range 4 {
			talk(a, b, 20)
			a.report(b)
			b.report(a)
		}
		r := g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)
		said[i] = r.More.Dict(ng.KeySSRC)
	}
	theirs, ours := said[0], said[1]
	// rtpengine rates only what both round trips are known of by RTCP, we whatever came.
	if got := slices.Sorted(maps.Keys(ours)); !slices.Equal(got, []string{"286331153", "572662306"}) || len(theirs) == 0 {
		t.Fatalf("sources %v, rtpengine's are %v", got, theirs)
	}
	names := make([]map[string]bool, 2)
	for i, d := range said {
		names[i] = make(map[string]bool)
		for _, source := range d {
			keys(names[i], "", source)
		}
	}
	for key := range names[0] {
		if !names[1][key] {
			t.Errorf("only rtpengine has %s", key)
		}
	}
	for ssrc := range theirs {
		for _, which := range []string{"average MOS", "lowest MOS", "highest MOS"} {
			x, y := theirs.Dict(ssrc).Dict(which), ours.Dict(ssrc).Dict(which)
			if d := x.Int("MOS") - y.Int("MOS"); d < -2 || d > 2 {
				t.Errorf("%s of %s: rtpengine says %v, and we %v", which, ssrc, x, y)
			}
			// A round trip within this machine, in µs; jitter in ms.
			if trip := y.Int("round-trip time"); trip <= 0 || trip > 2e6 || y.Int("jitter") > 100 || y.Int("packet loss") != 0 {
				t.Errorf("%s of %s: %v, rtpengine says %v", which, ssrc, y, x)
			}
			if at := y.Int("reported at"); which != "average MOS" && (at-x.Int("reported at") > 60 || at < x.Int("reported at")) {
				t.Errorf("%s of %s was at %d, of rtpengine's call before at %d", which, ssrc, at, x.Int("reported at"))
			}
		}
	}
}
