package registrar

import (
	"slices"
	"strings"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
)

// Keys of bindings begin with how they are told apart.
const (
	flowKey    = "flow:"    // by instance and reg-id (RFC 5626 §6)
	contactKey = "contact:" // by Contact URI (RFC 3261 §10.3 step 7)
)

// plan says what a wish changes in the live bindings of a terminal, and what is
// there afterwards.
func (r *Registrar) plan(w *wish, live []tenancy.Binding, d tenancy.Terminal) (c tenancy.BindingChange, after []tenancy.Binding, err error) {
	if w.star {
		for _, b := range live {
			if !w.newer(b) {
				return c, nil, outOfOrder()
			}
			c.Drop = append(c.Drop, w.drop(b))
		}
		return c, nil, nil
	}
	after = slices.Clone(live)
	for _, want := range w.contacts {
		at := find(after, want)
		if at >= 0 && slices.ContainsFunc(c.Put, func(p tenancy.Binding) bool { return p.Key == after[at].Key }) {
			return c, nil, refuse(400, "Contact Given Twice")
		}
		switch {
		case at >= 0 && !w.newer(after[at]):
			return c, nil, outOfOrder()
		case at >= 0 && want.expires == 0:
			c.Drop = append(c.Drop, w.drop(after[at]))
			after = slices.Delete(after, at, at+1)
		case at >= 0:
			after[at] = r.binding(w, want, d, after[at].Key)
			c.Put = append(c.Put, after[at])
		case want.expires > 0:
			b := r.binding(w, want, d, keyOf(want))
			c.Put, c.Tidy = append(c.Put, b), true
			after = append(after, b)
		}
	}
	if c.Tidy && len(after) > r.cfg.MaxBindings {
		return c, nil, refuse(403, "Too Many Bindings")
	}
	return c, after, nil
}

// newer tells whether w may change b (RFC 3261 §10.3 step 7).
func (w *wish) newer(b tenancy.Binding) bool { return b.CallID != w.callID || b.CSeq < w.cseq }

func (w *wish) drop(b tenancy.Binding) tenancy.Binding {
	b.CallID, b.CSeq = w.callID, w.cseq
	return b
}

func (r *Registrar) binding(w *wish, c contact, d tenancy.Terminal, key string) tenancy.Binding {
	now := r.now()
	return tenancy.Binding{
		Company: d.Company, Terminal: d.ID, User: d.User, Key: key,
		Contact: c.uri, Params: c.params, Path: w.path, CallID: w.callID, CSeq: w.cseq,
		UserAgent: w.agent, Source: w.source, Expires: now.Add(c.expires), Updated: now,
	}
}

func keyOf(c contact) string {
	if c.flow != "" {
		return flowKey + c.flow
	}
	return contactKey + c.uri
}

// find is the binding that c names, or -1. A flow is named by instance and reg-id
// alone, so a phone that comes back with another address finds its own; anything
// else by its URI.
func find(all []tenancy.Binding, c contact) int {
	if c.flow != "" {
		return slices.IndexFunc(all, func(b tenancy.Binding) bool { return b.Key == flowKey+c.flow })
	}
	if i := slices.IndexFunc(all, func(b tenancy.Binding) bool { return b.Contact == c.uri }); i >= 0 {
		return i
	}
	u, err := sip.ParseURI([]byte(c.uri))
	if err != nil {
		return -1
	}
	return slices.IndexFunc(all, func(b tenancy.Binding) bool {
		have, err := sip.ParseURI([]byte(b.Contact))
		return err == nil && sameURI(u, have)
	})
}

func sipScheme(u sip.URI) bool {
	s := string(u.Scheme)
	return strings.EqualFold(s, "sip") || strings.EqualFold(s, "sips")
}
