// Package registrar answers REGISTER: it turns the Contacts of a request into
// changes of a terminal's bindings (RFC 3261 §10.3, with Path of RFC 3327 and the
// instances of RFC 5626). Who sent the request and whether they may is settled
// before, by core/auth and core/front.go; bindings are kept by core/store.
package registrar

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
)

// Config says how long and how many. The zero value of a field means its default.
type Config struct {
	MinExpires  time.Duration // shorter wishes get 423; at most an hour (RFC 3261 §10.3 step 6); default 60 s
	MaxExpires  time.Duration // longer wishes are cut to it; default 2 h
	MaxBindings int           // live bindings of one terminal; one more gets 403; default 10
}

// defaultExpires holds when a phone asks for nothing, or for what is no number
// (RFC 3261 §10.2.1.1, §10.3 step 6).
const defaultExpires = time.Hour

// A Registrar answers REGISTER requests. It keeps nothing between them, so its
// methods may be called from any goroutine; requests of one Call-ID should come
// in order.
type Registrar struct {
	cfg Config
	now func() time.Time
}

// Bindings keeps the bindings of one company's terminals. ChangeBindings does all
// of a change or nothing; it returns tenancy.ErrOutOfOrder when a binding was made
// by a newer request meanwhile.
type Bindings interface {
	BindingsOf(ctx context.Context, terminal tenancy.TerminalID) ([]tenancy.Binding, error)
	ChangeBindings(ctx context.Context, terminal tenancy.TerminalID, c tenancy.BindingChange) error
}

// New makes a Registrar.
func New(cfg Config) *Registrar {
	if cfg.MinExpires <= 0 {
		cfg.MinExpires = time.Minute
	}
	cfg.MinExpires = min(cfg.MinExpires, time.Hour)
	if cfg.MaxExpires <= 0 {
		cfg.MaxExpires = 2 * time.Hour
	}
	cfg.MaxExpires = max(cfg.MaxExpires, cfg.MinExpires)
	if cfg.MaxBindings <= 0 {
		cfg.MaxBindings = 10
	}
	return &Registrar{cfg: cfg, now: time.Now}
}

// Register carries out req for terminal d, whose credentials it carried, and says
// what to answer. source is where the phone was seen; it is kept with the
// binding. An error is a failure of the database; the answer then is a 500 all
// the same.
func (r *Registrar) Register(ctx context.Context, req *sip.Message, d tenancy.Terminal, source string, b Bindings) (sip.Response, error) {
	after, err := r.register(ctx, req, d, source, b)
	var no *reject
	switch {
	case errors.As(err, &no):
		return no.Response, nil
	case errors.Is(err, tenancy.ErrOutOfOrder):
		return outOfOrder().Response, nil
	case err != nil:
		return sip.Response{Code: 500}, fmt.Errorf("registrar: %w", err)
	}
	return r.answer(req, after), nil
}

// register is the order of RFC 3261 §10.3 from step 5 on. It returns the bindings
// there are afterwards.
func (r *Registrar) register(ctx context.Context, req *sip.Message, d tenancy.Terminal, source string, b Bindings) ([]tenancy.Binding, error) {
	if err := understood(req); err != nil {
		return nil, err
	}
	w, err := r.read(req, source)
	if err != nil {
		return nil, err
	}
	live, err := b.BindingsOf(ctx, d.ID)
	if err != nil || !w.star && len(w.contacts) == 0 {
		return live, err
	}
	change, after, err := r.plan(w, live, d)
	if err != nil {
		return nil, err
	}
	if len(change.Put)+len(change.Drop) == 0 {
		return after, nil
	}
	return after, b.ChangeBindings(ctx, d.ID, change)
}

// understood refuses what the phone insists on and we do not do (RFC 3261 §8.2.2.3).
func understood(req *sip.Message) error {
	var not []byte
	for i := req.Index(sip.Require); i >= 0; i = req.Next(i) {
		for v, rest := sip.NextValue(req.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			if option := string(v); !strings.EqualFold(option, "path") && !strings.EqualFold(option, "outbound") {
				not = append(append(not, ", "...), option...)
			}
		}
	}
	if len(not) == 0 {
		return nil
	}
	no := refuse(420, "")
	no.Headers = append(append([]byte("Unsupported: "), not[2:]...), "\r\n"...)
	return no
}

// A reject is a decision to answer with a failure.
type reject struct{ sip.Response }

func (r *reject) Error() string { return strconv.Itoa(r.Code) + " " + r.Reason }

func refuse(code int, reason string) *reject {
	return &reject{sip.Response{Code: code, Reason: reason}}
}

// outOfOrder is the failure of RFC 3261 §10.3 steps 6 and 7: the CSeq is not
// higher than that of the request which made the binding.
func outOfOrder() *reject { return refuse(500, "CSeq Out of Order") }
