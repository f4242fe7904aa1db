package relay_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sdp"
)

// filter is a relay.Legs that remembers.
type filter struct {
	mu   sync.Mutex
	live map[uint16]bool
}

func (f *filter) Leg(port uint16, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if live {
		f.live[port] = true
	} else {
		delete(f.live, port)
	}
}

func (f *filter) open() map[uint16]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.live)
}

// The answer to an offer names ports that are live already, and no other is; the
// end of the call closes them, and the ports then rest.
func TestPortsAreLiveFromTheAnswerToTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		ports relay.PortRange
		live  []int // during the call
	}{
		"many ports":             {relay.PortRange{Low: 30200, High: 30239}, []int{2, 4}}, // 2 when both ends happen to be lent the same pair
		"one pair, on both ends": {relay.PortRange{Low: 30241, High: 30244}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &filter{live: map[uint16]bool{}}
			for p := c.ports.Low - 1; p <= c.ports.High; p++ {
				f.live[p] = true // of a relay that was killed, but for the first one
			}
			g := newRigWith(t, []relay.Option{relay.WithLegs(f)}, func(cfg *relay.Config) { cfg.MediaPorts = c.ports })
			if m := g.relay.Addresses().Media; m != c.ports {
				t.Errorf("the relay says its media ports are %v", m)
			}
			only := func(want ...int) {
				t.Helper()
				if open := f.open(); !slices.Contains(want, len(open)-1) || !open[c.ports.Low-1] {
					t.Errorf("live are %v, want %d and another's", open, want)
				}
			}
			only(0)
			a := newPhone(t, "127.0.0.1")
			for i := range 3 {
				id := fmt.Sprint("call", i)
				reply := g.do(ng.Command{Name: ng.Offer, CallID: id, FromTag: "a", SDP: a.sdp(), Direction: [2]string{"external", "internal"}}, ng.ResultOK)
				only(c.live...)
				s, err := sdp.Parse(reply.SDP)
				if err != nil {
					t.Fatal(err)
				}
				if told := s.Media[0].Port; !f.open()[told] || !f.open()[told+1] {
					t.Errorf("ports %d and %d were told and are not both live", told, told+1)
				}
				g.do(ng.Command{Name: ng.Delete, CallID: id, FromTag: "a"}, ng.ResultOK)
				only(0)
			}
		})
	}
}

// A relay that cannot start has closed nobody's ports: they may be those of the
// one that has its socket.
func TestARelayThatCannotStartClosesNoPorts(t *testing.T) {
	f := &filter{live: map[uint16]bool{}}
	g := newRigWith(t, []relay.Option{relay.WithLegs(f)})
	a := newPhone(t, "127.0.0.1")
	g.do(ng.Command{Name: ng.Offer, CallID: "call", FromTag: "a", SDP: a.sdp()}, ng.ResultOK)
	before := len(f.open())
	cfg := relay.DefaultConfig()
	cfg.NG = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), g.relay.Addresses().NG.Port())
	if r, err := relay.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), relay.WithLegs(f)); err == nil {
		t.Error("two relays have one socket", r.Close())
	}
	if n := len(f.open()); n != before || n == 0 {
		t.Errorf("%d ports are live, %d were", n, before)
	}
}
