package api

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// How long bodies may be.
const (
	smallBody    = 64 << 10
	accessBody   = 1 << 20
	documentBody = 16 << 20 // 50,000 list entries with their notes
	bodyLimit    = 15 * time.Second
)

// routes puts everything together: the API, its description, and the web page for
// whatever is not the API's.
func (a *API) routes(web http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	h := humago.New(mux, description())
	h.UseMiddleware(a.enter(h))
	a.policyRoutes(h)
	a.dryRunRoutes(h)
	a.explainRoutes(h)
	a.banRoutes(h)
	a.statsRoutes(h)
	a.companyRoutes(h)
	a.callRoutes(h)
	a.nodeRoutes(h)
	noNulls(h.OpenAPI())
	if err := describe(h.OpenAPI()); err != nil {
		return nil, err
	}

	inJSON, err := h.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("api: its description: %w", err)
	}
	inYAML, err := h.OpenAPI().YAML()
	if err != nil {
		return nil, fmt.Errorf("api: its description: %w", err)
	}
	mux.HandleFunc("GET /api/v1/openapi.json", constant("application/openapi+json", inJSON))
	mux.HandleFunc("GET /api/v1/openapi.yaml", constant("application/openapi+yaml", inYAML))
	mux.Handle("/api/", noRoute(mux))
	if web == nil {
		web = http.NotFoundHandler()
	}
	mux.Handle("/", web)
	return a.around(mux), nil
}

// noNulls says of lists that they are lists, maybe empty, which is what is written.
func noNulls(doc *huma.OpenAPI) {
	for _, s := range doc.Components.Schemas.Map() {
		for _, p := range s.Properties {
			p.Nullable = p.Nullable && p.Type != huma.TypeArray
		}
	}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Put, path.Post, path.Delete} {
			if op == nil {
				continue
			}
			for _, response := range op.Responses {
				for _, content := range response.Content {
					content.Schema.Nullable = false
				}
			}
		}
	}
}

func constant(kind string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	}
}

// noRoute answers what no route took, and says when another method would have been one.
func noRoute(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/api/" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeProblem(w, http.StatusMethodNotAllowed, "here are "+strings.Join(allowed, ", "))
			return
		}
		writeProblem(w, http.StatusNotFound, "there is nothing here; /api/v1/openapi.json lists what there is")
	})
}

// pagePolicy lets a page load only what core itself serves, and no script from
// within a page.
const pagePolicy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// around does for every request what does not depend on what it asks for.
func (a *API) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header().Set
		set("Content-Security-Policy", pagePolicy)
		set("X-Content-Type-Options", "nosniff")
		set("X-Frame-Options", "DENY")
		set("Referrer-Policy", "no-referrer")
		set("Cross-Origin-Opener-Policy", "same-origin")
		set("Cross-Origin-Resource-Policy", "same-origin")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			set("Cache-Control", "no-store")
		}
		// The server has no limits of its own, since Watch and stream take long. The
		// one for reading also ends its wait for a body that nobody asked for.
		c := &call{control: http.NewResponseController(w), from: r.RemoteAddr}
		if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			c.from = at.Addr().Unmap().String()
		}
		c.patience(writeLimit)
		_ = c.control.SetReadDeadline(time.Now().Add(bodyLimit))
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // it is this very value
					panic(v)
				}
				a.metrics.panics.Inc()
				a.log.Error("a request broke the API", "method", r.Method, "path", r.URL.Path, "panic", v)
				writeProblem(w, http.StatusInternalServerError, "that broke something; it is in the log")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// A call is what is known of a request beside what it says.
type call struct {
	who     string      // whose token it came with
	still   func() bool // whether that token still opens the operation
	token   Token
	from    string // the address it came from
	control *http.ResponseController
}

type callKey struct{}

// callOf is the call that ctx belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// speaker is the node that makes the call.
func (c *call) speaker(name, instance string) speaker {
	return speaker{nodeKey{name, instance}, c.from}
}

// patience gives the answer until so much later. A connection that cannot be told
// (a test's recorder) has no limit.
func (c *call) patience(d time.Duration) { _ = c.control.SetWriteDeadline(time.Now().Add(d)) }

// read ends the limit for reading: were it to pass while the answer is made, the
// server would take the caller for gone.
func (c *call) read() { _ = c.control.SetReadDeadline(time.Time{}) }

// enter lets in who has a token of the operation's scope, and counts.
func (a *API) enter(h huma.API) func(huma.Context, func(huma.Context)) {
	refuse := func(ctx huma.Context, status int, why, detail string) {
		a.metrics.refused.WithLabelValues(why).Inc()
		// An error here means that the caller is gone.
		_ = huma.WriteErr(h, ctx, status, detail)
	}
	return func(ctx huma.Context, next func(huma.Context)) {
		began := time.Now()
		op := ctx.Operation()
		defer func() {
			a.metrics.requests.WithLabelValues(op.OperationID, fmt.Sprint(ctx.Status())).Inc()
			a.metrics.seconds.WithLabelValues(op.OperationID).Observe(time.Since(began).Seconds())
		}()
		scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
		who, ok := a.tokens.who(strings.TrimSpace(token))
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="lindero"`)
			refuse(ctx, http.StatusUnauthorized, "token", "wants Authorization: Bearer and a token that core knows")
			return
		}
		if string(who.Scope) != scopeOf(op) {
			refuse(ctx, http.StatusForbidden, "scope", fmt.Sprintf("the token of %s is of scope %s; this wants %s", who.Name, who.Scope, scopeOf(op)))
			return
		}
		if kind := ctx.Header("Content-Type"); op.RequestBody != nil && kind != "" {
			if plain, _, err := mime.ParseMediaType(kind); err != nil || plain != "application/json" {
				refuse(ctx, http.StatusUnsupportedMediaType, "type", "wants application/json")
				return
			}
		}
		c := callOf(ctx.Context())
		c.who, c.token, c.still = who.Name, who, func() bool {
			now, ok := a.tokens.who(strings.TrimSpace(token))
			return ok && now.Name == who.Name // no two have one name
		}
		next(ctx)
	}
}

// scopeOf is the one scope an operation is for.
func scopeOf(op *huma.Operation) string {
	for scope := range op.Security[0] {
		return scope
	}
	return ""
}

// route adds an operation, with what all of them share.
func route[I, O any](a *API, h huma.API, op huma.Operation, scope Scope, do func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{string(scope): {}}}
	op.SkipValidateBody = true // body.decode does it, and says more
	op.BodyReadTimeout = bodyLimit
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	_, held := op.Metadata[held]
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		callOf(ctx).read()
		if !held {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, requestLimit)
			defer cancel()
		}
		return do(ctx, in)
	})
}

// held marks operations that take as long as there is nothing to say.
const held = "held"

func isHeld() map[string]any { return map[string]any{held: true} }

// answers describes an answer that is written as bytes.
func answers[T any](h huma.API, what string) map[string]*huma.Response {
	schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	return map[string]*huma.Response{"200": {Description: what, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}}
}

// description is what the OpenAPI document says of the whole.
func description() huma.Config {
	c := huma.DefaultConfig("Lindero", "1")
	c.Info.Description = "The shield of the border and those who pass it. Errors are problem+json (RFC 9457) with every fault and its place."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // served here, and without a script from elsewhere
	c.CreateHooks = nil                                   // no $schema in answers
	c.FieldsOptionalByDefault = false
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		string(Operator): {Type: "http", Scheme: "bearer", Description: "A token of scope operator."},
		string(Node):     {Type: "http", Scheme: "bearer", Description: "A token of scope node."},
	}
	return c
}
