package api

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/shield/protocol"
)

func look() (notice, <-chan struct{}) {
	return notice{policyJSON: []byte("{}"), bansJSON: []byte("[]")}, nil
}

// told is heard of a node that has one process.
func (n *nodes) told(name string, r protocol.Report) error {
	_, err := n.heard(speaker{nodeKey: nodeKey{name: name}}, r)
	return err
}

// A node that is silent is shown as gone after a minute and forgotten after a day;
// one that waits is there, however long nobody has anything for it.
func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes()
		if err := n.told("edge1", protocol.Report{Role: "edge", Counters: []protocol.Counter{{Country: "ES", Verdict: "passed", Packets: 5}}}); err != nil {
			t.Fatal(err)
		}
		gone := func() (gone bool) {
			for _, s := range n.status() {
				gone = gone || s.Gone
			}
			return gone
		}
		<-time.After(59 * time.Second)
		if gone() || len(n.totals()) != 1 {
			t.Error("gone before a minute")
		}
		<-time.After(2 * time.Second)
		if !gone() || len(n.totals()) != 0 {
			t.Error("not gone after a minute")
		}
		if asked := n.ask("", protocol.Question{ID: "x"}, time.Now().Add(time.Second)); len(asked) != 0 {
			t.Errorf("%v are asked", asked)
		}
		<-time.After(23 * time.Hour)
		n.forget(time.Now())
		if len(n.status()) != 1 {
			t.Error("forgotten before a day")
		}
		<-time.After(time.Hour)
		n.forget(time.Now())
		if len(n.status()) != 0 {
			t.Error("not forgotten after a day")
		}

		began := time.Now()
		orders, err := n.watch(t.Context(), speaker{nodeKey: nodeKey{name: "edge1"}}, protocol.Watch{BansRevision: "b0"}, look)
		if err != nil || !strings.HasPrefix(string(orders), `{"now":"`) || strings.Contains(string(orders), "policy") || time.Since(began) != protocol.Hold {
			t.Errorf("held for %v: %s %v", time.Since(began), orders, err)
		}
	})
}

func TestWatchEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := n.watch(ctx, speaker{nodeKey: nodeKey{name: "edge1"}}, protocol.Watch{BansRevision: "b0"}, look); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("held for %v: %v", time.Since(began), err)
		}
	})
}

// A question that nobody waits for any more is not asked, and they do not pile up.
func TestQuestionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes()
		if err := n.told("edge1", protocol.Report{}); err != nil {
			t.Fatal(err)
		}
		for i := range 2 * maxQuestions {
			n.ask("", protocol.Question{ID: fmt.Sprint(i), Address: netip.MustParseAddr("192.0.2.1")}, time.Now().Add(time.Second))
		}
		if got := len(n.byName["edge1"][0].questions); got != maxQuestions {
			t.Errorf("%d questions wait", got)
		}
		<-time.After(2 * time.Second)
		n.ask("", protocol.Question{ID: "new", Address: netip.MustParseAddr("192.0.2.1")}, time.Now().Add(time.Second))
		orders, err := n.watch(t.Context(), speaker{nodeKey: nodeKey{name: "edge1"}}, protocol.Watch{BansRevision: "b0"}, look)
		if err != nil || strings.Contains(string(orders), `"id"`) && strings.Count(string(orders), `"id"`) != 1 {
			t.Errorf("orders %s %v", orders, err)
		}
	})
}

func TestNodesAreBounded(t *testing.T) {
	n := newNodes()
	for i := range maxNodes {
		if err := n.told(fmt.Sprint("n", i), protocol.Report{}); err != nil {
			t.Fatal(err)
		}
	}
	if n.told("one more", protocol.Report{}) == nil {
		t.Error("one more was taken")
	}
	if _, err := n.watch(t.Context(), speaker{nodeKey: nodeKey{name: "one more"}}, protocol.Watch{}, look); err == nil {
		t.Error("one more may wait")
	}
	if err := n.told("n7", protocol.Report{}); err != nil {
		t.Errorf("one that is known: %v", err)
	}
}

