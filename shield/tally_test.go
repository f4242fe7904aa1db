package shield

import (
	"testing"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/protocol"
)

func TestTheLoudestSourcesAreFoundInAFloodOfSingleOnes(t *testing.T) {
	const limit, loud = 64, 10
	tally := newTally(limit)
	for round := range 1000 {
		for k := range judge.Key(loud) {
			tally.add(k+1, protocol.Seen{Packets: 64, Verdict: "passed"})
		}
		for i := range 50 {
			tally.add(judge.Key(1_000_000+round*50+i), protocol.Seen{Packets: 64})
		}
	}
	if n := len(tally.seen); n > limit {
		t.Fatalf("%d sources are kept, at most %d", n, limit)
	}
	top := tally.top()
	for _, s := range top[:loud] {
		if s.Verdict != "passed" {
			t.Errorf("among the first %d is a source that came once: %+v", loud, s)
		}
		if s.Packets < 64_000 {
			t.Errorf("a loud source counts %d packets, it sent 64000", s.Packets)
		}
	}
}

func TestTheListOfNowForgets(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := newRecent(8, 5*time.Second, start)
	r.add(1, protocol.Seen{Packets: 64, Address: addr("192.0.2.1")}, start)
	r.add(1, protocol.Seen{Packets: 64, Address: addr("192.0.2.1")}, start.Add(6*time.Second))
	list, over := r.top(start.Add(7 * time.Second))
	if len(list) != 1 || list[0].Packets != 128 {
		t.Errorf("two periods have %+v", list)
	}
	if over != 6*time.Second {
		t.Errorf("they are said to be %v", over)
	}
	if list, _ := r.top(start.Add(12 * time.Second)); len(list) != 1 || list[0].Packets != 64 {
		t.Errorf("a period later there are %+v", list)
	}
	if list, _ := r.top(start.Add(time.Minute)); len(list) != 0 {
		t.Errorf("a minute later there are %+v", list)
	}
}

func TestAFloodOfStrangersFillsNoReport(t *testing.T) {
	now := time.Now()
	n := newNotes(now)
	for k := range judge.Key(100_000) {
		n.add(k+1, protocol.Seen{Packets: 64}, now)
	}
	if len(n.report) != maxSeen || n.unseen != (100_000-maxSeen)*64 {
		t.Errorf("%d sources in a report, %d packets of others", len(n.report), n.unseen)
	}
	first := n.take()
	n.add(1, protocol.Seen{Packets: 64, Verdict: "passed"}, now)
	n.giveBack(first)
	if len(n.report) != maxSeen || n.report[1].Packets != 128 || n.report[1].Verdict != "passed" {
		t.Errorf("given back: %d sources, %+v", len(n.report), n.report[1])
	}
}
