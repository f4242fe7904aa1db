package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

type bansOutput struct {
	Body []protocol.Ban
}

// bans are those in force: what is banned until when, not what once was.
func (a *API) bans(ctx context.Context, _ *struct{}) (*bansOutput, error) {
	all, _, err := a.store.Platform().Bans(ctx)
	if err != nil {
		return nil, a.failed(ctx, "ban", err)
	}
	return &bansOutput{bansOf(all)}, nil
}

// A PastBan is a ban there was, or is.
type PastBan struct {
	Prefix   netip.Prefix `json:"prefix"`
	Reason   string       `json:"reason"`
	Since    time.Time    `json:"since"`
	Until    time.Time    `json:"until"`
	By       string       `json:"by"`
	Proven   bool         `json:"proven"`
	InForce  bool         `json:"in_force"`
	LiftedAt *time.Time   `json:"lifted_at,omitempty" doc:"when it was lifted, or another took its place"`
	LiftedBy string       `json:"lifted_by,omitempty"`
}

type pastBansOutput struct {
	Body []PastBan
}

func (a *API) pastBans(ctx context.Context, in *limitInput) (*pastBansOutput, error) {
	all, err := a.store.Platform().PastBans(ctx, in.Limit)
	if err != nil {
		return nil, a.failed(ctx, "ban", err)
	}
	out := make([]PastBan, 0, len(all))
	for _, b := range all {
		if !b.Prefix.IsValid() {
			continue // the board says so
		}
		one := PastBan{Prefix: b.Prefix, Reason: b.Reason, Since: b.Since.UTC(), Until: b.Until.UTC(), By: b.By, Proven: b.Proven,
			InForce: b.InForce(time.Now()), LiftedBy: b.LiftedBy}
		if !b.LiftedAt.IsZero() {
			at := b.LiftedAt.UTC()
			one.LiftedAt = &at
		}
		out = append(out, one)
	}
	return &pastBansOutput{out}, nil
}

// A BanRequest bans a source for a time, or until one.
type BanRequest struct {
	Prefix string           `json:"prefix" doc:"one IPv4 address or one IPv6 /64; an IPv6 address stands for its /64"`
	Reason string           `json:"reason" doc:"a phrase for whoever asks why"`
	For    *policy.Duration `json:"for,omitempty" doc:"such as 30m or 24h; or say until"`
	Until  *time.Time       `json:"until,omitempty"`
}

type banInput struct {
	Body body[BanRequest]
}

type banOutput struct {
	Body protocol.Ban
}

// ban bans a source on every node. It takes the place of a ban the source may have.
func (a *API) ban(ctx context.Context, in *banInput) (*banOutput, error) {
	var f faults
	r := in.Body.decode(&f)
	prefix, ok := parseSource(r.Prefix)
	f.check(ok, "body.prefix", "%s", wantsOneSource)
	f.check(r.Reason != "", "body.reason", "is missing: whoever is asked why must be able to say")
	checkNote(&f, "body.reason", r.Reason)
	var until time.Time
	switch {
	case (r.For == nil) == (r.Until == nil):
		f.add("body.for", "wants either for, such as 1h, or until")
	case r.For != nil:
		long := time.Duration(*r.For)
		f.check(long >= time.Second && long <= maxBanFor, "body.for", "%v; a second to a year: for ever is what the policy's deny list is for", long)
		until = time.Now().Add(long)
	default:
		until = *r.Until
		f.check(until.After(time.Now()) && until.Before(time.Now().Add(maxBanFor)), "body.until", "wants a time to come, within a year")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	b, err := a.store.Platform().Ban(ctx, tenancy.Ban{Prefix: prefix, Reason: r.Reason, Until: until, By: callOf(ctx).who, Proven: true})
	if err != nil {
		return nil, a.failed(ctx, "ban", err)
	}
	a.announce(ctx)
	return &banOutput{banOf(b)}, nil
}

// parseSource reads an address or a prefix of one source.
func parseSource(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return prefixOf(addr), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return oneSource(p)
}

type liftInput struct {
	Prefix string `path:"prefix" maxLength:"64" doc:"URL-escaped, as in 203.0.113.9%2F32; the address alone will do."`
}

func (a *API) lift(ctx context.Context, in *liftInput) (*struct{}, error) {
	var f faults
	prefix, ok := parseSource(in.Prefix)
	f.check(ok, "path.prefix", "%s", wantsOneSource)
	if err := f.err(); err != nil {
		return nil, err
	}
	if _, err := a.store.Platform().Lift(ctx, prefix, callOf(ctx).who); err != nil {
		return nil, a.failed(ctx, "ban", err)
	}
	a.announce(ctx)
	return nil, nil
}

func (a *API) banRoutes(h huma.API) {
	const path = "/api/v1/shield/bans"
	tags := []string{"bans"}
	route(a, h, huma.Operation{OperationID: "list-bans", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "Who is banned, and until when"}, Operator, a.bans)
	route(a, h, huma.Operation{OperationID: "ban", Method: http.MethodPost, Path: path, Tags: tags, MaxBodyBytes: smallBody,
		Summary: "Ban a source on every node", Description: "Takes the place of a ban the source may have. An allow list wins over it.", DefaultStatus: http.StatusCreated}, Operator, a.ban)
	route(a, h, huma.Operation{OperationID: "lift-ban", Method: http.MethodDelete, Path: path + "/{prefix}", Tags: tags,
		Summary: "Lift a ban", DefaultStatus: http.StatusNoContent}, Operator, a.lift)
	route(a, h, huma.Operation{OperationID: "list-past-bans", Method: http.MethodGet, Path: "/api/v1/shield/ban-history", Tags: tags,
		Summary: "Bans there were, newest first, those in force among them", Description: "Kept for 90 days after their end."}, Operator, a.pastBans)
}
