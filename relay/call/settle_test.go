package call_test

import (
	"testing"
	"time"
)

// A source is settled by time alone: packets that could show the window to be over
// need not come.
func TestSourcesAreSettled(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.offer(offer("192.168.1.2", natted))
		l.answer(answer())
		if !l.Learn(l.atOut, addrPort(natted+":61000")) {
			t.Fatal("the phone behind its NAT is not believed")
		}
		l.Sweep(time.Now())
		if leg := l.table.leg(l.atOut); leg.Exact != addrPort("192.168.1.2:4000") {
			t.Errorf("in the window it can be corrected by %v", leg.Exact)
		}
		l.after(latch + 1)
		l.Sweep(time.Now())
		leg := l.table.leg(l.atOut)
		if leg.From != addrPort(natted+":61000") || leg.Exact.IsValid() || leg.Learn.IsValid() {
			t.Errorf("after the window: %+v", leg)
		}
		if l.Learn(l.atOut, addrPort("192.168.1.2:4000")) {
			t.Error("it is corrected after the window")
		}
	})
}
