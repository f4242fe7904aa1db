package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// Calls are those that go on at this core: core/b2bua.
type Calls interface {
	// Live lists them, the newest first, at most limit, and says how many there are.
	Live(ctx context.Context, limit int) (all []tenancy.LiveCall, total int)
	// LiveCall is the one with the ID.
	LiveCall(ctx context.Context, id string) (tenancy.LiveCall, bool)
}

// lookupLimit is how long nodes have to say what their relays know of calls, so that
// a person has an answer within 2 s.
const lookupLimit = 1500 * time.Millisecond

// A CallList is the calls that go on.
type CallList struct {
	Calls  []Call   `json:"calls" doc:"the newest first"`
	Total  int      `json:"total" doc:"live calls of this core, of which the list may have fewer"`
	Silent []string `json:"silent" doc:"nodes with a relay that did not answer in time: what they carry is missing"`
}

// A Call is one that goes on.
type Call struct {
	ID          string            `json:"id" doc:"that of the record it will have"`
	Company     tenancy.CompanyID `json:"company" doc:"0: not known yet"`
	CompanyName string            `json:"company_name"`
	From        string            `json:"from"`
	To          string            `json:"to"`
	State       string            `json:"state" doc:"trying, ringing, talking or ending; empty: too busy to say"`
	Since       time.Time         `json:"since"`
	Answered    *time.Time        `json:"answered,omitempty"`
	FromCaller  *Heard            `json:"from_caller,omitempty" doc:"what the caller says, as a relay takes it in; absent: no relay says"`
	FromCallee  *Heard            `json:"from_callee,omitempty" doc:"what the caller is to hear"`
	Dialogs     []Dialog          `json:"dialogs"`
	Silent      []string          `json:"silent,omitempty" doc:"as of the list, where one call was asked for"`
}

// A Dialog is a call's dialog with one phone, and the relays that carry its audio.
type Dialog struct {
	CallID  string   `json:"call_id"`
	Side    string   `json:"side" doc:"caller or callee"`
	Tag     string   `json:"tag" doc:"of the phone: legs with it come from there; empty until it has one"`
	Edge    string   `json:"edge" doc:"the node by which the phone is reached; empty: none said so"`
	Anchors []Anchor `json:"anchors"`
}

// An Anchor is what a relay says of a dialog.
type Anchor struct {
	Node string `json:"node"`
	Why  string `json:"why" doc:"why this relay, as far as the edge told"`
	session.Session
}

type callsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type callsOutput struct {
	Body CallList
}

func (a *API) calls(ctx context.Context, in *callsInput) (*callsOutput, error) {
	out := &callsOutput{CallList{Calls: []Call{}, Silent: []string{}}}
	if a.live == nil {
		return out, nil
	}
	live, total := a.live.Live(ctx, in.Limit)
	all, silent, err := a.described(ctx, live, false)
	if err != nil {
		return nil, err
	}
	out.Body = CallList{Calls: all, Total: total, Silent: silent}
	return out, nil
}

type callInput struct {
	ID string `path:"id" maxLength:"64"`
}

type callOutput struct {
	Body Call
}

func (a *API) call(ctx context.Context, in *callInput) (*callOutput, error) {
	if a.live != nil {
		if live, ok := a.live.LiveCall(ctx, in.ID); ok {
			all, silent, err := a.described(ctx, []tenancy.LiveCall{live}, true)
			if err != nil {
				return nil, err
			}
			all[0].Silent = silent
			return &callOutput{all[0]}, nil
		}
	}
	return nil, huma.Error404NotFound("no such call goes on; ended ones are at /api/v1/cdrs")
}

// described asks nodes what their relays know of live calls, and puts it together.
func (a *API) described(ctx context.Context, live []tenancy.LiveCall, history bool) (all []Call, silent []string, err error) {
	companies, err := a.companyNames(ctx)
	if err != nil {
		return nil, nil, err
	}
	anchors, silent, err := a.lookUp(ctx, live, history)
	if err != nil {
		return nil, nil, err
	}
	edges := a.nodes.edges()
	all = make([]Call, len(live))
	for i, l := range live {
		c := Call{
			ID: l.ID, Company: l.Company, CompanyName: companies[l.Company], From: l.From, To: l.To, State: string(l.State),
			Since: l.Start.UTC(), Dialogs: []Dialog{},
		}
		if !l.Answer.IsZero() {
			at := l.Answer.UTC()
			c.Answered = &at
		}
		var heard []tenancy.Quality
		for _, d := range l.Dialogs {
			one := Dialog{CallID: d.CallID, Side: string(d.Side), Tag: d.Tag, Edge: edges[d.Edge].name, Anchors: []Anchor{}}
			for _, at := range anchors[d.CallID] {
				at.Why = edges[d.Edge].why(at.Relay)
				one.Anchors = append(one.Anchors, at)
				for _, q := range qualities(at.Session, protocol.Clock{}) {
					q.Dialog = d
					heard = append(heard, q)
				}
			}
			c.Dialogs = append(c.Dialogs, one)
		}
		c.FromCaller, c.FromCallee = directions(heard)
		all[i] = c
	}
	return all, silent, nil
}

