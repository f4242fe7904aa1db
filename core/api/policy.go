package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

// versionOutput is a version with its number as the tag.
type versionOutput struct {
	ETag string `header:"ETag"`
	Body policy.Version
}

func output(v policy.Version) *versionOutput { return &versionOutput{etag(v.Number), v} }

func etag(n uint64) string { return fmt.Sprintf(`"%d"`, n) }

// ifMatch reads a tag of ours; nil for none, or for any.
func ifMatch(f *faults, tag string) *uint64 {
	if tag == "" || tag == "*" {
		return nil
	}
	n, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 64)
	f.check(err == nil, "header.If-Match", `wants an ETag as it was given, such as "7"`)
	return &n
}

func (a *API) policyNow(context.Context, *struct{}) (*versionOutput, error) {
	n, _ := a.board.look()
	return output(n.policy), nil
}

// A PolicyChange puts a policy into force.
type PolicyChange struct {
	Document    policy.Document `json:"document"`
	Note        string          `json:"note" required:"false" maxLength:"300" doc:"why"`
	BaseVersion *uint64         `json:"base_version,omitempty" doc:"refuse when another version is in force"`
}

type policyPutInput struct {
	IfMatch string `header:"If-Match" maxLength:"40" doc:"The ETag the change began from; as base_version, but answered with 412."`
	Body    body[PolicyChange]
}

func (a *API) policyPut(ctx context.Context, in *policyPutInput) (*versionOutput, error) {
	var f faults
	put := in.Body.decode(&f)
	checkDocument(&f, "body.document", put.Document)
	checkNote(&f, "body.note", put.Note)
	tag := ifMatch(&f, in.IfMatch)
	if err := f.err(); err != nil {
		return nil, err
	}
	return a.putVersion(ctx, put.Document, put.Note, "policy.put", put.BaseVersion, tag)
}

// putVersion puts a document into force. It returns when every node that waits has
// been told.
func (a *API) putVersion(ctx context.Context, d policy.Document, note, action string, base, tag *uint64) (*versionOutput, error) {
	conflict := http.StatusConflict
	if tag != nil && base == nil {
		base, conflict = tag, http.StatusPreconditionFailed
	}
	if tag != nil && *tag != *base {
		return nil, huma.Error422UnprocessableEntity("If-Match and base_version name different versions")
	}
	if n, _ := a.board.look(); n.fault != "" && base != nil && *base == n.policy.Number {
		base = &n.revisions.Policy // the change began from what is in force, which is older than what was put last
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("the document cannot be written: " + err.Error())
	}
	v, err := a.store.Platform().PutPolicy(ctx, tenancy.PolicyVersion{Document: text, Author: callOf(ctx).who, Note: note}, action, base)
	if errors.Is(err, tenancy.ErrConflict) {
		return nil, huma.NewError(conflict, fmt.Sprintf("version %d is in force, not %d: %s changed it%s", v.Number, *base, v.Author, at(v)))
	}
	if err != nil {
		return nil, a.failed(ctx, "policy", err)
	}
	a.announce(ctx)
	out, err := versionOf(v)
	if err != nil {
		return nil, err
	}
	a.log.Info("policy", "version", v.Number, "action", action, "by", v.Author, "note", v.Note)
	return output(out), nil
}

func at(v tenancy.PolicyVersion) string {
	if v.Made.IsZero() {
		return ""
	}
	return " at " + policy.When(v.Made)
}

// announce shows what was changed just now. When it cannot, the change is kept all
// the same, and the board's own look finds it.
func (a *API) announce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollLimit)
	defer cancel()
	if err := a.board.refresh(ctx); err != nil {
		a.log.Error("a change is kept, but nodes hear of it later", "err", err)
	}
}

func checkNote(f *faults, path, note string) {
	f.check(len(note) <= maxPhrase, path, "%d bytes; at most %d", len(note), maxPhrase)
	f.check(oneLine(note) == note || len(note) > maxPhrase, path, "must be one line of text")
}

// checkDocument adds why a document cannot be in force: what is wrong with it, or
// that no filter has room for it, in which case every node would refuse it.
func checkDocument(f *faults, path string, d policy.Document) {
	_, err := policy.Compile(d, 0, time.Now())
	f.under(path, err)
}

type limitInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type versionsOutput struct {
	Body []policy.Version
}

func (a *API) policyVersions(ctx context.Context, in *limitInput) (*versionsOutput, error) {
	all, err := a.store.Platform().Policies(ctx, in.Limit)
	if err != nil {
		return nil, a.failed(ctx, "policy", err)
	}
	out := make([]policy.Version, 0, len(all))
	for _, v := range all {
		one, err := versionOf(v)
		if err != nil {
			continue // the board says that it is not in force; asked for by its number it says why
		}
		out = append(out, one)
	}
	return &versionsOutput{out}, nil
}

type versionInput struct {
	Number uint64 `path:"n" maximum:"9223372036854775807" doc:"0 is the built-in version."`
}

