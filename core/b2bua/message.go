package b2bua

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// maxMessages is how many MESSAGEs may be on their way at once.
const maxMessages = 1000

// newMessage takes a MESSAGE outside a dialog (RFC 3428) to all phones of whom it is for.
func (b *B2BUA) newMessage(t *serverTx) {
	select {
	case b.messages <- struct{}{}:
	default:
		t.refuse(sip.StatusServiceUnavailable, sip.NewHeader("Retry-After", "5"))
		return
	}
	b.work.Go(func() {
		defer func() { <-b.messages }()
		defer func() {
			if r := recover(); r != nil {
				b.metrics.panics.Inc()
				b.log.Error("b2bua: panic in a MESSAGE", "panic", r, "stack", string(debug.Stack()))
				t.refuse(sip.StatusInternalServerError)
			}
		}()
		code, err := b.message(t.req)
		var r *reject
		switch {
		case errors.As(err, &r):
			t.refuse(r.code, r.extra...)
		case err != nil:
			b.log.Error("b2bua: a MESSAGE failed", "err", err)
			t.refuse(sip.StatusInternalServerError)
		default:
			t.refuse(code)
		}
	})
}

// message routes a MESSAGE and returns the code it deserves: the first 2xx of any
// phone, else the best of what they said.
func (b *B2BUA) message(req *sip.Request) (int, error) {
	from, err := callerOf(req)
	if err != nil {
		return 0, err
	}
	if hopsLeft(req) < 0 {
		return 0, deny(sip.StatusTooManyHops, tenancy.Caller, "too many hops")
	}
	if bad := unsupported(req); bad != "" {
		return 0, deny(sip.StatusBadExtension, tenancy.Caller, "requires "+bad, sip.NewHeader("Unsupported", bad))
	}
	sends, err := b.addressed(req, from)
	if err != nil {
		return 0, err
	}
	limit := time.NewTimer(64 * b.cfg.Timing.T1)
	defer limit.Stop()
	answers := make(chan int, len(sends))
	for _, send := range sends {
		send(answers)
	}
	best := 0
	for range sends {
		select {
		case code := <-answers:
			if code/100 == 2 {
				return code, nil
			}
			if better(code, best) {
				best = code
			}
		case <-limit.C:
			return sip.StatusRequestTimeout, nil
		}
	}
	code, _ := forCaller(best)
	return code, nil
}

// addressed prepares one sending for every phone a MESSAGE is for.
func (b *B2BUA) addressed(req *sip.Request, from origin) ([]func(chan<- int), error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Timing.Lookup)
	defer cancel()
	t := b.cfg.Directory(from.company)
	company, err := t.Company(ctx)
	if err != nil {
		return nil, fmt.Errorf("b2bua: the sender's company: %w", err)
	}
	sender, err := identify(ctx, t, from.user)
	if err != nil {
		return nil, err
	}
	to, err := t.Extension(ctx, userOf(&req.Recipient))
	if errors.Is(err, tenancy.ErrNotFound) || err == nil && elsewhere(&req.Recipient, company.Domain) {
		return nil, deny(sip.StatusNotFound, tenancy.Caller, "no such extension")
	}
	if err != nil {
		return nil, fmt.Errorf("b2bua: extension: %w", err)
	}
	if to.Kind != tenancy.ToUser {
		return nil, deny(sip.StatusTemporarilyUnavailable, tenancy.Callee, "nobody reads there")
	}
	found, err := bindings(ctx, t, to.User)
	if err != nil {
		return nil, err
	}
	var sends []func(chan<- int)
	for _, binding := range found {
		l := &leg{b: b, callID: token(16), localTag: token(8), routes: binding.Path}
		l.local = nameAddr(sender.name, string(sender.number), company.Domain) + ";tag=" + l.localTag
		l.remote = nameAddr("", to.Number, company.Domain)
		sends = append(sends, func(answers chan<- int) { b.sendMessage(l, binding, req, answers) })
	}
	return sends, nil
}

// sendMessage sends one copy; exactly one final code goes to answers.
func (b *B2BUA) sendMessage(l *leg, binding tenancy.Binding, req *sip.Request, answers chan<- int) {
	if err := sip.ParseUri(binding.Contact, &l.target); err != nil {
		answers <- sip.StatusServiceUnavailable
		return
	}
	to, ok := l.hop()
	if !ok {
		answers <- sip.StatusServiceUnavailable
		return
	}
	m := l.compose(sip.MESSAGE, 1, passed(req, insideHeaders)...)
	m.RemoveHeader("Max-Forwards")
	addHeader(m, "Max-Forwards", itoa(hopsLeft(req)))
	setBody(m, bodyOf(req))
	_, err := b.request(m, to, func(res *sip.Response, err error) {
		if o := outcomeOf(res, err); o.final() {
			answers <- o.code
		}
	})
	if err != nil {
		answers <- sip.StatusServiceUnavailable
	}
}
