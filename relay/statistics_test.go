package relay_test

import (
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

// statistic asks for statistics and returns one part of them.
func (g *rig) statistic(part string) ng.Dict {
	g.t.Helper()
	return g.do(ng.Command{Name: ng.Statistics}, ng.ResultOK).More.Dict(ng.KeyStatistics).Dict(part)
}

// within polls until what is so, for some seconds: rates are of whole ones.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// Rates are those of the last second, however often somebody asks.
func TestRatesAreOfTheLastSecond(t *testing.T) {
	g := newRig(t)
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	talk(a, b, 20)
	var once ng.Dict
	within(t, "a rate", func() bool {
		once = g.statistic("currentstatistics")
		return once.Int("packetrate") > 0
	})
	again := g.statistic("currentstatistics")
	if n := once.Int("packetrate"); n > 60 || once.Int("packetrate_user") != n || once.Int("packetrate_kernel") != 0 || once.Int("byterate") != n*172 {
		t.Errorf("%v", once)
	}
	if again.Int("packetrate") != once.Int("packetrate") {
		t.Errorf("asked again, it is %d instead of %d", again.Int("packetrate"), once.Int("packetrate"))
	}
	if once.Int("media_userspace") != 2 || once.Int("media_kernel") != 0 || once.Int("media_mixed") != 0 {
		t.Errorf("%v", once)
	}
	within(t, "no rate", func() bool { return g.statistic("currentstatistics").Int("packetrate") == 0 })
	all := g.statistic("totalstatistics")
	if all.Int("relayedpackets") != 40 || all.Int("relayedpackets_user") != 40 || all.Int("relayedbytes_user") != 40*172 || all.Int("relayedbytes_kernel") != 0 {
		t.Errorf("%v", all)
	}
	g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a"}, ng.ResultOK)
	if n := g.statistic("totalstatistics").Int("relayedpackets"); n != 40 {
		t.Errorf("%d packets after the call", n)
	}
}

// How many commands came in a second: fewest, most, and on average.
func TestRequestRates(t *testing.T) {
	g := newRig(t)
	for range 30 {
		g.do(ng.Command{Name: ng.Ping}, ng.ResultPong)
	}
	within(t, "a whole second", func() bool { return g.statistic("intervalstatistics").Text("maxpingrequestrate") != "0" })
	within(t, "a second without", func() bool {
		d := g.statistic("intervalstatistics")
		return d.Text("minpingrequestrate") == "0" && d.Text("maxpingdelay") != "0.000000" && d.Text("avgpingrequestrate") != "0.000"
	})
	g.do(ng.Command{Name: ng.PlayMedia, CallID: "x"}, ng.ResultError)
	if n := g.statistic("controlstatistics").Int("totalplaymediacount"); n != 1 {
		t.Errorf("what was refused was asked %d times", n)
	}
}

// The port that was lent last, by address.
func TestLastPort(t *testing.T) {
	g := newRig(t)
	p := newPhone(t, inside)
	p.hear(g.do(offer(newPhone(t, outside), ""), ng.ResultOK).SDP)
	for _, i := range g.do(ng.Command{Name: ng.Statistics}, ng.ResultOK).More.Dict(ng.KeyStatistics).List("interfaces") {
		d := i.(ng.Dict)
		if got := d.Dict("ports").Int("last"); d.Text("address") == "127.0.0.3" && got != int64(p.peer.Port()) {
			t.Errorf("%v, and %d was lent", d, p.peer.Port())
		}
	}
}
