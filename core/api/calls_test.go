package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// liveCalls are calls that go on as a test says.
type liveCalls []tenancy.LiveCall

func (l liveCalls) Live(_ context.Context, limit int) ([]tenancy.LiveCall, int) {
	return l[:min(limit, len(l))], len(l)
}

func (l liveCalls) LiveCall(_ context.Context, id string) (tenancy.LiveCall, bool) {
	for _, c := range l {
		if c.ID == id {
			return c, true
		}
	}
	return tenancy.LiveCall{}, false
}

func withCalls(l liveCalls) func(*api.Config) { return func(c *api.Config) { c.Calls = l } }

var insideOfEdge = netip.MustParseAddrPort("192.0.2.5:5065")

// talking is a call of two phones.
func talking() tenancy.LiveCall {
	return tenancy.LiveCall{
		ID: "call-1", From: "101", To: "102", State: tenancy.Talking, Start: time.Now().Add(-time.Minute), Answer: time.Now().Add(-50 * time.Second),
		Dialogs: []tenancy.Dialog{
			{CallID: "in", Side: tenancy.CallerSide, Tag: "alice", Edge: insideOfEdge},
			{CallID: "out", Side: tenancy.CalleeSide, Tag: "bob", Edge: netip.MustParseAddrPort("192.0.2.6:5065")},
		},
	}
}

// anchored is a session whose phone has tag, and sent packets of which so many were lost.
func anchored(callID, relay, tag string, packets, lost uint64, mos float64) session.Session {
	phone := session.Leg{Tag: tag, Path: "kernel", Codec: "PCMA", Quality: session.Quality{Packets: packets, Lost: lost, Jitter: 1.25, RoundTrip: 30, MOS: mos}}
	phone.History = []session.Point{{At: time.Now(), Jitter: 1, Rate: 50}}
	core := session.Leg{Tag: "core", Path: "user space", Codec: "PCMA", Quality: session.Quality{Packets: packets / 2, MOS: 4.4}}
	return session.Session{
		Relay: relay, CallID: callID, Created: time.Now().Add(-time.Minute), Answered: true,
		Streams: []session.Stream{{Kind: "audio", Legs: [2]session.Leg{phone, core}}},
	}
}

// relayNode is a node with a relay that answers questions about calls until the test
// ends, and reports what it sees once.
func (k *service) relayNode(ctx context.Context, name, relay string, sessions ...session.Session) {
	k.t.Helper()
	bans := k.watch(name, 0, "").BansRevision
	k.report(name, protocol.Report{Relay: relay})
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			a, err := k.try(ctx, nodeToken, "POST", "/api/v1/nodes/"+name+"/watch", fmt.Sprintf(`{"bans_revision":%q}`, bans))
			if err != nil {
				return
			}
			var o protocol.Orders
			if err := json.Unmarshal(a.body, &o); err != nil {
				k.t.Error(err)
				return
			}
			for _, q := range o.Calls {
				r := protocol.Report{Relay: relay, Calls: []protocol.CallsAnswer{{ID: q.ID}}}
				for _, s := range sessions {
					if strings.Contains(strings.Join(q.CallIDs, " "), s.CallID) {
						r.Calls[0].Sessions = append(r.Calls[0].Sessions, s)
					}
				}
				text, err := json.Marshal(r)
				if err != nil {
					k.t.Error(err)
				}
				_, _ = k.try(ctx, nodeToken, "POST", "/api/v1/nodes/"+name+"/report", string(text)) // core may be gone
			}
		}
	})
	k.t.Cleanup(wg.Wait)
}

func TestLiveCallsAreShownWithWhatRelaysSay(t *testing.T) {
	k := start(t, withCalls(liveCalls{talking()}))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	k.relayNode(ctx, "relay-1", "r1", anchored("in", "r1", "alice", 1000, 10, 4.2))
	k.relayNode(ctx, "relay-2", "r2", anchored("out", "r2", "bob", 900, 100, 3.1))
	k.report("edge-1", protocol.Report{Role: "edge", Anchoring: &protocol.Anchoring{Inside: insideOfEdge, Relays: []string{"r1", "r2"}}})
	began := time.Now()
	list := do[api.CallList](k, 200, "GET", "/calls", "")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v though every node answered", took)
	}
	if len(list.Calls) != 1 || list.Total != 1 || len(list.Silent) != 0 {
		t.Fatalf("the list is %+v", list)
	}
	c := list.Calls[0]
	if c.State != "talking" || c.Answered == nil || len(c.Dialogs) != 2 || len(c.Dialogs[0].Anchors) != 1 || len(c.Dialogs[1].Anchors) != 1 {
		t.Fatalf("the call is %+v", c)
	}
	if a := c.Dialogs[0].Anchors[0]; a.Node != "relay-1" || a.Why != "the first in the list of edge edge-1" || c.Dialogs[0].Edge != "edge-1" {
		t.Errorf("the caller's anchor is %+v", a)
	}
	if a := c.Dialogs[1].Anchors[0]; a.Relay != "r2" || a.Why != "" || c.Dialogs[1].Edge != "" {
		t.Errorf("the callee's anchor is %+v: nobody told why", a)
	}
	if h := c.FromCaller; h == nil || h.Packets != 1000 || h.Loss < 0.0099 || h.Loss > 0.01 || h.Rating != "good" || h.Path != "kernel" || h.Jitter != 1.25 {
		t.Errorf("from the caller: %+v", h)
	}
	if h := c.FromCallee; h == nil || h.Lost != 100 || h.Rating != "poor" || h.RoundTrip != 30 {
		t.Errorf("from the callee: %+v", h)
	}
	one := do[api.Call](k, 200, "GET", "/calls/call-1", "")
	if n := len(one.Dialogs[0].Anchors[0].Streams[0].Legs[0].History); n != 1 {
		t.Errorf("%d points of history", n)
	}
	k.call(operatorToken, "GET", "/api/v1/calls/none", "").want(t, 404)
}

