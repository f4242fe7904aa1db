package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

// A Company is a customer of a brand.
type Company struct {
	ID     tenancy.CompanyID `json:"id"`
	Brand  string            `json:"brand"`
	Name   string            `json:"name"`
	Domain string            `json:"domain" doc:"its SIP domain"`
}

type companiesOutput struct {
	Body []Company
}

func (a *API) companies(ctx context.Context, _ *struct{}) (*companiesOutput, error) {
	all, err := a.store.Platform().Companies(ctx)
	if err != nil {
		return nil, a.failed(ctx, "company", err)
	}
	brands, err := a.store.Platform().Brands(ctx)
	if err != nil {
		return nil, a.failed(ctx, "brand", err)
	}
	out := make([]Company, len(all))
	for i, c := range all {
		out[i] = Company{ID: c.ID, Name: c.Name, Domain: c.Domain}
		if b := slices.IndexFunc(brands, func(b tenancy.Brand) bool { return b.ID == c.Brand }); b >= 0 {
			out[i].Brand = brands[b].Name
		}
	}
	return &companiesOutput{out}, nil
}

type companyInput struct {
	ID int64 `path:"id" minimum:"1"`
}

type accessOutput struct {
	ETag string `header:"ETag"`
	Body policy.Access
}

func (a *API) access(ctx context.Context, in *companyInput) (*accessOutput, error) {
	is, err := a.store.Tenant(tenancy.CompanyID(in.ID)).Access(ctx)
	if err != nil {
		return nil, a.failed(ctx, "company", err)
	}
	return a.accessOutput(is)
}

func (a *API) accessOutput(is tenancy.Access) (*accessOutput, error) {
	out := &accessOutput{ETag: etag(is.Revision)}
	if err := json.Unmarshal(is.Document, &out.Body); err != nil {
		a.log.Error("a company's access is kept but cannot be read", "err", err)
		return nil, huma.Error500InternalServerError("the company's access is kept but cannot be read")
	}
	return out, nil
}

type accessInput struct {
	ID      int64  `path:"id" minimum:"1"`
	IfMatch string `header:"If-Match" maxLength:"40" doc:"The ETag the change began from; 412 when somebody else was faster."`
	Body    body[policy.Access]
}

func (a *API) accessPut(ctx context.Context, in *accessInput) (*accessOutput, error) {
	var f faults
	access := in.Body.decode(&f)
	f.under("body", access.Validate())
	base := ifMatch(&f, in.IfMatch)
	if err := f.err(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(access)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("the document cannot be written: " + err.Error())
	}
	is, err := a.store.Tenant(tenancy.CompanyID(in.ID)).SetAccess(ctx, callOf(ctx).who, text, base)
	if errors.Is(err, tenancy.ErrConflict) {
		return nil, huma.Error412PreconditionFailed(fmt.Sprintf("the company's access is at revision %d, not %d", is.Revision, *base))
	}
	if err != nil {
		return nil, a.failed(ctx, "company", err)
	}
	return a.accessOutput(is)
}

type auditInput struct {
	Limit  int   `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Before int64 `query:"before" minimum:"0" doc:"Only those with an id below it: the next page."`
}

type auditOutput struct {
	Body []tenancy.Audit
}

func (a *API) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	all, err := a.store.Platform().Audits(ctx, in.Before, in.Limit)
	if err != nil {
		return nil, a.failed(ctx, "audit", err)
	}
	for i := range all {
		all[i].At = all[i].At.UTC()
	}
	return &auditOutput{append([]tenancy.Audit{}, all...)}, nil
}

func (a *API) companyRoutes(h huma.API) {
	tags := []string{"companies"}
	route(a, h, huma.Operation{OperationID: "list-companies", Method: http.MethodGet, Path: "/api/v1/companies", Tags: tags,
		Summary: "All companies"}, Operator, a.companies)
	route(a, h, huma.Operation{OperationID: "get-company-access", Method: http.MethodGet, Path: "/api/v1/companies/{id}/access", Tags: tags,
		Summary: "From where a company's people may call"}, Operator, a.access)
	route(a, h, huma.Operation{OperationID: "put-company-access", Method: http.MethodPut, Path: "/api/v1/companies/{id}/access", Tags: tags, MaxBodyBytes: accessBody,
		Summary: "Say from where a company's people may call", Description: "Replaces the whole. An empty list never means nobody."}, Operator, a.accessPut)
	route(a, h, huma.Operation{OperationID: "list-audit", Method: http.MethodGet, Path: "/api/v1/shield/audit", Tags: []string{"audit"},
		Summary: "Changes that people made, newest first"}, Operator, a.audit)
}