// lookUp asks the nodes with a relay for the dialogs of calls, by Call-ID.
func (a *API) lookUp(ctx context.Context, live []tenancy.LiveCall, history bool) (anchors map[string][]Anchor, silent []string, err error) {
	anchors, silent = map[string][]Anchor{}, []string{}
	ids := []string{}
	for _, l := range live {
		for _, d := range l.Dialogs {
			if len(ids) < protocol.MaxCallIDs && len(d.CallID) <= maxCallID {
				ids = append(ids, d.CallID)
			}
		}
	}
	if len(ids) == 0 {
		return anchors, silent, nil
	}
	id := rand.Text()
	q, err := a.lookups.begin(id)
	if err != nil {
		return nil, nil, huma.Error503ServiceUnavailable("too many questions wait for answers")
	}
	defer a.lookups.end(id)
	asked, unable := a.nodes.askCalls(protocol.CallsQuestion{ID: id, CallIDs: ids, History: history}, time.Now().Add(lookupLimit))
	a.lookups.of(q, asked)
	waiting := map[nodeKey]bool{}
	for _, n := range append(slices.Clone(asked), unable...) {
		waiting[n] = true
	}
	for _, s := range gather(ctx, q, asked, lookupLimit) {
		delete(waiting, s.node)
		for _, one := range s.what {
			one.Streams = append([]session.Stream{}, one.Streams...)
			anchors[one.CallID] = append(anchors[one.CallID], Anchor{Node: s.shown, Session: one})
		}
	}
	for n := range waiting {
		silent = append(silent, n.name)
	}
	slices.Sort(silent)
	return anchors, silent, nil
}

func (a *API) companyNames(ctx context.Context) (map[tenancy.CompanyID]string, error) {
	all, err := a.store.Platform().Companies(ctx)
	if err != nil {
		return nil, a.failed(ctx, "company", err)
	}
	names := make(map[tenancy.CompanyID]string, len(all))
	for _, c := range all {
		names[c.ID] = c.Name
	}
	return names, nil
}

// askCalls gives a question to every node that has a relay. unable are those that
// cannot be expected to answer.
func (n *nodes) askCalls(q protocol.CallsQuestion, until time.Time) (asked, unable []nodeKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.each(time.Now(), func(d *node, _ []*node) {
		if d.report.Relay == "" || !d.alive() {
			return
		}
		if d.watching == 0 && time.Since(d.heard) > nodeAnswers || len(d.calls) >= maxQuestions {
			unable = append(unable, d.key)
			return
		}
		d.calls = append(d.calls, callsQuestion{q, until})
		close(d.wake)
		d.wake = make(chan struct{})
		asked = append(asked, d.key)
	})
	return asked, unable
}

// takeCalls is take of questions about calls. mu is held.
func (d *node) takeCalls() (all []protocol.CallsQuestion) {
	for _, q := range d.calls {
		if q.until.After(time.Now()) {
			all = append(all, q.CallsQuestion)
		}
	}
	d.calls = nil
	return all
}

// An edgeView is what an edge told of itself.
type edgeView struct {
	name   string
	relays []string
}

// edges are those that told where core reaches them.
func (n *nodes) edges() map[netip.AddrPort]edgeView {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[netip.AddrPort]edgeView{}
	n.each(time.Now(), func(d *node, _ []*node) {
		at := d.report.Anchoring
		if at == nil || !at.Inside.IsValid() {
			return
		}
		is := edgeView{d.key.name, at.Relays}
		if _, two := all[at.Inside]; two {
			is = edgeView{} // by one address none of them can be told
		}
		all[at.Inside] = is
	})
	return all
}

// why says for what reason an edge took a relay: it takes the first of its list that
// answers.
func (e edgeView) why(relay string) string {
	switch i := slices.Index(e.relays, relay); {
	case e.name == "":
		return ""
	case i < 0:
		return "not in the list of edge " + e.name + " any more"
	case i == 0:
		return "the first in the list of edge " + e.name
	default:
		return fmt.Sprintf("number %d in the list of edge %s: those before it did not answer when the call began", i+1, e.name)
	}
}

func (a *API) callRoutes(h huma.API) {
	tags := []string{"calls"}
	route(a, h, huma.Operation{
		OperationID: "list-calls", Method: http.MethodGet, Path: "/api/v1/calls", Tags: tags,
		Summary:     "The calls that go on",
		Description: "Asks every node with a relay what it carries of them, and answers within 2 seconds; nodes that were silent are named.",
	}, Operator, a.calls)
	route(a, h, huma.Operation{
		OperationID: "get-call", Method: http.MethodGet, Path: "/api/v1/calls/{id}", Tags: tags,
		Summary: "A call that goes on, with the last five minutes of its legs",
	}, Operator, a.call)
	route(a, h, huma.Operation{
		OperationID: "list-cdrs", Method: http.MethodGet, Path: "/api/v1/cdrs", Tags: tags,
		Summary: "Records of ended calls with their quality, newest first",
	}, Operator, a.cdrs)
}
