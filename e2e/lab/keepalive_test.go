package lab

import (
	"testing"
	"time"
)

// window is how long the homes' NATs remember an idle UDP mapping. Real ones take
// 30 s and more; the default keep-alive of 25 s is made for those.
const window = 5 * time.Second

func TestAPhoneThatIsIdleForLongStillReceivesCalls(t *testing.T) {
	for _, mapping := range []Mapping{Preserving, Random} {
		t.Run(string(mapping), func(t *testing.T) {
			l := New(t)
			b := startBorder(t, l.Server("server", serverAddr), "{udp: 2s}")
			nat := NAT{Mapping: mapping, UDPWindow: window}
			aliceHome, bobHome := l.Home("alice", aliceHome, nat), l.Home("bob", bobHome, nat)
			bob := StartBaresip(t, bobHome.Phone, b.phone(t, "102", "udp"))
			alice := StartBaresip(t, aliceHome.Phone, b.phone(t, "101", "udp"))
			if forgotten(bobHome, 3*window) {
				t.Fatal("the NAT forgot the phone")
			}
			talk(t, alice, bob)
		})
	}
}

// The counterpart, which shows that the test above tests something.
func TestWithoutKeepAliveAnIdlePhoneIsLost(t *testing.T) {
	l := New(t)
	b := startBorder(t, l.Server("server", serverAddr), "{off: true}")
	aliceHome := l.Home("alice", aliceHome, NAT{Mapping: Preserving}) // she must hear the refusal
	bobHome := l.Home("bob", bobHome, NAT{Mapping: Preserving, UDPWindow: window})
	bob := StartBaresip(t, bobHome.Phone, b.phone(t, "102", "udp"))
	alice := StartBaresip(t, aliceHome.Phone, b.phone(t, "101", "udp"))
	if !forgotten(bobHome, 3*window) {
		t.Fatal("the mapping lives on, though nothing keeps it")
	}
	alice.Say("/dial sip:102@demo.lindero.test")
	alice.Await("session closed", 1, 90*time.Second)
	if bob.count("Call established") > 0 || alice.count("Call established") > 0 {
		t.Error("the call arrived through a mapping that is gone")
	}
}

// forgotten watches a home's mapping towards the border for so long, and tells
// whether it went.
func forgotten(h *Home, long time.Duration) bool {
	end := time.After(long)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if h.Router.Mappings(5060) == 0 {
			return true
		}
		select {
		case <-tick.C:
		case <-end:
			return false
		}
	}
}
