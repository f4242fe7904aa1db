package relay_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

// A stranger who sends everything to every port reaches nobody, gets nothing,
// and does not keep a port from being lent again.
func TestSprayOfAllPorts(t *testing.T) {
	const low, high = 31100, 31107 // four pairs on each interface
	g := newRig(t, func(c *relay.Config) {
		c.MediaPorts = relay.PortRange{Low: low, High: high}
		c.PortRest = relay.Duration(time.Second)
	})
	a, b := newPhone(t, outside), newPhone(t, inside)
	g.connect(a, b, outside)
	stranger := listen(t, "127.0.3.1")
	sprayed := 0
	spray := func() {
		t.Helper()
		for _, host := range []string{"127.0.0.2", "127.0.0.3"} {
			for port := uint16(low); port <= high; port++ {
				to := netip.AddrPortFrom(netip.MustParseAddr(host), port)
				for _, packet := range [][]byte{a.packet(), rtp.AppendRR(nil, 7), []byte("garbage")} {
					// Refused by ports that are not open, which is as good.
					_, _ = stranger.WriteToUDPAddrPort(packet, to)
				}
			}
		}
		sprayed++
	}
	for range 20 {
		spray()
		a.sequence = b.sequence
		talk(a, b, 1)
	}
	g.until("a", "wrong source", int64(3*sprayed))
	if s := g.stats("a", 0); s.Int("packets") != 20 || s.Int("lost") != 0 {
		t.Errorf("%v", s)
	}
	a.silent()
	b.silent()
	if got, from := read(t, stranger, 20*time.Millisecond); got != nil {
		t.Errorf("the stranger got %x from %v", got, from)
	}

	g.do(ng.Command{Name: ng.Delete, CallID: "call"}, ng.ResultOK)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(8 * time.Second); ; { // far below the ten rests of a former peer
		spray()
		back := 0
		for _, id := range []string{"1", "2", "3", "4"} { // all four pairs of each interface
			c := offer(a, outside)
			c.CallID = id
			if g.try(c).Result == ng.ResultOK {
				back++
			}
		}
		if back == 4 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of 4 calls have ports", back)
		}
	}
}
