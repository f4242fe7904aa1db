package call_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/relay/call"
)

const six = "2001:db8:1::1" // the outer interface's other address

// newDual is a lab in which an interface has an address of the other family, too.
func newDual(t *testing.T, name, address string) *lab {
	b := newTable()
	r, _ := newRegistry(t, b, func(c *call.Config) { c.Interfaces = append(c.Interfaces, face(b, name, address, address, 30000)) })
	return &lab{t: t, Registry: r, table: b}
}

func body6(host string, port int) []byte {
	return fmt.Appendf(nil, "v=0\nc=IN IP6 %s\nm=audio %d RTP/AVP 0\n", host, port)
}

// A phone goes from an IPv4 network to an IPv6 one in the middle of a call, and back.
func TestAReofferOfTheOtherFamilyGetsOtherPorts(t *testing.T) {
	l := newDual(t, "external", six)
	l.offer(offer("203.0.113.9", ""))
	l.answer(answer())
	l.leg("before", l.atIn, "10.2.0.9:5000", "203.0.113.9:4000")
	was, inside := l.atOut, l.atIn
	for range 3 {
		l.table.hears(was)
	}

	m := offer("", "")
	m.ToTag, m.SDP = "b", body6("2001:db8::9", 4400)
	l.offer(m)
	if l.atIn != inside {
		t.Errorf("the side inside moved to %v", l.atIn)
	}
	out, err := l.Answer(answer())
	now, nowRTCP := l.must(out, err)(six)
	if !strings.Contains(string(out), "c=IN IP6 "+six) {
		t.Fatalf("the phone is told %s", out)
	}
	l.leg("to the new place", inside, "10.2.0.9:5000", "[2001:db8::9]:4400")
	l.leg("from the new place", now, "[2001:db8::9]:4400", "10.2.0.9:5000")
	l.leg("RTCP from there", nowRTCP, "[2001:db8::9]:4401", "10.2.0.9:5001")
	l.leg("what was there", was, "", "")
	if via := l.table.leg(inside).Via; via != now {
		t.Errorf("packets for the phone leave by %v, not %v", via, now)
	}
	if l.Learn(was, addrPort("203.0.113.9:4000")) {
		t.Error("the port that was given back still learns")
	}
	if s, err := l.Query("c"); err != nil || s.RTP.Packets != 3 {
		t.Errorf("%d packets in all, %v; those of the ports before count", s.RTP.Packets, err)
	}

	l.offer(offer("203.0.113.9", "")) // back again
	l.answer(answer())
	l.leg("back", l.atIn, "10.2.0.9:5000", "203.0.113.9:4000")
	if _, legs, _ := l.Counts(); legs != 4 {
		t.Errorf("%d ports are lent", legs)
	}
	if l.Delete(call.Deletion{CallID: "c"}); l.live() != 0 {
		t.Error("not over")
	}
	if _, legs, _ := l.Counts(); legs != 0 {
		t.Errorf("%d ports are lent after the call", legs)
	}
}

// The address of hold is IPv4's whatever the phone has; that is no move.
func TestHoldIsNoMove(t *testing.T) {
	l := newDual(t, "external", six)
	m := offer("", "")
	m.SDP = body6("2001:db8::9", 4400)
	l.offer(m)
	out, err := l.Answer(answer())
	at, _ := l.must(out, err)(six)
	l.offer(offer("0.0.0.0", ""))
	l.leg("held", at, "[2001:db8::9]:4400", "10.2.0.9:5000")
}

// Whoever answers with the other family is sent to from there; a NAT's address that
// the signalling came from says more than the SDP.
func TestAnAnswerOfTheOtherFamily(t *testing.T) {
	for name, c := range map[string]struct {
		received string
		moves    bool
	}{
		"from our own network":      {"", true},
		"by the family it answers":  {"2001:db8::9", true},
		"by the family it was told": {natted, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newDual(t, "external", six)
			m := offer("10.2.0.9", "")
			m.Direction = [2]string{"internal", "external"}
			told, _ := l.must(l.Offer(m))("10.1.0.1")
			a := answer()
			a.Direction, a.SDP = [2]string{"external", "internal"}, body6("2001:db8::9", 4400)
			if c.received != "" {
				a.ReceivedFrom = netip.MustParseAddr(c.received)
			}
			inside, _ := l.must(l.Answer(a))("10.2.0.1")
			want := ""
			if c.moves {
				want = "[2001:db8::9]:4400"
			}
			l.leg("to who answered", inside, "10.2.0.9:4000", want)
			if _, still := l.table.legs[told]; still == c.moves {
				t.Errorf("the port it was told of is served: %v", still)
			}
		})
	}
}

// Where the interface has no such address the offer is refused, and the call goes on.
func TestAMoveThatCannotBe(t *testing.T) {
	l := newLab(t)
	l.offer(offer("203.0.113.9", ""))
	l.answer(answer())
	for what, change := range map[string]func(*call.Message){
		`"external" has no address of family IP6`: func(m *call.Message) { m.SDP = body6("2001:db8::9", 4400) },
		`"internal" has no address of family IP6`: func(m *call.Message) { m.Family = call.IPv6 },
	} {
		m := offer("203.0.113.9", "")
		m.ToTag = "b"
		change(&m)
		if _, err := l.Offer(m); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, not %s", err, what)
		}
	}
	a := answer()
	a.SDP = body6("2001:db8::10", 5000)
	if _, err := l.Answer(a); err == nil || !strings.Contains(err.Error(), `"internal" has no address of family IP6`) {
		t.Errorf("an answer: %v", err)
	}
	l.leg("goes on", l.atIn, "10.2.0.9:5000", "203.0.113.9:4000")
	if _, legs, _ := l.Counts(); legs != 4 {
		t.Errorf("%d ports are lent", legs)
	}
}

// A proxy that asks for the other family towards the other side gets it.
func TestAReofferThatAsksForTheOtherFamily(t *testing.T) {
	l := newDual(t, "internal", "2001:db8:2::1")
	l.offer(offer("203.0.113.9", ""))
	l.answer(answer())
	m := offer("203.0.113.9", "")
	m.ToTag, m.Family = "b", call.IPv6
	out, err := l.Offer(m)
	inside, _ := l.must(out, err)("2001:db8:2::1")
	if !strings.Contains(string(out), "IP6 2001:db8:2::1") {
		t.Fatalf("told %s", out)
	}
	a := answer()
	a.SDP = body6("2001:db8::10", 5000)
	l.answer(a)
	l.leg("across", l.atOut, "203.0.113.9:4000", "[2001:db8::10]:5000")
	l.leg("and back", inside, "[2001:db8::10]:5000", "203.0.113.9:4000")
}
