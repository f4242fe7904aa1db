package call_test

import (
	"net/netip"
	"testing"

	"github.com/lindero/lindero/relay/call"
)

// Where packets go and whom they are believed from, before anything was heard.
func TestBeforeAnythingIsLearned(t *testing.T) {
	for name, c := range map[string]struct {
		sdp, received string
		trust         bool
		to            string // where packets for the phone outside go
		exact, learn  string // who may teach
	}{
		"not behind a NAT":         {sdp: natted, received: natted, to: natted + ":4000", exact: natted + ":4000", learn: natted},
		"behind a NAT":             {sdp: "192.168.1.2", received: natted, exact: "192.168.1.2:4000", learn: natted},
		"a victim's address":       {sdp: "198.51.100.99", received: natted, exact: "198.51.100.99:4000", learn: natted},
		"a carrier we trust":       {sdp: "198.51.100.99", received: natted, trust: true, to: "198.51.100.99:4000", exact: "198.51.100.99:4000", learn: "198.51.100.99"},
		"hold from the first":      {sdp: "0.0.0.0", received: natted},
		"multicast":                {sdp: "233.252.0.1", received: natted, learn: natted},
		"a host name":              {sdp: "phone.example.test", received: natted, learn: natted},
		"our own network's phones": {sdp: "10.1.0.77", to: "10.1.0.77:4000"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := offer(c.sdp, c.received)
			m.Trust = c.trust
			l.offer(m)
			l.answer(answer())
			from := ""
			if c.received == "" {
				from = c.to
			}
			l.leg("from outside", l.atOut, from, "10.2.0.9:5000")
			l.leg("from inside", l.atIn, "10.2.0.9:5000", c.to)
			got := l.table.leg(l.atOut)
			learn := netip.Addr{}
			if c.learn != "" {
				learn = netip.MustParseAddr(c.learn)
			}
			if got.Exact != addrPort(c.exact) || got.Learn != learn {
				t.Errorf("taught by %v and any port of %v, want %q and %q", got.Exact, got.Learn, c.exact, c.learn)
			}
		})
	}
}

func TestLatching(t *testing.T) {
	const sdp, nat, neighbour = "192.168.1.2:4000", natted + ":61000", natted + ":62000"
	type packet struct {
		from string
		yes  bool
	}
	for name, c := range map[string]struct {
		inWindow, after []packet
		source          string
	}{
		"the first of the NAT":            {[]packet{{nat, true}, {neighbour, false}}, []packet{{neighbour, false}}, nat},
		"the SDP's own":                   {[]packet{{sdp, true}, {nat, false}}, nil, sdp},
		"the SDP's own corrects":          {[]packet{{nat, true}, {sdp, true}, {nat, false}}, nil, sdp},
		"but not later":                   {[]packet{{nat, true}}, []packet{{sdp, false}}, nat},
		"a stranger teaches nothing":      {[]packet{{"203.0.113.10:4000", false}, {"192.168.1.2:4001", false}, {nat, true}}, nil, nat},
		"silence does not close anything": {nil, []packet{{nat, true}}, nat},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.offer(offer("192.168.1.2", natted))
				l.answer(answer())
				for _, packets := range [][]packet{c.inWindow, c.after} {
					for _, p := range packets {
						if got := l.Learn(l.atOut, addrPort(p.from)); got != p.yes {
							t.Errorf("%s is believed: %v, want %v", p.from, got, p.yes)
						}
					}
					l.after(latch + 1)
				}
				l.leg("from outside", l.atOut, c.source, "10.2.0.9:5000")
				l.leg("from inside", l.atIn, "10.2.0.9:5000", c.source)
				l.leg("RTCP is learned apart", l.atOut2, "", "10.2.0.9:5001")
				if !l.Learn(l.atOut2, addrPort(natted+":61001")) {
					t.Error("RTCP is not learned")
				}
				l.leg("RTCP from inside", l.atIn2, "10.2.0.9:5001", natted+":61001")
			})
		})
	}
}

func TestAnAddressChangedBeginsAnew(t *testing.T) {
	const nat = natted + ":61000"
	for name, c := range map[string]struct {
		again    call.Message
		from, to string // then
	}{
		"the same":               {offer("192.168.1.2", natted), nat, nat},
		"another port":           {func() call.Message { m := offer("", natted); m.SDP = body("192.168.1.2", 4002); return m }(), "", ""},
		"another address":        {offer("192.168.1.3", natted), "", ""},
		"another network":        {offer("192.168.1.2", "203.0.113.77"), "", ""},
		"an address that proves": {offer(natted, natted), "", natted + ":4000"},
		"hold":                   {offer("0.0.0.0", natted), nat, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.offer(offer("192.168.1.2", natted))
			l.answer(answer())
			if !l.Learn(l.atOut, addrPort(nat)) {
				t.Fatal("not learned")
			}
			out, in := l.atOut, l.atIn
			l.offer(c.again)
			l.answer(answer())
			if l.atOut != out || l.atIn != in {
				t.Errorf("ports %v %v became %v %v", out, in, l.atOut, l.atIn)
			}
			l.leg("from outside", l.atOut, c.from, "10.2.0.9:5000")
			l.leg("from inside", l.atIn, "10.2.0.9:5000", c.to)
		})
	}
}

func TestACallDoesNotHearItself(t *testing.T) {
	l := newLab(t)
	l.offer(offer("192.168.1.2", "10.2.0.1")) // signalling came from our own address
	l.answer(answer())
	if l.Learn(l.atOut, l.atIn) {
		t.Error("a call believes its own port")
	}
	m := offer("", "10.2.0.1")
	m.SDP = body("10.2.0.1", int(l.atIn.Port()))
	l.offer(m)
	l.leg("from inside", l.atIn, "10.2.0.9:5000", "")
}

// Two calls whose inner sides are each other's peers, one of which names the
// address that only the outside sees.
func TestOurAdvertisedAddressStandsForTheOneBehindIt(t *testing.T) {
	l := newLab(t)
	first := call.Message{CallID: "first", FromTag: "z", SDP: body("10.2.0.9", 6000), Direction: [2]string{"internal", "external"}}
	joined, _ := l.must(l.Offer(first))("10.1.0.1")
	m := answer()
	m.SDP = body("198.51.100.1", int(joined.Port()))
	l.offer(offer(natted, natted))
	l.answer(m)
	l.leg("from outside", l.atOut, "", joined.String())
}

// A port of ours that no call has is nobody's.
func TestOurPortsWithoutACallAreNotSentTo(t *testing.T) {
	for _, host := range []string{"198.51.100.1", "10.1.0.1", "10.2.0.1"} {
		l := newLab(t)
		l.offer(offer(natted, natted))
		m := answer()
		m.SDP = body(host, 30399)
		l.answer(m)
		l.leg("from outside to "+host, l.atOut, "", "")
	}
}

func TestARefusedStreamIsSilent(t *testing.T) {
	l := newLab(t)
	l.offer(offer(natted, natted))
	l.answer(answer())
	m := answer()
	m.SDP = body("10.2.0.9", 0)
	if _, err := l.Answer(m); err != nil {
		t.Fatal(err)
	}
	l.leg("from outside", l.atOut, "", "")
	l.leg("from inside", l.atIn, "", natted+":4000")
}
