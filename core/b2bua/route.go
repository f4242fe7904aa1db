package b2bua

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	wire "github.com/lindero/lindero/wire/sip"
)

// A reject is a decision to refuse a request. Any other error is our own fault.
type reject struct {
	code    int
	verdict tenancy.Verdict
	reason  string // for the CDR
	extra   []sip.Header
}

func (r *reject) Error() string { return fmt.Sprintf("b2bua: %d %s", r.code, r.reason) }

func deny(code int, verdict tenancy.Verdict, reason string, extra ...sip.Header) error {
	return &reject{code: code, verdict: verdict, reason: reason, extra: extra}
}

// begin takes a new call to where it leads. Read it from the top: this is the
// order in which a caller's INVITE meets us.
func (c *call) begin(t *serverTx) {
	if c.over {
		return // cancelled before it began
	}
	to, err := c.admit(t.req)
	if t.wasCancelled() {
		return // while the directory was asked; the event is on its way
	}
	if err == nil {
		c.log.Info("call began", "company", c.cdr.Company, "from", number(c.cdr.From), "to", number(c.cdr.To))
		err = c.connect(to, t.req)
	}
	if err != nil {
		c.finish(c.endingOf(err))
	}
}

// endingOf says which end err deserves.
func (c *call) endingOf(err error) ending {
	var r *reject
	if errors.As(err, &r) {
		return ending{verdict: r.verdict, code: r.code, by: byCore, reason: r.reason, extra: r.extra}
	}
	c.log.Error("b2bua: a call failed", "err", err)
	return ending{verdict: tenancy.Ours, code: sip.StatusInternalServerError, by: byCore, reason: "internal error"}
}

// admit checks the INVITE, finds out who calls, and what was dialled.
func (c *call) admit(req *sip.Request) (tenancy.Extension, error) {
	var none tenancy.Extension
	caller, err := callerOf(req)
	if err != nil {
		return none, err
	}
	c.tenant = c.b.cfg.Directory(caller.company)
	c.cdr.Company, c.cdr.CallerUser, c.cdr.To = caller.company, caller.user, userOf(&req.Recipient)
	if err := c.check(req); err != nil {
		return none, err
	}
	if err := c.roam(caller); err != nil {
		return none, err
	}
	err = c.lookup(func(ctx context.Context) (err error) {
		if c.company, err = c.tenant.Company(ctx); err != nil {
			return fmt.Errorf("b2bua: the caller's company: %w", err)
		}
		c.caller.who, err = identify(ctx, c.tenant, caller.user)
		return err
	})
	if err != nil {
		return none, err
	}
	c.cdr.From = string(c.caller.who.number)
	if header(req, "replaces") != "" {
		return none, nil // what was dialled is the dialog's, not a number
	}
	if elsewhere(&req.Recipient, c.company.Domain) {
		return none, deny(sip.StatusNotFound, tenancy.Caller, "another domain's number")
	}
	return c.extension(c.cdr.To)
}

// check refuses an INVITE that cannot be served whoever sends it.
func (c *call) check(req *sip.Request) error {
	uri, err := uriOf(header(req, "contact"))
	if err != nil {
		return deny(sip.StatusBadRequest, tenancy.Caller, "no usable Contact")
	}
	c.caller.target = uri
	if hops, ok := wire.ParseInt([]byte(header(req, "max-forwards"))); ok && hops == 0 {
		return deny(sip.StatusTooManyHops, tenancy.Caller, "too many hops")
	}
	if bad := unsupported(req); bad != "" {
		return deny(sip.StatusBadExtension, tenancy.Caller, "requires "+bad, sip.NewHeader("Unsupported", bad))
	}
	c.caller.hears(bodyOf(req))
	return c.caller.se.asked(req, c.b.cfg.Timing)
}

// unsupported is the first required option that is not ours (RFC 3261 §8.2.2.3).
func unsupported(req *sip.Request) string {
	for _, option := range values(req, "require") {
		switch lower(option) {
		case "timer", "replaces", "path", "outbound":
		default:
			return option
		}
	}
	return ""
}

// origin is who sends a request, as core/front found out.
type origin struct {
	company tenancy.CompanyID
	user    tenancy.UserID
	roaming int // this call is one of so many that the user may have at one time; 0: not bounded
}

