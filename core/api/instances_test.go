package api_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/shield/protocol"
)

func statsOf(k *service) api.Stats { return do[api.Stats](k, 200, "GET", "/shield/stats", "") }

// Two nodes that go by one name are two in stats, with a note each; a node that was
// restarted is one.
func TestTwoNodesOfOneName(t *testing.T) {
	k := start(t)
	counters := func(n uint64) []protocol.Counter {
		return []protocol.Counter{{Country: "ES", Verdict: "passed", Packets: n}}
	}
	say := func(instance string, packets uint64) {
		k.report("edge1", protocol.Report{Role: "edge", Instance: instance, Counters: counters(packets)})
	}
	say("first", 100)
	say("second", 7) // the first was killed, and came back as this
	if s := statsOf(k); len(s.Nodes) != 1 || s.Nodes[0].Instance != "second" || len(s.Nodes[0].Notes) != 0 || s.Counters[0].Packets != 7 {
		t.Fatalf("after a restart: %+v %+v", s.Nodes, s.Counters)
	}
	say("first", 100) // no, it is another
	s := statsOf(k)
	if len(s.Nodes) != 2 || s.Counters[0].Packets != 107 {
		t.Fatalf("two of one name: %+v %+v", s.Nodes, s.Counters)
	}
	for _, n := range s.Nodes {
		if n.Address != "127.0.0.1" || len(n.Notes) != 1 || !strings.HasPrefix(n.Notes[0], "another node goes by this name too, at 127.0.0.1") {
			t.Errorf("%+v", n)
		}
	}
	if n := strings.Count(k.log.String(), "a node wants attention"); n != 1 {
		t.Errorf("said %d times\n%s", n, k.log)
	}
	say("first", 101)
	say("second", 8)
	if n := strings.Count(k.log.String(), "a node wants attention"); n != 2 { // once of each
		t.Errorf("said %d times\n%s", n, k.log)
	}
	// Both are asked, and both answers count.
	done := make(chan []protocol.Explanation, 1)
	go func() {
		done <- do[[]protocol.Explanation](k, 200, "GET", "/shield/explain?address=192.0.2.1&node=edge1", "")
	}()
	for _, instance := range []string{"first", "second"} {
		var q protocol.Question
		eventually(t, "asked", func() bool {
			o := k.watchAs("edge1", instance)
			if len(o.Questions) > 0 {
				q = o.Questions[0]
			}
			return len(o.Questions) > 0
		})
		k.report("edge1", protocol.Report{Instance: instance, Answers: []protocol.Explanation{{ID: q.ID, Address: q.Address, Verdict: "passed", Rule: instance}}})
	}
	if got := <-done; len(got) != 2 || got[0].Node != "edge1 at 127.0.0.1" || got[0].Rule == got[1].Rule {
		t.Errorf("answers: %+v", got)
	}
}

// A node whose clock is wrong bans for as long as it means to, and people are told.
func TestAClockThatIsWrongTakesNoBanAway(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"slow": -time.Hour, "fast": time.Hour, "of 1970": -time.Since(time.Unix(3600, 0)), "of the future": 20 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			k := start(t)
			theirs := time.Now().Add(ahead)
			k.report("edge1", protocol.Report{Now: theirs, Banned: []protocol.Ban{
				{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Reason: "x", Since: theirs, Until: theirs.Add(10 * time.Minute), Proven: true}}})
			all := do[[]protocol.Ban](k, 200, "GET", "/shield/bans", "")
			if len(all) != 1 {
				t.Fatalf("%d bans", len(all))
			}
			if left := time.Until(all[0].Until); left < 9*time.Minute || left > 11*time.Minute {
				t.Errorf("it ends in %v, was made for 10 minutes", left)
			}
			s := statsOf(k)
			if n := s.Nodes[0]; (time.Duration(n.ClockAhead*float64(time.Second))-ahead).Abs() > time.Second || len(n.Notes) != 1 || !strings.Contains(n.Notes[0], "clock") {
				t.Errorf("%+v", n)
			}
			if !strings.Contains(k.log.String(), "clock") {
				t.Errorf("the log says nothing\n%s", k.log)
			}
		})
	}
}

// Core says what its clock says with whatever it says.
func TestOrdersHaveTheTime(t *testing.T) {
	k := start(t)
	if o := k.watch("edge1", 0, ""); time.Since(o.Now).Abs() > 5*time.Second {
		t.Errorf("core's clock: %v", o.Now)
	}
}
