package e2e

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/wire/rtp/quality"
)

// calls is what `lindero calls` prints.
func (i *instance) calls(t *testing.T, flags ...string) string {
	t.Helper()
	out, err := lindero(t, append([]string{"calls", "--data", i.dir, "--api", i.demo.API}, flags...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("lindero calls: %v\n%s", err, out)
	}
	return string(out)
}

// live is the one call that `lindero calls --json` tells of.
func (i *instance) live(t *testing.T) (c api.Call, ok bool) {
	t.Helper()
	var list api.CallList
	if text := i.calls(t, "--json"); json.Unmarshal([]byte(text), &list) != nil || len(list.Calls) > 1 {
		t.Fatalf("not one call at most:\n%s", text)
	}
	if len(list.Calls) == 0 {
		return c, false
	}
	return list.Calls[0], true
}

// near tells whether two figures are within so much of each other.
func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

// A call between two phones, one of which is on a line that loses every tenth packet:
// what people are told during it, and what its record says after it, is what a tap on
// that line sees.
func TestWhatACallSoundsLikeIsToldDuringItAndAfterIt(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	if text := i.calls(t); !strings.HasPrefix(text, "No calls go on.") {
		t.Errorf("before any call:\n%s", text)
	}
	line := newLossyLine(t, i.sip, 10)
	alice := newPhone(t, i, "101", "udp", func(c *phone.Config) { c.Server = line.address() })
	bob := newPhone(t, i, "102", "udp")
	alice.register()
	bob.register()
	call := alice.talk(bob)
	var c api.Call
	if !eventually(3*patience, func() bool {
		var ok bool
		c, ok = i.live(t)
		return ok && c.FromCaller != nil && c.FromCaller.Packets >= 250 && c.FromCallee != nil && c.FromCallee.Packets >= 250
	}) {
		t.Fatalf("the call is told of as %+v", c)
	}
	passed, lost, jitter := line.counts()
	if c.State != "talking" || c.From != "101" || c.To != "102" || c.Answered == nil || c.CompanyName != "demo" {
		t.Errorf("the call is told of as %+v", c)
	}
	like := func(when string, h *api.Heard, wantLoss, wantJitter float64) {
		t.Helper()
		if h == nil {
			t.Fatalf("%s: nothing is told", when)
		}
		wanted := quality.Rate(quality.Input{Codec: h.Codec, Loss: wantLoss, Jitter: time.Duration(wantJitter * float64(time.Millisecond))})
		t.Logf("%s: %d packets, loss %.3f (tap %.3f), jitter %.2f ms (tap %.2f), MOS %.2f %s (by the tap's figures %.2f)",
			when, h.Packets, h.Loss, wantLoss, h.Jitter, wantJitter, h.MOS, h.Rating, wanted.MOS)
		if !near(h.Loss, wantLoss, 0.015) || !near(h.Jitter, wantJitter, 6+wantJitter) || !near(h.MOS, wanted.MOS, 0.35) || h.Relay != "relay" || h.Path != "user space" {
			t.Errorf("%s: %+v", when, h)
		}
	}
	share := float64(lost) / float64(passed+lost)
	like("caller, during the call", c.FromCaller, share, jitter)
	like("callee, during the call", c.FromCallee, 0, c.FromCallee.Jitter) // nothing is between
	if c.FromCaller.Rating != "poor" || c.FromCallee.Rating == "poor" {
		t.Errorf("the lossy line is %s, the other %s", c.FromCaller.Rating, c.FromCallee.Rating)
	}
	i.hasHistory(t, c)
	i.isDrawn(t)

	call.hangup()
	passed, lost, jitter = line.counts()
	var record api.CDR
	if !eventually(patience, func() bool {
		var list api.CDRList
		if i.api(t, http.MethodGet, "/api/v1/cdrs?limit=1", nil, &list) != 200 || len(list.CDRs) == 0 {
			return false
		}
		record = list.CDRs[0]
		return record.FromCaller != nil && record.FromCallee != nil
	}) {
		t.Fatalf("the record is %+v", record)
	}
	if record.ID != c.ID || record.Verdict != "ok" || len(record.Legs) != 4 {
		t.Errorf("the record of %s is %+v", c.ID, record)
	}
	share = float64(lost) / float64(passed+lost)
	like("caller, in the record", record.FromCaller, share, jitter)
	like("callee, in the record", record.FromCallee, 0, record.FromCallee.Jitter)
	if !near(float64(record.FromCaller.Packets), float64(passed), 3) || !near(float64(record.FromCaller.Lost), float64(lost), 3) {
		t.Errorf("the record says %d packets and %d lost, the tap %d and %d", record.FromCaller.Packets, record.FromCaller.Lost, passed, lost)
	}
	if _, ok := i.live(t); ok {
		t.Error("the call goes on")
	}
}

// hasHistory asks for one call, which must have its last minutes and tell why this relay.
func (i *instance) hasHistory(t *testing.T, c api.Call) {
	t.Helper()
	var one api.Call
	if !eventually(patience, func() bool {
		code := i.api(t, http.MethodGet, "/api/v1/calls/"+c.ID, nil, &one)
		return code == 200 && len(one.Dialogs) == 2 && len(one.Dialogs[0].Anchors) == 1 && len(one.Dialogs[0].Anchors[0].Streams[0].Legs[0].History) > 0
	}) {
		t.Errorf("the call by itself is %+v", one)
	}
	for _, d := range one.Dialogs {
		if len(d.Anchors) != 1 || d.Edge != "edge" || d.Anchors[0].Why != "the first in the list of edge edge" {
			t.Errorf("the %s's dialog is %+v", d.Side, d)
		}
	}
}

// isDrawn looks at the list for people.
func (i *instance) isDrawn(t *testing.T) {
	t.Helper()
	text := i.calls(t)
	t.Logf("\n%s", text)
	for _, want := range []string{"1 call goes on", "101 → 102", "talking", "user", "poor", "relay: the first in the list of edge edge"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// The same with the roles apart: the relay's node tells core, and its edge why it was taken.
func TestARelayOfItsOwnTellsOfItsCalls(t *testing.T) {
	d := deploy(t)
	alice, bob := newPhone(t, &d.instance, "101", "udp"), newPhone(t, &d.instance, "102", "udp")
	alice.register()
	bob.register()
	call := alice.talk(bob)
	call.hear()
	var c api.Call
	if !eventually(patience, func() bool {
		c, _ = d.live(t)
		return c.FromCaller != nil && c.FromCallee != nil
	}) {
		t.Fatalf("the call is told of as %+v", c)
	}
	if a := c.Dialogs[0].Anchors[0]; a.Node != "relay-1" || a.Relay != "relay-1" || a.Why != "the first in the list of edge edge-1" {
		t.Errorf("the anchor is %+v", a)
	}
	call.hangup()
	d.recorded(t)
	var list api.CDRList
	if !eventually(patience, func() bool {
		return d.api(t, http.MethodGet, "/api/v1/cdrs", nil, &list) == 200 && len(list.CDRs) == 1 && list.CDRs[0].FromCaller != nil
	}) {
		t.Errorf("the records are %+v", list)
	}
}