// A relay that is silent is named, and nobody waits for it for longer than two seconds.
func TestASilentRelayIsNamed(t *testing.T) {
	k := start(t, withCalls(liveCalls{talking()}))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	k.relayNode(ctx, "relay-1", "r1", anchored("in", "r1", "alice", 1000, 10, 4.2))
	k.report("relay-2", protocol.Report{Relay: "r2"}) // and is never heard again
	// An edge has no relay, so it is not asked.
	k.report("edge-1", protocol.Report{Role: "edge", Anchoring: &protocol.Anchoring{Inside: insideOfEdge, Relays: []string{"r0", "r1"}}})
	began := time.Now()
	list := do[api.CallList](k, 200, "GET", "/calls", "")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if fmt.Sprint(list.Silent) != "[relay-2]" || list.Calls[0].FromCaller == nil || list.Calls[0].FromCallee == nil {
		t.Errorf("the list is %+v", list)
	}
	if why := list.Calls[0].Dialogs[0].Anchors[0].Why; why != "number 2 in the list of edge edge-1: those before it did not answer when the call began" {
		t.Errorf("its relay was taken because it is %q", why)
	}
	if h := list.Calls[0].FromCallee; h != nil && h.Packets != 500 {
		t.Errorf("without the other phone's relay, core's side of the first is what the caller hears: %+v", h)
	}
}

func TestNoCallsAreAnEmptyList(t *testing.T) {
	k := start(t)
	if a := k.call(operatorToken, "GET", "/api/v1/calls", ""); a.code != 200 || strings.TrimSpace(string(a.body)) != `{"calls":[],"total":0,"silent":[]}` {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := k.call(operatorToken, "GET", "/api/v1/cdrs", ""); a.code != 200 || strings.TrimSpace(string(a.body)) != `{"cdrs":[],"next":""}` {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// The last word of a relay is in the record, whichever of the two came first.
func TestRecordsHaveTheirQuality(t *testing.T) {
	k := start(t)
	c := storetest.Make(t, k.store, "a.test", "101", "101")
	other := storetest.Make(t, k.store, "b.test", "101", "101")
	record := func(id string, age time.Duration) tenancy.CDR {
		start := time.Now().Add(-age)
		return tenancy.CDR{
			ID: id, From: "101", To: "102", CallID: "in-" + id, Start: start, Answer: start.Add(time.Second), End: start.Add(time.Minute),
			Verdict: tenancy.OK, Code: 200, HungUpBy: "caller", Reason: "hung up", Dialogs: []tenancy.Dialog{{CallID: "in-" + id, Side: tenancy.CallerSide, Tag: "alice"}},
		}
	}
	ended := func(id string, age time.Duration) session.Session {
		s := anchored("in-"+id, "r1", "alice", 1000, 10, 3.8)
		s.Created, s.Ended, s.Reason = time.Now().Add(-age), time.Now().Add(-age).Add(time.Minute), "deleted"
		return s
	}
	write := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(c.WriteCDR(t.Context(), record("a", 10*time.Minute)))
	nonsense := session.Session{CallID: strings.Repeat("x", 2000), Created: time.Now()}
	k.report("relay-1", protocol.Report{Relay: "r1", Ended: []session.Session{ended("a", 10*time.Minute), ended("b", 5*time.Minute), nonsense, {}}})
	write(c.WriteCDR(t.Context(), record("b", 5*time.Minute)))
	write(other.WriteCDR(t.Context(), record("c", time.Minute)))

	list := do[api.CDRList](k, 200, "GET", "/cdrs", "")
	if len(list.CDRs) != 3 || list.Next != "" || list.CDRs[0].ID != "c" || list.CDRs[2].ID != "a" {
		t.Fatalf("the list is %+v", list)
	}
	for _, r := range list.CDRs[1:] {
		if r.FromCaller == nil || r.FromCaller.Rating != "fair" || r.FromCallee == nil || r.FromCallee.Packets != 500 || len(r.Legs) != 2 ||
			r.Legs[0].From != "phone" || r.Legs[1].From != "core" || r.Legs[0].Reason != "deleted" || r.CompanyName != "c" {
			t.Errorf("record %s is %+v", r.ID, r)
		}
	}
	if r := list.CDRs[0]; r.FromCaller != nil || len(r.Legs) != 0 {
		t.Errorf("of the last call no relay told anything: %+v", r)
	}
	first := do[api.CDRList](k, 200, "GET", "/cdrs?limit=2", "")
	rest := do[api.CDRList](k, 200, "GET", "/cdrs?limit=2&before="+first.Next, "")
	if len(first.CDRs) != 2 || len(rest.CDRs) != 1 || rest.CDRs[0].ID != "a" || rest.Next != "" || rest.CDRs[0].FromCaller == nil {
		t.Errorf("pages: %+v and %+v", first, rest)
	}
	mine := do[api.CDRList](k, 200, "GET", fmt.Sprintf("/cdrs?company=%d&from=%s", c.Company.ID, time.Now().Add(-6*time.Minute).UTC().Format(time.RFC3339)), "")
	if len(mine.CDRs) != 1 || mine.CDRs[0].ID != "b" || mine.CDRs[0].FromCaller == nil {
		t.Errorf("of one company, of the last minutes: %+v", mine)
	}
	k.call(operatorToken, "GET", "/api/v1/cdrs?company=404", "").want(t, 404)
	k.call(operatorToken, "GET", "/api/v1/cdrs?before=yesterday", "").want(t, 422)
}
