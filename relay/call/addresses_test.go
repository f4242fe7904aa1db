package call_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/relay/call"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// What can never be sent to is not, whoever vouches for it; and is refused when
// that was asked for.
func TestAddressesThatAreNeverSentTo(t *testing.T) {
	for host, never := range map[string]bool{
		"127.0.0.1": true, "224.0.0.1": true, "233.252.0.1": true, "255.255.255.255": true, "0.1.2.3": true,
		"198.51.100.1": true, "10.1.0.1": true, // ours, and no call has that port
		"203.0.113.9": false, "192.168.1.2": false, "10.9.9.9": false, "169.254.1.1": false,
	} {
		for _, policy := range []call.Policy{call.Prove, call.Refuse, call.Trust} {
			t.Run(fmt.Sprint(host, " ", policy), func(t *testing.T) {
				l := newLab(t, func(c *call.Config) { c.Addresses = policy })
				m := offer(host, host)
				m.SDP, m.Trust = body(host, 30001), true
				out, err := l.Offer(m)
				if refuse := never && policy == call.Refuse; refuse != (err != nil) {
					t.Fatalf("refused: %v", err)
				} else if refuse {
					if !strings.Contains(err.Error(), host) || l.live() != 0 {
						t.Errorf("%v; %d calls", err, l.live())
					}
					return
				}
				l.atIn, l.atIn2 = l.must(out, nil)("10.2.0.1")
				l.answer(answer())
				if got := l.table.leg(l.atIn).To.IsValid(); got == never {
					t.Errorf("sent to: %v", got)
				}
			})
		}
	}
}

// Whose word counts for an address that signalling did not come from.
func TestWhoseWordCounts(t *testing.T) {
	const claimed = "198.51.100.99"
	for name, c := range map[string]struct {
		policy        call.Policy
		trust, source bool
		to            string
	}{
		"nobody's":                       {to: ""},
		"the proxy says so":              {trust: true, to: claimed + ":4000"},
		"the relay believes":             {policy: call.Trust, to: claimed + ":4000"},
		"the proxy says it does not":     {policy: call.Trust, source: true, to: natted + ":4000"},
		"only where signalling is from":  {source: true, to: natted + ":4000"},
		"refusing does not mean to wait": {policy: call.Refuse, trust: true, to: claimed + ":4000"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(cfg *call.Config) { cfg.Addresses = c.policy })
			m := offer(claimed, natted)
			m.Trust, m.Source = c.trust, c.source
			l.offer(m)
			l.answer(answer())
			l.leg("from inside", l.atIn, "10.2.0.9:5000", c.to)
		})
	}
}

// Interfaces by name, family and turn.
func TestFaces(t *testing.T) {
	b := newTable()
	l, _ := newRegistry(t, b, func(c *call.Config) {
		for _, a := range []string{"10.3.0.1", "10.3.0.2", "2001:db8::1"} {
			c.Interfaces = append(c.Interfaces, face(b, "many", a, a, 30200))
		}
	})
	at := func(m call.Message) string {
		t.Helper()
		out, err := l.Offer(m)
		if err != nil {
			return err.Error()
		}
		return strings.Fields(string(out))[3]
	}
	ask := func(id, name string, family call.Family) call.Message {
		m := offer(natted, natted)
		m.CallID, m.Direction[1], m.Family = id, name, family
		return m
	}
	turns := map[string]int{}
	for i := range 4 {
		turns[at(ask(fmt.Sprint(i), "many", call.AnyFamily))]++
	}
	if turns["10.3.0.1"] != 2 || turns["10.3.0.2"] != 2 {
		t.Errorf("in turns: %v", turns)
	}
	if got := at(ask("six", "many", call.IPv6)); got != "2001:db8::1" {
		t.Errorf("IPv6 is at %s", got)
	}
	if got := at(ask("no six", "internal", call.IPv6)); !strings.Contains(got, "no address of family IP6") {
		t.Error(got)
	}
	if got := at(ask("unknown", "nowhere", call.AnyFamily)); got != `unknown interface "nowhere"` {
		t.Error(got)
	}
	if got := at(ask("first", "", call.AnyFamily)); got != "198.51.100.1" {
		t.Errorf("the default is at %s", got)
	}
	// A re-offer in the dialogue stays where it is, whatever it asks for.
	m := ask("six", "internal", call.AnyFamily)
	if got := at(m); got != "2001:db8::1" {
		t.Errorf("moved to %s", got)
	}
}
