package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
)

// A fault is one thing wrong with a request, and where.
type fault struct{ path, message string }

// faults become one answer 422 with all of them.
type faults []fault

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, fault{path, fmt.Sprintf(format, args...)})
}

func (f *faults) check(ok bool, path, format string, args ...any) {
	if !ok {
		f.add(path, format, args...)
	}
}

// maxFaults is how many faults one answer names.
const maxFaults = 200

// under adds what a policy's document says is wrong with itself, below path.
func (f *faults) under(path string, err error) {
	var all policy.Faults
	switch {
	case err == nil:
	case errors.As(err, &all):
		for _, one := range all {
			f.add(join(path, one.Path), "%s", one.Message)
		}
	default:
		f.add(path, "%s", strings.TrimPrefix(err.Error(), "policy: "))
	}
}

func join(path, more string) string {
	if more == "" || strings.HasPrefix(more, "[") {
		return path + more
	}
	return path + "." + more
}

// err is f as an answer, or nil. A path that has a fault already is not blamed for
// what follows from it.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b fault) int { return strings.Compare(a.path, b.path) })
	var details []error
	seen := map[string]bool{}
	for i, one := range f {
		if seen[one.path] {
			continue
		}
		seen[one.path] = true
		if len(details) == maxFaults {
			details = append(details, &huma.ErrorDetail{Message: fmt.Sprintf("and %d more", len(f)-i)})
			break
		}
		details = append(details, &huma.ErrorDetail{Location: one.path, Message: one.message})
	}
	what := "one thing is wrong"
	if len(details) > 1 {
		what = fmt.Sprintf("%d things are wrong", len(seen))
	}
	return huma.NewError(http.StatusUnprocessableEntity, what, details...)
}

// failed is the answer to an error of the store. What the database said is for the log.
func (a *API) failed(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(err, tenancy.ErrNotFound):
		return huma.Error404NotFound("there is no such " + what)
	case errors.Is(err, tenancy.ErrFull):
		return huma.Error409Conflict("as many " + what + "s are kept as may be; lift some first")
	case errors.Is(ctx.Err(), context.Canceled):
		return huma.Error503ServiceUnavailable("the request was given up")
	}
	a.metrics.failures.Inc()
	a.log.Error("database", "what", what, "err", err)
	return huma.Error503ServiceUnavailable("the database does not answer; nothing was changed")
}

// writeProblem answers outside of huma in the same form.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(&huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		body = []byte("{}") // plain strings always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever asked is gone; there is nobody to tell
}