// Packets a second are measured over a second, whatever the number of reports, and
// a filter that counts from zero again is no traffic.
func TestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes()
		report := func(packets uint64) float64 {
			err := n.told("edge1", protocol.Report{Counters: []protocol.Counter{{Country: "ES", Verdict: "passed", Packets: packets}}})
			if err != nil {
				t.Fatal(err)
			}
			return n.totals()[0].PerSecond
		}
		report(1000)
		<-time.After(100 * time.Millisecond)
		if got := report(2000); got != 0 {
			t.Errorf("%v after a tenth of a second", got)
		}
		<-time.After(900 * time.Millisecond)
		if got := report(1500); got != 500 {
			t.Errorf("%v packets a second, want 500", got)
		}
		<-time.After(2 * time.Second)
		if got := report(3); got != 0 {
			t.Errorf("%v after the filter began anew", got)
		}
	})
}

// A flood from made-up addresses pushes out its own kind and nobody who talks.
func TestSourcesAreBounded(t *testing.T) {
	now := time.Now()
	s := newSources(1000)
	saw := func(addr netip.Addr, packets uint64, at time.Time) {
		s.saw([]protocol.Seen{{Address: addr, Country: "ES", Class: "known", Service: "sip", Verdict: "passed", Packets: packets}}, at)
	}
	for i := range 100 {
		saw(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1000, now)
	}
	for i := range 50_000 {
		saw(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 64, now.Add(time.Duration(i)))
	}
	n, forgotten := s.count()
	if n > 1000 || int(forgotten)+n != 50_100 {
		t.Errorf("%d kept, %d forgotten", n, forgotten)
	}
	talkers := 0
	for _, one := range s.busiest(now.Add(time.Minute), 100) {
		if one.Packets == 1000 {
			talkers++
		}
	}
	if talkers != 100 {
		t.Errorf("%d of 100 who talk are left", talkers)
	}

	// Many that are worth the same do not all go at once.
	s = newSources(1000)
	for i := range 1001 {
		saw(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 64, now)
	}
	if n, forgotten := s.count(); n != 901 || forgotten != 100 {
		t.Errorf("%d kept, %d forgotten of 1001", n, forgotten)
	}

	s = newSources(1000)
	saw(netip.MustParseAddr("192.0.2.7"), 1, now)
	saw(netip.MustParseAddr("192.0.2.1"), 1, now.Add(2*time.Hour))
	s.forget(now.Add(2 * time.Hour))
	if n, _ := s.count(); n != 1 {
		t.Errorf("%d are left of two hours ago", n-1)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1204: "1,204", 100000: "100,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

func TestOneSource(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "192.0.2.1/32": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "2001:db8::/64": "2001:db8::/64",
		"::ffff:192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1/128": "192.0.2.1/32", "fe80::1%eth0": "fe80::/64",
		"192.0.2.0/24": "", "2001:db8::/48": "", "2001:db8::1/64": "", "2001:db8::1/128": "", "x": "", "": "", "::ffff:0:0/64": "",
	} {
		got, ok := parseSource(in)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q is %v %v, want %q", in, got, ok, want)
		}
	}
}

// A node that crashes all the time, or somebody who lies about being many, takes the
// place of no other node.
func TestProcessesOfOneNameAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes()
		for i := range 10 * maxNodes {
			if _, err := n.heard(speaker{nodeKey: nodeKey{"edge1", fmt.Sprint(i)}}, protocol.Report{}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		if n.count > maxRivals || len(n.byName["edge1"]) != n.count {
			t.Errorf("%d processes, of one name %d", n.count, len(n.byName["edge1"]))
		}
		if s := n.status(); len(s) != 1 || s[0].Instance != fmt.Sprint(10*maxNodes-1) || len(s[0].Notes) != 0 {
			t.Errorf("shown: %+v", s)
		}
		<-time.After(nodeForgotten + time.Second)
		n.forget(time.Now())
		if n.count != 0 || len(n.byName) != 0 {
			t.Errorf("%d are remembered", n.count)
		}
	})
}
