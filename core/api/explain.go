package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// answerLimit is how long nodes have, so that a person has an answer within 2 s.
const answerLimit = 1800 * time.Millisecond

type explainInput struct {
	Address string `query:"address" required:"true" maxLength:"64" doc:"An IPv4 or IPv6 address."`
	Service string `query:"service" enum:"sip,web,media" default:"sip"`
	Node    string `query:"node" maxLength:"64" doc:"Ask this node alone."`
}

type explainOutput struct {
	Body []protocol.Explanation
}

// explain asks the nodes that are there what would happen to a source's next
// packet. When none answers core says what it can.
func (a *API) explain(ctx context.Context, in *explainInput) (*explainOutput, error) {
	var f faults
	addr, err := netip.ParseAddr(in.Address)
	f.check(err == nil, "query.address", "wants an IPv4 or IPv6 address")
	service, err := policy.ParseService(cmp.Or(in.Service, "sip"))
	f.check(err == nil, "query.service", "wants sip, web or media")
	if err := f.err(); err != nil {
		return nil, err
	}
	if in.Node != "" && !a.nodes.known(in.Node) {
		return nil, huma.Error404NotFound("there is no node " + short(in.Node))
	}
	addr = addr.Unmap().WithZone("")
	id := rand.Text()
	q, err := a.asks.begin(id)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("too many questions wait for answers")
	}
	defer a.asks.end(id)
	asked := a.nodes.ask(in.Node, protocol.Question{ID: id, Address: addr, Service: service.ForPeople()}, time.Now().Add(answerLimit))
	a.asks.of(q, asked)
	all := explanations(gather(ctx, q, asked, answerLimit))
	if len(all) == 0 {
		earned, err := a.earned(ctx, addr)
		if err != nil {
			return nil, a.failed(ctx, "registration", err)
		}
		all = []protocol.Explanation{a.bench().explain(addr, service, earned)}
	}
	return &explainOutput{all}, nil
}

// earned is the class that a source has, as far as core knows: from its registrations,
// and from what nodes saw of it.
func (a *API) earned(ctx context.Context, addr netip.Addr) (policy.Class, error) {
	class := policy.Unknown
	a.sources.each(time.Now(), func(key sourceKey, is *source) {
		if key.addr == sourceOf(addr) {
			class = max(class, is.earned())
		}
	})
	err := a.store.Platform().Registrations(ctx, func(r tenancy.Registration) error {
		if at, ok := addressOf(r.Source); ok && sourceOf(at) == sourceOf(addr) {
			class = policy.Registered
		}
		return nil
	})
	return class, err
}

// explanations are what nodes said, in the order of their names.
func explanations(said []said[protocol.Explanation]) []protocol.Explanation {
	all := make([]protocol.Explanation, len(said))
	for i, s := range said {
		e := s.what
		e.ID, e.Node = "", s.shown
		if e.Change == nil {
			e.Change = []string{}
		}
		all[i] = e
	}
	slices.SortFunc(all, func(a, b protocol.Explanation) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

func (a *API) explainRoutes(h huma.API) {
	route(a, h, huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: "/api/v1/shield/explain", Tags: []string{"shield"},
		Summary:     "Why a source passes or is dropped",
		Description: "Asks every node that is there, or the one named, and answers within 2 seconds. When none answers, core judges by policy, bans and country database alone and says so.",
	}, Operator, a.explain)
}