// callerOf reads the Lindero-Caller header:
// "<company>;user=<id>;terminal=<id>[;roaming=<calls>]".
func callerOf(req *sip.Request) (origin, error) {
	value, params := split(header(req, "lindero-caller"))
	company, err := strconv.ParseInt(value, 10, 64)
	if err != nil || company <= 0 {
		return origin{}, deny(sip.StatusForbidden, tenancy.Caller, "nobody we know")
	}
	user, _ := wire.Param(params, "user")
	id, err := strconv.ParseInt(string(user), 10, 64)
	if err != nil {
		return origin{}, deny(sip.StatusForbidden, tenancy.Caller, "nobody we know")
	}
	o := origin{company: tenancy.CompanyID(company), user: tenancy.UserID(id)}
	if calls, bounded := wire.Param(params, "roaming"); bounded {
		if o.roaming, err = strconv.Atoi(string(calls)); err != nil || o.roaming <= 0 {
			return origin{}, deny(sip.StatusForbidden, tenancy.Caller, "nobody we know")
		}
	}
	return o, nil
}

// lookup runs directory queries within their time limit.
func (c *call) lookup(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.b.cfg.Timing.Lookup)
	defer cancel()
	return f(ctx)
}

// identify finds a user's number and name. A user without an extension has no number.
func identify(ctx context.Context, t Tenant, id tenancy.UserID) (who, error) {
	u, err := t.User(ctx, id)
	if err != nil {
		return who{}, fmt.Errorf("b2bua: user %d: %w", id, err)
	}
	e, err := t.ExtensionOf(ctx, id)
	if err != nil && !errors.Is(err, tenancy.ErrNotFound) {
		return who{}, fmt.Errorf("b2bua: extension of user %d: %w", id, err)
	}
	w := who{user: id, number: number(e.Number), name: u.Name}
	if w.number == "" {
		w.number = "anonymous"
	}
	return w, nil
}

// extension finds what a number leads to.
func (c *call) extension(dialled string) (tenancy.Extension, error) {
	var e tenancy.Extension
	err := c.lookup(func(ctx context.Context) (err error) {
		e, err = c.tenant.Extension(ctx, dialled)
		return err
	})
	if errors.Is(err, tenancy.ErrNotFound) || err == nil && dialled == "" {
		return e, deny(sip.StatusNotFound, tenancy.Caller, "no such extension")
	}
	if err != nil {
		return e, fmt.Errorf("b2bua: extension: %w", err)
	}
	return e, nil
}

// bindings finds where a user's phones are.
func bindings(ctx context.Context, t Tenant, id tenancy.UserID) ([]tenancy.Binding, error) {
	found, err := t.Bindings(ctx, id)
	if err != nil && !errors.Is(err, tenancy.ErrNotFound) {
		return nil, fmt.Errorf("b2bua: bindings of user %d: %w", id, err)
	}
	if len(found) == 0 {
		return nil, deny(sip.StatusTemporarilyUnavailable, tenancy.Callee, "not registered")
	}
	return found, nil
}

// connect takes the caller to the extension.
func (c *call) connect(to tenancy.Extension, req *sip.Request) error {
	offer := bodyOf(req)
	if r := header(req, "replaces"); r != "" {
		return c.replace(r, offer)
	}
	if to.Kind != tenancy.ToUser {
		return c.answerByVoice(to.Kind, offer)
	}
	c.cdr.CalleeUser = to.User
	a := &attempt{
		c: c, caller: c.caller.who, dialled: to.Number, user: to.User, offer: offer,
		hops: hopsLeft(req), extra: passed(req, inviteHeaders),
		progress: c.progress, answered: c.answered, failed: c.unanswered,
	}
	return a.start()
}

// hopsLeft is Max-Forwards minus one.
func hopsLeft(req *sip.Request) int {
	n, ok := wire.ParseInt([]byte(header(req, "max-forwards")))
	if !ok || n > 255 {
		n = 70
	}
	return int(n) - 1
}

// Headers that pass from one side to the other. Everything else says something
// about a dialog or a hop, and those are ours.
const (
	inviteHeaders = "subject priority alert-info accept-language"
	insideHeaders = "subject info-package recv-info content-language content-encoding mime-version accept event"
)

// passed copies the named headers of a message.
func passed(m sip.Message, names string) []sip.Header {
	var all []sip.Header
	for _, name := range splitFields(names) {
		for _, v := range headers(m, name) {
			all = append(all, sip.NewHeader(canonical(name), v))
		}
	}
	return all
}
