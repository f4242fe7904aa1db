package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// A bubbleCore is core inside a synctest bubble, where no socket may be: it answers
// by calls. At each moment it does what do says.
type bubbleCore struct {
	mu      sync.Mutex // guards the fields below
	do      func(path string, body []byte) (any, error)
	watched []time.Time
	told    []time.Time
}

func (c *bubbleCore) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	do := c.do
	if strings.HasSuffix(r.URL.Path, "/watch") {
		c.watched = append(c.watched, time.Now())
	} else {
		c.told = append(c.told, time.Now())
	}
	c.mu.Unlock()
	v, err := do(r.URL.Path, body)
	if err != nil {
		return nil, err
	}
	if v == nil { // hold it, as core does with nothing to say
		hold := time.NewTimer(protocol.Hold)
		defer hold.Stop()
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-hold.C:
			v = protocol.Orders{}
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(text)), Header: http.Header{}, Request: r}, nil
}

func (c *bubbleCore) set(do func(path string, body []byte) (any, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.do = do
}

func (c *bubbleCore) calls() (watched, told []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watched, c.told
}

// inBubble runs a guard in a bubble against core, and ends it.
func inBubble(t *testing.T, core *bubbleCore, test func(t *testing.T, g *Guard)) {
	cfg := testConfig(t)
	cfg.Core = "http://core.invalid"
	synctest.Test(t, func(t *testing.T) {
		g, err := New(cfg, "edge-1", "edge", quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.core.http.Transport = core
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		synctest.Wait()
		test(t, g)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}) // a goroutine that is left blocks the bubble's end, and fails the test
}

func TestACoreThatIsAwayIsAskedLessAndLess(t *testing.T) {
	core := &bubbleCore{do: func(string, []byte) (any, error) { return nil, errors.New("away") }}
	inBubble(t, core, func(t *testing.T, g *Guard) {
		pass(10 * time.Minute)
		watched, told := core.calls()
		// 15 s with jitter (half to one and a half of it) once the first tries are over.
		if n := len(watched); n < 30 || n > 120 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := len(told); n < 80 || n > 300 {
			t.Errorf("told %d times in ten minutes", n)
		}
		for i := len(watched) - 5; i < len(watched); i++ {
			if gap := watched[i].Sub(watched[i-1]); gap < mostWait/2 || gap > 2*mostWait {
				t.Errorf("a wait of %v", gap)
			}
		}
		if g.Status().CoreFault == "" {
			t.Error("nothing says that core is away")
		}
		core.set(func(path string, body []byte) (any, error) {
			if strings.HasSuffix(path, "/report") {
				return struct{}{}, nil
			}
			var w protocol.Watch
			if err := json.Unmarshal(body, &w); err != nil || w.BansRevision == "1" {
				return nil, err
			}
			return protocol.Orders{Bans: &[]protocol.Ban{}, BansRevision: "1"}, nil
		})
		pass(2 * mostWait)
		if s := g.Status(); s.CoreFault != "" {
			t.Errorf("core is back and said to be away: %s", s.CoreFault)
		}
		_, before := core.calls()
		pass(10 * time.Second)
		if _, after := core.calls(); len(after)-len(before) < 9 || len(after)-len(before) > 11 {
			t.Errorf("%d reports in ten seconds", len(after)-len(before))
		}
	})
}

func TestACoreThatRepeatsItselfIsNotAskedAllTheTime(t *testing.T) {
	v := denying(0, "203.0.113.77/24") // no good, and the number of what is in force
	v.Number = 9
	core := &bubbleCore{do: func(string, []byte) (any, error) { return protocol.Orders{Policy: &v}, nil }}
	inBubble(t, core, func(t *testing.T, g *Guard) {
		pass(time.Minute)
		if watched, _ := core.calls(); len(watched) > 62 {
			t.Errorf("asked %d times in a minute", len(watched))
		}
		if n := g.force.Load().version.Number; n != 0 {
			t.Errorf("policy %d is in force", n)
		}
	})
}

func TestAnEntryOfThePolicyEndsByItself(t *testing.T) {
	core := &bubbleCore{}
	core.set(func(path string, body []byte) (any, error) {
		if strings.HasSuffix(path, "/report") {
			return struct{}{}, nil
		}
		var w protocol.Watch
		if err := json.Unmarshal(body, &w); err != nil || w.PolicyVersion == 5 {
			return nil, err
		}
		in := time.Now().Add(time.Hour)
		v := policy.Version{Number: 5, Document: policy.Document{Deny: []policy.Prefix{
			{Prefix: pfx("203.0.113.0/24"), Expires: &in}, {Prefix: pfx("198.51.100.0/24")}}}}
		return protocol.Orders{Policy: &v}, nil
	})
	inBubble(t, core, func(t *testing.T, g *Guard) {
		if verdict(g, "203.0.113.9") != "denied" || verdict(g, "198.51.100.9") != "denied" {
			t.Error("the policy is not in force")
		}
		pass(time.Hour - time.Second)
		if verdict(g, "203.0.113.9") != "denied" {
			t.Error("the entry ended early")
		}
		pass(time.Second + 2*sampleEvery)
		if verdict(g, "203.0.113.9") != "passed" || verdict(g, "198.51.100.9") != "denied" {
			t.Errorf("an hour later: %s and %s", verdict(g, "203.0.113.9"), verdict(g, "198.51.100.9"))
		}
	})
}

func TestABanEndsOnTime(t *testing.T) {
	core := &bubbleCore{do: func(string, []byte) (any, error) { return nil, errors.New("away") }}
	inBubble(t, core, func(t *testing.T, g *Guard) {
		for range 3 {
			g.Offended(addr("203.0.113.9"), Scanner, false, "sipvicious")
		}
		synctest.Wait()
		if verdict(g, "203.0.113.9") != "banned" {
			t.Fatal("not banned")
		}
		if !g.Admit(addr("203.0.113.9"), policy.SIP, true) {
			t.Error("a connection is dropped on evidence that could be forged")
		}
		e := g.Explain(addr("203.0.113.9"), policy.SIP)
		if left := time.Until(*e.BanEnds); left > 10*time.Minute || left < 9*time.Minute || e.BanReason != "3 datagrams of a scanner in 10m: sipvicious" {
			t.Errorf("explained as %+v", e)
		}
		pass(10*time.Minute - time.Second)
		if verdict(g, "203.0.113.9") != "banned" {
			t.Error("the ban ended early")
		}
		pass(3 * time.Second) // the filter's clock counts whole seconds, rounded up
		if v := verdict(g, "203.0.113.9"); v != "passed" {
			t.Errorf("after the ban: %s", v)
		}
		pass(lapseEvery)
		if n := len(g.Bans()); n != 0 {
			t.Errorf("%d bans are listed", n)
		}
	})
}

func TestAnAnswerDoesNotWaitForTheNextReport(t *testing.T) {
	var asked, answered time.Time
	var mu sync.Mutex // guards both
	core := &bubbleCore{}
	core.set(func(path string, body []byte) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(path, "/report") {
			var r protocol.Report
			if err := json.Unmarshal(body, &r); err != nil {
				return nil, err
			}
			if len(r.Answers) > 0 && answered.IsZero() {
				answered = time.Now()
			}
			return struct{}{}, nil
		}
		if asked.IsZero() {
			asked = time.Now()
			return protocol.Orders{Questions: []protocol.Question{{ID: "q", Address: addr("192.0.2.1"), Service: "sip"}}}, nil
		}
		return nil, nil
	})
	inBubble(t, core, func(t *testing.T, g *Guard) {
		pass(3 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if answered.IsZero() || answered.Sub(asked) > 10*time.Millisecond {
			t.Errorf("asked at %v, answered at %v", asked, answered)
		}
	})
}

// With a clock that differs from core's a ban of core's ends when core means it to,
// and both the log and the status say that the clocks differ.
func TestABanOfACoreWithAnotherClockEndsOnTime(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"behind": -time.Hour, "ahead": time.Hour, "the same": 0} {
		t.Run(name, func(t *testing.T) {
			core := &bubbleCore{}
			core.do = func(path string, body []byte) (any, error) {
				var w protocol.Watch
				if strings.HasSuffix(path, "/watch") && json.Unmarshal(body, &w) == nil && w.BansRevision == "" {
					theirs := time.Now().Add(ahead)
					list := []protocol.Ban{{Prefix: pfx("203.0.113.9/32"), Since: theirs, Until: theirs.Add(10 * time.Minute), Proven: true}}
					return protocol.Orders{Now: theirs, Bans: &list, BansRevision: "b1"}, nil
				}
				if strings.HasSuffix(path, "/watch") {
					return nil, nil
				}
				var r protocol.Report
				if err := json.Unmarshal(body, &r); err != nil || r.Instance == "" || time.Since(r.Now).Abs() > time.Second {
					t.Errorf("the report is %s", body)
				}
				return protocol.Orders{}, nil
			}
			inBubble(t, core, func(t *testing.T, g *Guard) {
				pass(time.Second)
				if n := time.Duration(g.Status().CoreAhead * float64(time.Second)); n != ahead {
					t.Errorf("core's clock is %v ahead, status says %v", ahead, n)
				}
				pass(9 * time.Minute)
				if g.Admit(addr("203.0.113.9"), policy.SIP, false) {
					t.Error("the ban ended early")
				}
				pass(2 * time.Minute)
				if !g.Admit(addr("203.0.113.9"), policy.SIP, false) {
					t.Error("the ban did not end")
				}
			})
		})
	}
}
