package relay_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
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
	f := &filter{live: map[uint16]bool{4242: true}}
	for p := 30200; p <= 30203; p++ {
		f.live[uint16(p)] = true // of a relay that was killed
	}
	g := newRigWith(t, []relay.Option{relay.WithLegs(f)}, func(c *relay.Config) {
		c.MediaPorts = relay.PortRange{Low: 30200, High: 30203} // two pairs
	})
	if m := g.relay.Addresses().Media; m.Low != 30200 || m.High != 30203 {
		t.Errorf("the relay says its media ports are %v", m)
	}
	if n := len(f.open()); n != 1 {
		t.Fatalf("%d ports are live after the start, want the one that is not the relay's", n)
	}
	a := newPhone(t, "127.0.0.1")
	// One after the other until one port is lent on both addresses.
	shared := false
	for i := 0; i < 100 && !shared; i++ {
		id := fmt.Sprint("call", i)
		reply := g.do(ng.Command{Name: ng.Offer, CallID: id, FromTag: "a", SDP: a.sdp(), Direction: [2]string{"external", "internal"}}, ng.ResultOK)
		open := f.open()
		s, err := sdp.Parse(reply.SDP)
		if err != nil {
			t.Fatal(err)
		}
		if told := s.Media[0].Port; !open[told] || !open[told+1] {
			t.Fatalf("ports %d and %d were told and are not both live: %v", told, told+1, open)
		}
		shared = len(open) == 3 // and 4242
		if !shared && len(open) != 5 {
			t.Fatalf("%d ports are live", len(open))
		}
		g.do(ng.Command{Name: ng.Delete, CallID: id, FromTag: "a"}, ng.ResultOK)
		if n := len(f.open()); n != 1 {
			t.Fatalf("%d ports are live after the call", n)
		}
	}
	if !shared {
		t.Error("no port was ever lent on both addresses")
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
