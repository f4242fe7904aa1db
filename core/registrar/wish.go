package registrar

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// Limits of what a phone can make us keep, in bytes and values.
const (
	maxText     = 1024 // a Contact URI, its parameters, all of Path
	maxPath     = 8
	maxAgent    = 128
	maxContacts = 32 // in one request, removals included
)

// A wish is a REGISTER as read, before any binding was looked at.
type wish struct {
	callID   string
	cseq     uint32
	agent    string
	source   string
	path     []string
	star     bool // Contact: *
	contacts []contact
}

// A contact is one value of Contact.
type contact struct {
	uri     string
	params  string // but expires
	flow    string // instance and reg-id (RFC 5626 §4), empty without both
	expires time.Duration
}

func (r *Registrar) read(req *sip.Message, source string) (*wish, error) {
	w := &wish{
		callID: text(req.Get(sip.CallID)), cseq: req.CSeqNumber, source: source,
		agent: cut(text(req.Get(sip.UserAgent)), maxAgent),
	}
	if err := w.readPath(req); err != nil {
		return nil, err
	}
	for i := req.Index(sip.Contact); i >= 0; i = req.Next(i) {
		for v, rest := sip.NextValue(req.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			if w.star || len(w.contacts) == maxContacts {
				return nil, refuse(400, "Bad Contact")
			}
			if string(v) == "*" {
				w.star = true
				continue
			}
			c, err := r.readContact(req, v)
			if err != nil {
				return nil, err
			}
			w.contacts = append(w.contacts, c)
		}
	}
	return w, w.check(req)
}

// check looks at the request as a whole.
func (w *wish) check(req *sip.Message) error {
	if w.star {
		// RFC 3261 §10.3 step 6.
		if e, ok := sip.ParseInt(req.Get(sip.Expires)); len(w.contacts) > 0 || !ok || e != 0 {
			return refuse(400, "Contact * Wants Expires 0 and No Other Contact")
		}
	}
	flows := 0
	for _, c := range w.contacts {
		if c.flow != "" && c.expires > 0 {
			flows++
		}
	}
	if flows > 1 { // RFC 5626 §6
		return refuse(400, "More Than One reg-id")
	}
	if flows == 1 && has(req, sip.Supported, "outbound") && len(w.path) > 0 && !outboundPath(w.path) {
		return refuse(439, "First Hop Lacks Outbound Support") // RFC 5626 §6
	}
	return nil
}

func (w *wish) readPath(req *sip.Message) error {
	size := 0
	for i := req.Index(sip.Path); i >= 0; i = req.Next(i) {
		for v, rest := sip.NextValue(req.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			a, err := sip.ParseNameAddr(v)
			if err == nil {
				_, err = sip.ParseURI(a.URI)
			}
			if size += len(v); err != nil || len(w.path) == maxPath || size > maxText {
				return refuse(400, "Bad Path")
			}
			w.path = append(w.path, text(v))
		}
	}
	return nil
}

// outboundPath tells whether the proxy nearest to the phone keeps flows open: the
// last value of Path has the URI parameter ob (RFC 5626 §5.1).
func outboundPath(path []string) bool {
	a, err := sip.ParseNameAddr([]byte(path[len(path)-1]))
	if err != nil {
		return false
	}
	u, err := sip.ParseURI(a.URI)
	if err != nil {
		return false
	}
	_, ob := sip.Param(u.Params, "ob")
	return ob
}

func (r *Registrar) readContact(req *sip.Message, v []byte) (contact, error) {
	var c contact
	a, err := sip.ParseNameAddr(v)
	if err != nil {
		return c, refuse(400, "Bad Contact")
	}
	u, err := sip.ParseURI(a.URI)
	if err != nil || !sipScheme(u) {
		return c, refuse(400, "Bad Contact")
	}
	if len(a.URI) > maxText || len(a.Params) > maxText {
		return c, refuse(400, "Contact Too Long")
	}
	c.uri, c.params = text(a.URI), keep(a.Params)
	c.flow = flowOf(a.Params)
	c.expires, err = r.expires(req, a.Params)
	return c, err
}

// flowOf names the flow of a contact that has both instance and reg-id.
func flowOf(params []byte) string {
	instance, _ := sip.Param(params, "+sip.instance")
	id, _ := sip.Param(params, "reg-id")
	n, ok := sip.ParseInt(id)
	if len(instance) == 0 || !ok || n == 0 {
		return ""
	}
	return strings.ToLower(text(instance)) + ";" + strconv.FormatUint(uint64(n), 10)
}

// expires is how long a contact wants to be kept (RFC 3261 §10.3 step 6).
func (r *Registrar) expires(req *sip.Message, params []byte) (time.Duration, error) {
	asked, there := sip.Param(params, "expires")
	if !there {
		i := req.Index(sip.Expires)
		if i < 0 {
			return min(defaultExpires, r.cfg.MaxExpires), nil
		}
		asked = req.Value(i)
	}
	n, ok := sip.ParseInt(asked)
	want := time.Duration(n) * time.Second
	switch {
	case !ok && len(asked) > 0 && len(bytes.Trim(asked, "0123456789")) == 0:
		return r.cfg.MaxExpires, nil // a number, but beyond all counting
	case !ok:
		want = defaultExpires
	case n == 0:
		return 0, nil
	case want < r.cfg.MinExpires:
		no := refuse(423, "")
		no.Headers = append(strconv.AppendInt([]byte("Min-Expires: "), seconds(r.cfg.MinExpires), 10), "\r\n"...)
		return 0, no
	}
	return min(want, r.cfg.MaxExpires), nil
}

// keep is the parameters of a contact as written, but expires.
func keep(params []byte) string {
	var kept []byte
	for {
		name, value, rest, ok := sip.NextParam(params)
		if !ok {
			return text(kept)
		}
		if !bytes.EqualFold(name, []byte("expires")) {
			kept = append(append(kept, ';'), name...)
			if value != nil {
				kept = append(append(kept, '='), value...)
			}
		}
		params = rest
	}
}

// text is a header's value as one line: a fold is a space (RFC 3261 §7.3.1).
func text(b []byte) string {
	if bytes.IndexByte(b, '\n') < 0 {
		return string(b)
	}
	return strings.Join(strings.FieldsFunc(string(b), func(c rune) bool { return c == '\r' || c == '\n' }), "")
}

func cut(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// has tells whether a list of tokens, like Supported, has one.
func has(req *sip.Message, id sip.HeaderID, token string) bool {
	for i := req.Index(id); i >= 0; i = req.Next(i) {
		for v, rest := sip.NextValue(req.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			if strings.EqualFold(string(v), token) {
				return true
			}
		}
	}
	return false
}

// seconds rounds up: a phone must not be told that less than its wish is too little.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
