package shield

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// fakeRelay has one session for each Call-ID it is asked for that begins with c.
type fakeRelay struct {
	mu    sync.Mutex
	ended []session.Session
}

func sessionOf(callID string) session.Session {
	leg := session.Leg{Tag: "a", History: []session.Point{{At: time.Now()}}}
	return session.Session{Relay: "r1", CallID: callID, Created: time.Now(), Streams: []session.Stream{{Kind: "audio", Legs: [2]session.Leg{leg, leg}}}}
}

func (r *fakeRelay) Sessions(callID string, limit int) []session.Session {
	if callID[0] != 'c' || limit < 1 {
		return nil
	}
	return []session.Session{sessionOf(callID)}
}

func (r *fakeRelay) Ended() []session.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.ended
	r.ended = nil
	return all
}

func (r *fakeRelay) end(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.ended = append(r.ended, sessionOf(id))
	}
}

func TestQuestionsAboutCallsAreAnsweredByTheRelay(t *testing.T) {
	core := newFakeCore()
	relay := &fakeRelay{}
	g := guard(t, core.serve(t))
	g.Carry("r1", relay)
	run(t, g)
	began := time.Now()
	core.set(func(c *fakeCore) {
		c.calls = []protocol.CallsQuestion{{ID: "q1", CallIDs: []string{"c1", "x", "c2"}}, {ID: "q2", CallIDs: []string{"c3"}, History: true}}
	})
	r := core.reported(t, "answers", func(r protocol.Report) bool { return len(r.Calls) > 0 })
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("the answer took %v: it waited for a report that was due", took)
	}
	if r.Relay != "r1" || len(r.Calls) != 2 || r.Calls[0].ID != "q1" || len(r.Calls[0].Sessions) != 2 || len(r.Calls[1].Sessions) != 1 {
		t.Fatalf("the report is %+v", r)
	}
	if n := len(r.Calls[0].Sessions[0].Streams[0].Legs[0].History); n != 0 {
		t.Errorf("%d points of history that nobody asked for", n)
	}
	if n := len(r.Calls[1].Sessions[0].Streams[0].Legs[1].History); n != 1 {
		t.Errorf("%d points of history that were asked for", n)
	}
}

func TestANodeWithoutARelaySaysNothingOfCalls(t *testing.T) {
	core := newFakeCore()
	g, _ := running(t, core.serve(t))
	core.set(func(c *fakeCore) { c.calls = []protocol.CallsQuestion{{ID: "q1", CallIDs: []string{"c1"}}} })
	for range 2 {
		r := core.reported(t, "a report", func(protocol.Report) bool { return true })
		if r.Relay != "" || len(r.Calls) != 0 || len(r.Ended) != 0 {
			t.Errorf("the report is %+v", r)
		}
	}
	if g.calls.ask(protocol.CallsQuestion{ID: "q2"}) {
		t.Error("a question was kept that nobody will answer")
	}
}

func TestLastWordsAreToldUntilCoreTakesThem(t *testing.T) {
	core := newFakeCore()
	relay := &fakeRelay{}
	g := guard(t, core.serve(t))
	g.Carry("r1", relay)
	core.set(func(c *fakeCore) { c.down = true })
	stop := run(t, g)
	relay.end("c1", "c2")
	eventually(t, "a report failed", func() bool { return g.tallied.reportFaults.Load() > 0 })
	relay.end("c3")
	core.set(func(c *fakeCore) { c.down = false })
	r := core.reported(t, "last words", func(r protocol.Report) bool { return len(r.Ended) > 0 })
	told := map[string]int{}
	for told["c3"] == 0 {
		for _, s := range r.Ended {
			told[s.CallID]++
			if len(s.Streams[0].Legs[0].History) != 0 {
				t.Error("a last word has a history")
			}
		}
		r = core.reported(t, "the next report", func(protocol.Report) bool { return true })
	}
	if fmt.Sprint(told) != "map[c1:1 c2:1 c3:1]" || g.calls.untold() {
		t.Errorf("told %v", told)
	}
	relay.end("c4")
	stop()
	if g.calls.untold() {
		t.Error("what the relay said last, nobody heard")
	}
}

func TestLastWordsAreBounded(t *testing.T) {
	c := &carried{calls: &fakeRelay{}}
	for i := range maxEndedKept + 5 {
		c.calls.(*fakeRelay).end(fmt.Sprint("c", i))
	}
	var r protocol.Report
	if given := c.tell(&r); given != maxEndedTold || len(r.Ended) != maxEndedTold || r.Ended[0].CallID != "c5" || c.endedLost() != 5 {
		t.Errorf("%d told, the first %s; %d lost", given, r.Ended[0].CallID, c.endedLost())
	}
	c.took(maxEndedTold)
	if c.tell(&r); r.Ended[0].CallID != fmt.Sprint("c", 5+maxEndedTold) {
		t.Errorf("then %s", r.Ended[0].CallID)
	}
}
