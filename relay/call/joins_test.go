package call_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/sdp"
)

// A ring is calls in a registry, of which each can be made to send to the next.
type ring struct {
	t     *testing.T
	r     *call.Registry
	table *table
	out   []netip.AddrPort // where each is sent to from outside
}

func newRing(t *testing.T, calls int) *ring {
	g := &ring{t: t, table: newTable()}
	g.r, _ = newRegistry(t, g.table, func(c *call.Config) { c.MaxCalls = 100 })
	for i := range calls {
		if _, err := g.r.Offer(call.Message{CallID: fmt.Sprint(i), FromTag: "a", SDP: body("203.0.113.9", 4000), Direction: [2]string{"external", "internal"}}); err != nil {
			t.Fatal(err)
		}
		g.out = append(g.out, g.sends(i, body("10.2.0.9", 5000)))
	}
	return g
}

// sends has the callee of call i say where it is, and returns where its caller sends.
func (g *ring) sends(i int, text []byte) netip.AddrPort {
	g.t.Helper()
	b, err := g.r.Answer(call.Message{CallID: fmt.Sprint(i), FromTag: "a", ToTag: "b", SDP: text})
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := sdp.Parse(b)
	if err != nil {
		g.t.Fatal(err)
	}
	return netip.AddrPortFrom(mustAddr("10.1.0.1"), s.Media[0].Port)
}

// on has call i send to call j, and says where it does.
func (g *ring) on(i, j int) netip.AddrPort {
	g.t.Helper()
	g.sends(i, body("10.1.0.1", int(g.out[j].Port())))
	return g.table.leg(g.out[i]).To
}

// Calls may send to each other as long as what they send comes out somewhere.
func TestCallsInARing(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			g := newRing(t, n)
			for i := range n - 1 {
				if to := g.on(i, i+1); to != g.out[i+1] {
					t.Fatalf("call %d sends to %v, not to the next", i, to)
				}
			}
			if to := g.on(n-1, 0); to.IsValid() {
				t.Errorf("the ring is closed: %v", to)
			}
			// What another call has closed, its end opens.
			if _, _, err := g.r.Delete(call.Deletion{CallID: "0", From: "a"}); err != nil {
				t.Fatal(err)
			}
			g.sends(n-1, body("10.2.0.9", 5000))
			if to := g.table.leg(g.out[n-1]).To; to.String() != "10.2.0.9:5000" {
				t.Errorf("the last call sends to %v", to)
			}
		})
	}
}

// A call that sends elsewhere again leaves room for others.
func TestARingThatIsOpened(t *testing.T) {
	g := newRing(t, 2)
	g.on(0, 1)
	if g.on(1, 0).IsValid() {
		t.Fatal("the ring is closed")
	}
	g.sends(0, body("10.2.0.9", 5000))
	if to := g.on(1, 0); to != g.out[0] {
		t.Errorf("it sends to %v", to)
	}
	if g.on(0, 1).IsValid() {
		t.Error("the ring is closed from the other side")
	}
}

// A chain ends before it costs anybody anything.
func TestALongChainOfCalls(t *testing.T) {
	g := newRing(t, 60)
	joined := 0
	for i := len(g.out) - 1; i > 0; i-- {
		if g.on(i-1, i).IsValid() {
			joined++
		}
	}
	if joined < 16 || joined > 58 {
		t.Errorf("%d calls are joined", joined)
	}
}
