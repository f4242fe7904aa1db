package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

// bound waits a second and checks that no packet goes round meanwhile.
func (l *attackLab) bound(t *testing.T, ids ...string) {
	t.Helper()
	count := func() (n int) {
		for _, id := range ids {
			n += l.stat(id, "packets")
		}
		return n
	}
	cpu, begun, before := spent(t, l.relay.PID()), time.Now(), count()
	eventually(time.Second, func() bool { return false })
	if more, busy := count()-before, spent(t, l.relay.PID())-cpu; more > 50 || busy > time.Since(begun)/4 {
		t.Errorf("%d packets go round, and the relay's process is busy for %v of %v", more, busy, time.Since(begun))
	}
}

// A call whose parties name the ports that the call itself was lent is silent.
func TestACallThatPointsAtItself(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b := l.newParty(l.caller), l.newParty(l.callee)
		l.connect("self", a, b)
		a.say()
		for _, claims := range [][2]netip.AddrPort{{a.relay, b.relay}, {b.relay, a.relay}, {a.relay, a.relay}} {
			a.claim, b.claim = claims[0], claims[1]
			l.do(l.offer("self", a, ng.FlagTrustAddress))
			l.do(l.answer("self", b, ng.FlagTrustAddress))
			for _, from := range claims {
				l.spoof(l.stranger, from, a.relay, a.packet(1))
				l.spoof(l.stranger, from, b.relay, a.packet(1))
				l.spoof(l.server, from, a.relay, a.packet(2))
				l.spoof(l.server, from, b.relay, a.packet(2))
			}
			l.bound(t, "self")
		}
	})
}

// Two calls, each of whose sides names a port of the other, would send what is once
// in the ring round for ever.
func TestCallsThatPointAtEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		var ends [2][2]*party
		for i := range ends {
			a, b := l.newParty(l.caller), l.newParty(l.callee)
			l.connect(fmt.Sprint("ring-", i), a, b)
			ends[i] = [2]*party{a, b}
		}
		// What comes to the first side of one leaves by its second side for the first
		// side of the other, and so on round.
		x, y := ends[0], ends[1]
		outOf := func(e [2]*party) [2]netip.AddrPort { return [2]netip.AddrPort{e[0].relay, e[1].relay} }
		px, py := outOf(x), outOf(y)
		x[0].claim, x[1].claim, y[0].claim, y[1].claim = py[1], py[0], px[1], px[0]
		for i, e := range ends {
			id := fmt.Sprint("ring-", i)
			_, _ = l.try(l.offer(id, e[0], ng.FlagTrustAddress)) // that it is refused is one of the good ends
			_, _ = l.try(l.answer(id, e[1], ng.FlagTrustAddress))
		}
		for _, e := range [][2]netip.AddrPort{{py[1], px[0]}, {px[1], py[0]}, {py[0], px[1]}, {px[0], py[1]}} {
			l.spoof(l.stranger, e[0], e[1], x[0].packet(1))
			l.spoof(l.server, e[0], e[1], x[0].packet(2))
		}
		l.bound(t, "ring-0", "ring-1")
	})
}