func (a *API) policyVersion(ctx context.Context, in *versionInput) (*versionOutput, error) {
	v, err := a.version(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return output(v), nil
}

// version is readVersion with an answer for what is not there.
func (a *API) version(ctx context.Context, n uint64) (policy.Version, error) {
	v, err := readVersion(ctx, a.store, n)
	if errors.Is(err, errUnusable) {
		return v, huma.Error409Conflict(fmt.Sprintf("version %d is kept, but this program cannot read it: another wrote it, or it is damaged", n))
	}
	if err != nil {
		return v, a.failed(ctx, "version of the policy", err)
	}
	return v, nil
}

// A PolicyRollback puts an earlier version into force again.
type PolicyRollback struct {
	Version     uint64  `json:"version" doc:"whose document comes into force again, as a new version; 0 is the built-in one"`
	Note        string  `json:"note" required:"false" maxLength:"300" doc:"why"`
	BaseVersion *uint64 `json:"base_version,omitempty" doc:"refuse when another version is in force"`
}

type rollbackInput struct {
	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    body[PolicyRollback]
}

func (a *API) policyRollback(ctx context.Context, in *rollbackInput) (*versionOutput, error) {
	var f faults
	r := in.Body.decode(&f)
	checkNote(&f, "body.note", r.Note)
	f.check(r.Version < 1<<63, "body.version", "is no version")
	tag := ifMatch(&f, in.IfMatch)
	if err := f.err(); err != nil {
		return nil, err
	}
	v, err := a.version(ctx, r.Version)
	if err != nil {
		return nil, err
	}
	if r.Note == "" {
		r.Note = fmt.Sprintf("back to version %d", r.Version)
	}
	checkDocument(&f, "version", v.Document)
	if err := f.err(); err != nil {
		return nil, err // it was put by a program with other rules
	}
	return a.putVersion(ctx, v.Document, r.Note, "policy.rollback", r.BaseVersion, tag)
}

// A PolicyDiffRequest names the two documents to compare.
type PolicyDiffRequest struct {
	From     *uint64          `json:"from,omitempty" doc:"a version; default the one in force"`
	To       *uint64          `json:"to,omitempty" doc:"a version"`
	Document *policy.Document `json:"document,omitempty" doc:"instead of to"`
}

// A PolicyDiff is what one document changes in another.
type PolicyDiff struct {
	Changes  []policy.Change `json:"changes"`
	Warnings []string        `json:"warnings" doc:"parts of the later document that have no effect, or a wide one"`
}

type diffInput struct {
	Body body[PolicyDiffRequest]
}

type diffOutput struct {
	Body PolicyDiff
}

func (a *API) policyDiff(ctx context.Context, in *diffInput) (*diffOutput, error) {
	var f faults
	d := in.Body.decode(&f)
	f.check((d.To == nil) != (d.Document == nil), "body", "wants either to, a version, or document")
	if d.Document != nil {
		f.under("body.document", d.Document.Validate())
	}
	for path, n := range map[string]*uint64{"body.from": d.From, "body.to": d.To} {
		f.check(n == nil || *n < 1<<63, path, "is no version")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	n, _ := a.board.look()
	from, to := n.policy.Document, policy.Document{}
	if d.From != nil {
		v, err := a.version(ctx, *d.From)
		if err != nil {
			return nil, err
		}
		from = v.Document
	}
	if d.Document != nil {
		to = *d.Document
	} else {
		v, err := a.version(ctx, *d.To)
		if err != nil {
			return nil, err
		}
		to = v.Document
	}
	return &diffOutput{PolicyDiff{
		Changes: append([]policy.Change{}, policy.Diff(from, to)...), Warnings: append([]string{}, to.Warnings(a.bench().now)...),
	}}, nil
}

func (a *API) policyRoutes(h huma.API) {
	const path = "/api/v1/shield/policy"
	tags := []string{"policy"}
	route(a, h, huma.Operation{OperationID: "get-policy", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "The policy in force", Description: "Version 0 is the built-in policy, which is in force until one is put."}, Operator, a.policyNow)
	route(a, h, huma.Operation{OperationID: "put-policy", Method: http.MethodPut, Path: path, Tags: tags, MaxBodyBytes: documentBody,
		Summary: "Put a policy into force", Description: "Answered when every node that waits has been told. With base_version or If-Match, refused when somebody else was faster (409 or 412)."}, Operator, a.policyPut)
	route(a, h, huma.Operation{OperationID: "list-policy-versions", Method: http.MethodGet, Path: path + "/versions", Tags: tags,
		Summary: "Versions there were, newest first", Description: "With their documents; where those are very long the list ends before its limit."}, Operator, a.policyVersions)
	route(a, h, huma.Operation{OperationID: "get-policy-version", Method: http.MethodGet, Path: path + "/versions/{n}", Tags: tags,
		Summary: "One version"}, Operator, a.policyVersion)
	route(a, h, huma.Operation{OperationID: "rollback-policy", Method: http.MethodPost, Path: path + "/rollback", Tags: tags, MaxBodyBytes: smallBody,
		Summary: "Put an earlier version into force again"}, Operator, a.policyRollback)
	route(a, h, huma.Operation{OperationID: "diff-policy", Method: http.MethodPost, Path: path + "/diff", Tags: tags, MaxBodyBytes: documentBody,
		Summary: "What one policy changes in another"}, Operator, a.policyDiff)
}
