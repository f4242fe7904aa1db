package call_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
)

// ring is an offer of a branch that is answered by a tag; it returns our port
// towards the callee.
func (l *lab) ring(branch, tag string) (callee string) {
	l.t.Helper()
	m := offer(natted, natted)
	m.Branch = branch
	l.offer(m)
	if tag != "" {
		m = answer()
		m.Branch, m.ToTag = branch, tag
		l.answer(m)
	}
	return l.atIn.String()
}

func TestBranchesHavePortsOfTheirOwn(t *testing.T) {
	l := newLab(t)
	first := l.ring("1", "b")
	atCaller := l.atOut
	second := l.ring("2", "c")
	if first == second || atCaller == l.atOut {
		t.Errorf("the callees have %s and %s, the caller %v and %v", first, second, atCaller, l.atOut)
	}
	// The same branch again, as when an INVITE is repeated, and offers in a dialogue.
	if again := l.ring("1", "b"); again != first {
		t.Errorf("the first branch moved from %s to %s", first, again)
	}
	m := offer(natted, natted)
	m.Branch, m.ToTag = "3", "c"
	if l.offer(m); l.atIn.String() != second {
		t.Errorf("a re-offer to c is at %v, not %s", l.atIn, second)
	}
	if _, legs, _ := l.Counts(); legs != 8 {
		t.Errorf("%d ports lent", legs)
	}
}

func TestDeletingBranches(t *testing.T) {
	for name, c := range map[string]struct {
		deletion    call.Deletion
		forks, live int
	}{
		"one of them":             {call.Deletion{Branch: "1", From: "a"}, 1, 1},
		"one that never was":      {call.Deletion{Branch: "9", From: "a"}, 0, 1},
		"by the callee's tag":     {call.Deletion{From: "a", To: "c"}, 1, 1},
		"all that the caller has": {call.Deletion{From: "a"}, 2, 0},
		"all":                     {call.Deletion{}, 2, 0},
		"an unknown tag":          {call.Deletion{From: "a", To: "z"}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ring("1", "b")
			l.ring("2", "c")
			c.deletion.CallID = "c"
			_, forks, err := l.Delete(c.deletion)
			if err != nil || forks != c.forks || l.live() != c.live {
				t.Errorf("%d forks ended, %d calls live, %v", forks, l.live(), err)
			}
			if _, legs, _ := l.Counts(); legs != 4*(2-forks) {
				t.Errorf("%d ports lent", legs)
			}
		})
	}
}

// What a fork counted is not lost with it.
func TestADeletedBranchStaysInTheSums(t *testing.T) {
	l := newLab(t)
	l.ring("1", "b")
	l.table.hears(l.atIn)
	l.ring("2", "c")
	if _, _, err := l.Delete(call.Deletion{CallID: "c", Branch: "1"}); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Query("c"); err != nil || s.RTP.Packets != 1 {
		t.Errorf("%d packets, %v", s.RTP.Packets, err)
	}
}

func TestDeleteWithADelay(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.ring("", "b")
		gone := call.Deletion{CallID: "c", From: "a", To: "b", Delay: 10 * time.Second}
		if _, forks, err := l.Delete(gone); forks != 1 || err != nil {
			t.Fatal(forks, err)
		}
		l.after(9 * time.Second)
		if l.live() != 1 {
			t.Fatal("ended at once")
		}
		l.ring("", "b") // takes it back
		l.after(2 * time.Second)
		if l.live() != 1 {
			t.Fatal("ended though it went on")
		}
		if _, _, err := l.Delete(gone); err != nil {
			t.Fatal(err)
		}
		l.after(10 * time.Second)
		if _, _, ended := l.Counts(); l.live() != 0 || ended[call.Deleted] != 1 {
			t.Errorf("%d live, ended %v", l.live(), ended)
		}
	})
}

// A branch that never answers ends by itself, though the call has an answer.
func TestABranchNobodyAnswersEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.ring("1", "")
		l.ring("2", "c")
		for range 181 {
			l.table.hears(l.atIn)
			l.after(time.Second)
		}
		if _, legs, _ := l.Counts(); l.live() != 1 || legs != 4 {
			t.Errorf("%d calls with %d ports", l.live(), legs)
		}
	})
}

func TestForksAreBounded(t *testing.T) {
	l := newLab(t)
	var last error
	forks := 0
	for i := range 40 {
		m := offer(natted, natted)
		m.Branch = fmt.Sprint(i)
		if _, last = l.Offer(m); last != nil {
			break
		}
		forks++
	}
	if forks != 16 || last == nil {
		t.Errorf("%d forks, then %v", forks, last)
	}
	if l.live() != 1 {
		t.Error("the call ended with the offer that was refused")
	}
}

// Of a call that nobody ever offered to, tags choose nothing.
func TestSelections(t *testing.T) {
	l := newLab(t)
	m := offer(natted, natted)
	m.Label = "caller"
	l.offer(m)
	l.answer(answer())
	blocked := func() (who string) {
		s, err := l.Query("c")
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range s.Tags {
			if tag.Rules.Block {
				who += tag.Tag
			}
		}
		return who
	}
	for name, c := range map[string]struct {
		sel  call.Selection
		want string
		err  error
	}{
		"by tag":               {sel: call.Selection{From: "a"}, want: "a"},
		"by the other":         {sel: call.Selection{From: "b"}, want: "b"},
		"by both":              {sel: call.Selection{From: "a", To: "b"}, want: "a"},
		"by label":             {sel: call.Selection{Label: "caller"}, want: "a"},
		"to a label":           {sel: call.Selection{From: "b", ToLabel: "caller"}, want: "b"},
		"by address":           {sel: call.Selection{Address: mustAddr("10.2.0.9")}, want: "b"},
		"all":                  {sel: call.Selection{All: true}, want: "ab"},
		"nobody in particular": {want: "ab"},
		"an unknown tag":       {sel: call.Selection{From: "z"}, err: call.ErrUnknownTag},
		"an unknown label":     {sel: call.Selection{Label: "z"}, err: call.ErrUnknownTag},
		"an unknown address":   {sel: call.Selection{Address: mustAddr("10.2.0.8")}, err: call.ErrUnknownTag},
		"what goes to one":     {sel: call.Selection{From: "a", Towards: true}, want: "b"},
		"oneself":              {sel: call.Selection{From: "a", To: "a"}, err: call.ErrUnknownTag},
		"another call":         {sel: call.Selection{CallID: "x"}, err: call.ErrUnknownCall},
	} {
		if c.sel.CallID == "" {
			c.sel.CallID = "c"
		}
		if _, err := l.Rule(c.sel, func(r *call.Rules) { r.Block = true }); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := blocked(); got != c.want {
			t.Errorf("%s: %q are blocked", name, got)
		}
		if _, err := l.Rule(call.Selection{CallID: "c"}, func(r *call.Rules) { r.Block = false }); err != nil {
			t.Fatal(err)
		}
	}
}
