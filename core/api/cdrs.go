package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// A CDRList is a page of records.
type CDRList struct {
	CDRs []CDR  `json:"cdrs" doc:"newest first"`
	Next string `json:"next" doc:"what before is for the next page; empty: this was the last"`
}

// A CDR is the record of a call that ended.
type CDR struct {
	ID          string            `json:"id"`
	Company     tenancy.CompanyID `json:"company"`
	CompanyName string            `json:"company_name"`
	From        string            `json:"from"`
	To          string            `json:"to"`
	CallID      string            `json:"call_id" doc:"of the caller's dialog"`
	Start       time.Time         `json:"start"`
	Answer      *time.Time        `json:"answer,omitempty" doc:"absent: never answered"`
	End         time.Time         `json:"end"`
	Verdict     string            `json:"verdict" doc:"ok, caller, callee, upstream or ours"`
	Code        int               `json:"code" doc:"the final SIP status"`
	HungUpBy    string            `json:"hung_up_by" doc:"caller, callee or core"`
	Reason      string            `json:"reason"`
	FromCaller  *Heard            `json:"from_caller,omitempty" doc:"what the caller said, as a relay took it in; absent: no relay told yet"`
	FromCallee  *Heard            `json:"from_callee,omitempty" doc:"what the caller was to hear"`
	Legs        []LegQuality      `json:"legs" doc:"all that relays told, which is a second or so behind the record"`
}

type cdrsInput struct {
	Company int64     `query:"company" minimum:"0" doc:"Of this company alone; 0: of all."`
	From    time.Time `query:"from" doc:"Begun at or after."`
	To      time.Time `query:"to" doc:"Begun before."`
	Limit   int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Before  string    `query:"before" maxLength:"120" doc:"Those after this place in the list, as next had it."`
}

type cdrsOutput struct {
	Body CDRList
}

func (a *API) cdrs(ctx context.Context, in *cdrsInput) (*cdrsOutput, error) {
	var f faults
	before, err := readPlace(in.Before)
	f.check(err == nil, "query.before", "is not what next was")
	if err := f.err(); err != nil {
		return nil, err
	}
	records, err := a.records(ctx, tenancy.CompanyID(in.Company), tenancy.CDRFilter{From: in.From, To: in.To, Before: before, Limit: in.Limit + 1})
	if err != nil {
		return nil, a.failed(ctx, "company", err)
	}
	out := &cdrsOutput{CDRList{CDRs: []CDR{}}}
	if len(records) > in.Limit {
		records = records[:in.Limit]
		last := records[in.Limit-1]
		out.Body.Next = strconv.FormatInt(last.Start.UnixMicro(), 10) + "." + last.ID
	}
	if len(records) == 0 {
		return out, nil
	}
	names, err := a.companyNames(ctx)
	if err != nil {
		return nil, err
	}
	heard, err := a.heard(ctx, tenancy.CompanyID(in.Company), records[len(records)-1].Start, records[0].Start)
	if err != nil {
		return nil, a.failed(ctx, "call", err)
	}
	for _, r := range records {
		out.Body.CDRs = append(out.Body.CDRs, cdrOf(r, names[r.Company], heard[recordKey{r.Company, r.ID}]))
	}
	return out, nil
}

// records are those of a company, or of all.
func (a *API) records(ctx context.Context, company tenancy.CompanyID, f tenancy.CDRFilter) ([]tenancy.CDR, error) {
	if company != 0 {
		if _, err := a.store.Tenant(company).Company(ctx); err != nil {
			return nil, err
		}
		return a.store.Tenant(company).Records(ctx, f)
	}
	var all []tenancy.CDR
	err := a.store.Platform().Records(ctx, f, func(c tenancy.CDR) error {
		all = append(all, c)
		return nil
	})
	return all, err
}

type recordKey struct {
	company tenancy.CompanyID
	id      string
}

// heard is what relays told of the records that began between two times.
func (a *API) heard(ctx context.Context, company tenancy.CompanyID, from, to time.Time) (map[recordKey][]tenancy.Quality, error) {
	all := map[recordKey][]tenancy.Quality{}
	take := func(q tenancy.Quality) error {
		key := recordKey{q.CDRCompany, q.CDR}
		all[key] = append(all[key], q)
		return nil
	}
	if company == 0 {
		return all, a.store.Platform().Qualities(ctx, from, to, take)
	}
	list, err := a.store.Tenant(company).Qualities(ctx, from, to)
	for _, q := range list {
		_ = take(q) // it never fails
	}
	return all, err
}

func cdrOf(r tenancy.CDR, company string, heard []tenancy.Quality) CDR {
	c := CDR{
		ID: r.ID, Company: r.Company, CompanyName: company, From: r.From, To: r.To, CallID: r.CallID,
		Start: r.Start.UTC(), End: r.End.UTC(), Verdict: string(r.Verdict), Code: r.Code, HungUpBy: r.HungUpBy, Reason: r.Reason,
		Legs: []LegQuality{},
	}
	if !r.Answer.IsZero() {
		at := r.Answer.UTC()
		c.Answer = &at
	}
	for _, q := range heard {
		c.Legs = append(c.Legs, LegQuality{
			Heard: heardOf(q), Side: string(q.Dialog.Side), From: from(q), CallID: q.CallID, Kind: q.Kind, Reason: q.EndReason,
		})
	}
	c.FromCaller, c.FromCallee = directions(heard)
	return c
}

// readPlace reads what next was: the start in microseconds, a dot, the ID.
func readPlace(text string) (tenancy.Place, error) {
	if text == "" {
		return tenancy.Place{}, nil
	}
	micros, id, ok := strings.Cut(text, ".")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || !ok || id == "" {
		return tenancy.Place{}, errors.New("api: no place in the list")
	}
	return tenancy.Place{Start: time.UnixMicro(at), ID: id}, nil
}
