package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/ng"
)

func TestNamedInterfaces(t *testing.T) {
	for in, bad := range map[string]bool{
		"pub/198.51.100.7": false, "pub/198.51.100.7!203.0.113.7": false, "six/2001:db8::1": false,
		"198.51.100.7": true, "/198.51.100.7": true, "pub/": true, "pub/host": true, "a b/198.51.100.7": true,
	} {
		var n relay.Named
		if err := n.UnmarshalText([]byte(in)); (err != nil) != bad {
			t.Errorf("%q: %v", in, err)
		} else if out, _ := n.MarshalText(); !bad && string(out) != in {
			t.Errorf("%q is written %q", in, out)
		}
	}
	var p call.Policy
	for in, bad := range map[string]bool{"prove": false, "refuse": false, "trust": false, "": true, "always": true} {
		if err := p.UnmarshalText([]byte(in)); (err != nil) != bad {
			t.Errorf("%q: %v", in, err)
		} else if out, _ := p.MarshalText(); !bad && string(out) != in {
			t.Errorf("%q is written %q", in, out)
		}
	}
}

func TestFaultsOfInterfaces(t *testing.T) {
	for text, fault := range map[string]string{
		"pub/0.0.0.0":                  "not an address packets can be sent from",
		"pub/198.51.100.7!2001:db8::1": "another family",
	} {
		c := relay.DefaultConfig()
		var n relay.Named
		if err := n.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		c.Interfaces = []relay.Named{n}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "interfaces[0]: ") || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", text, err)
		}
		c.Interfaces = []relay.Named{n, n}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "interfaces[1]: there twice") {
			t.Errorf("%s twice: %v", text, err)
		}
	}
	c := relay.DefaultConfig()
	for range 15 {
		c.Interfaces = append(c.Interfaces, relay.Named{Name: "pub", Interface: c.External})
	}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "17 addresses; at most 16") {
		t.Error(err)
	}
	c = relay.DefaultConfig()
	if c.DeleteDelay = relay.Duration(time.Hour); c.Validate() == nil {
		t.Error("a delete may wait for an hour")
	}
}

// The first of interfaces is the default; external and internal stay beside it.
func TestInterfacesBesideExternalAndInternal(t *testing.T) {
	g := newRig(t, func(c *relay.Config) {
		var n relay.Named
		if err := n.UnmarshalText([]byte("third/127.0.0.4!203.0.113.4")); err != nil {
			t.Fatal(err)
		}
		c.Interfaces = []relay.Named{n}
	})
	for direction, want := range map[[2]string]string{
		{}: "203.0.113.4", {"", "internal"}: "127.0.0.3", {"third", "external"}: "127.0.0.2", {"internal", "third"}: "203.0.113.4",
	} {
		c := ng.Command{Name: ng.Offer, CallID: "to " + want + direction[0], FromTag: "a", SDP: bodyOf(phoneA, audio), Direction: direction}
		p := newPhone(t, inside)
		p.hear(g.do(c, ng.ResultOK).SDP)
		if got := p.peer.Addr().String(); got != want {
			t.Errorf("%v is told %s, not %s", direction, got, want)
		}
	}
}

// What is asked for in vain is said, and the call goes on; what would be unsafe to
// ignore is refused.
func TestWhatIsNotDone(t *testing.T) {
	g := newRig(t)
	c := offer(newPhone(t, outside), outside)
	c.ICE, c.T38, c.Flags = ng.ICEForce, []string{"decode"}, []string{ng.FlagSingleCodec, ng.FlagStrictSource}
	if r := g.do(c, ng.ResultOK); r.Warning != "not done here: ICE=force, single-codec, t38=decode" {
		t.Errorf("warning %q", r.Warning)
	}
	for reason, c := range map[string]ng.Command{
		"SRTP and DTLS end at the edge":     {Name: ng.Offer, CallID: "1", FromTag: "a", SDP: bodyOf(phoneA, "m=audio 4000 RTP/SAVP 0")},
		"SRTP and DTLS end at the edge,":    {Name: ng.Offer, CallID: "2", FromTag: "a", SDP: bodyOf(phoneA, "m=audio 4000 UDP/TLS/RTP/SAVPF 0")},
		"transport-protocol RTP/SAVP: this": {Name: ng.Offer, CallID: "3", FromTag: "a", SDP: bodyOf(phoneA, audio), Transport: "RTP/SAVP"},
		"a relay has no voice":              {Name: ng.PlayMedia, CallID: "4", FromTag: "a"},
		`unknown interface "nowhere"`:       {Name: ng.Offer, CallID: "5", FromTag: "a", SDP: bodyOf(phoneA, audio), Direction: [2]string{"nowhere", "internal"}},
		"no address of family IP6":          {Name: ng.Offer, CallID: "6", FromTag: "a", SDP: bodyOf(phoneA, audio), Family: ng.FamilyIPv6},
	} {
		if r := g.do(c, ng.ResultError); !strings.Contains(r.ErrorReason, strings.TrimSuffix(reason, ",")) {
			t.Errorf("%q, not %q", r.ErrorReason, reason)
		}
	}
}
