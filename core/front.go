package core

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/core/auth"
	"github.com/lindero/lindero/core/registrar"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// calls carries what belongs to a call: core/b2bua. Deliver may be called from
// many goroutines and does not keep data.
type calls interface {
	Deliver(from netip.AddrPort, data []byte)
	// Lost tells that what was sent to an edge may not have arrived. It does not block.
	Lost(to netip.AddrPort)
}

// A front meets every message that an edge sends. It answers REGISTER and OPTIONS
// itself, asks for credentials where a call or message begins, and gives the rest
// to the B2BUA, told who the caller is. Edges are believed: nobody else reaches
// core.
type front struct {
	store     *store.Store
	guard     *auth.Guard
	registrar *registrar.Registrar
	calls     calls
	flows     *flows
	workers   *workers
	metrics   *metrics
	doorman   *doorman
	tags      maphash.Seed
}

// lookupLimit is how long the database may take over one request.
const lookupLimit = 5 * time.Second

// Message takes one message from an edge (transport.Handler). What may wait for
// the database is left to a worker; the reader goes on at once.
func (f *front) Message(flow transport.Flow, data []byte) {
	f.flows.saw(flow)
	j, err := f.workers.job(flow, data)
	switch {
	case err != nil:
		f.refuseBad(j, err)
	case !j.msg.IsRequest():
		f.metrics.messages.WithLabelValues("response").Inc()
		f.calls.Deliver(flow.Remote, j.raw)
	case len(j.msg.Tag(sip.To)) > 0:
		f.metrics.messages.WithLabelValues("request").Inc()
		f.deliver(j, nil, 0)
	default:
		f.metrics.messages.WithLabelValues("request").Inc()
		if f.workers.add(j) {
			return // the worker releases it
		}
		f.metrics.dropped.WithLabelValues("queue full").Inc()
		f.reply(j, sip.Response{Code: 503, Headers: []byte("Retry-After: 5\r\n")})
	}
	f.workers.release(j)
}

// Closed takes note of a connection that ended, or could not be made, and tells
// the B2BUA, whose requests would otherwise wait for an edge that is not there
// (transport.Handler).
func (f *front) Closed(flow transport.Flow, _ error) {
	f.flows.closed(flow)
	f.calls.Lost(flow.Remote)
}

// begin takes a request outside any dialog, on a worker.
func (f *front) begin(ctx context.Context, j *job) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	switch {
	case j.msg.Is("ACK"):
		f.metrics.dropped.WithLabelValues("stray ACK").Inc()
	case j.msg.Is("CANCEL"):
		f.deliver(j, nil, 0) // belongs to its INVITE, which this worker has delivered before
	case j.msg.Is("OPTIONS"):
		f.reply(j, sip.Response{Code: 200, Headers: []byte(capabilities)})
	case j.msg.Is("REGISTER"):
		f.register(ctx, j)
	default:
		caller, company := f.identify(ctx, j, sip.From)
		if caller == nil {
			return
		}
		if roaming, ok := f.admit(ctx, j, caller, company); ok {
			f.deliver(j, caller, roaming)
		}
	}
}

// capabilities is what OPTIONS learns (RFC 3261 §11.2).
const capabilities = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, INFO, UPDATE, REFER, NOTIFY\r\n" +
	"Accept: application/sdp\r\nSupported: path, outbound, timer, replaces\r\n"

func (f *front) register(ctx context.Context, j *job) {
	terminal, company := f.identify(ctx, j, sip.To)
	if terminal == nil {
		return
	}
	if _, ok := f.admit(ctx, j, terminal, company); !ok {
		return
	}
	r, err := f.registrar.Register(ctx, &j.msg, *terminal, source(&j.msg), company)
	f.metrics.failed(err)
	if r.Code == 403 { // too many bindings
		r.Headers = append(r.Headers, credentialsRight...)
	}
	f.reply(j, r)
}

// credentialsRight tells the edge that a request is refused though its password
// was right: whoever sent it is not guessing.
const credentialsRight = "Lindero-Credentials: right\r\n"

// admit asks the doorman. It answers the request itself when the terminal may not
// be used from there. roaming bounds how many such calls there may be, when not 0.
func (f *front) admit(ctx context.Context, j *job, t *tenancy.Terminal, company *store.Tenant) (roaming int, ok bool) {
	roaming, ok, err := f.doorman.admits(ctx, &j.msg, t, company)
	switch {
	case err != nil:
		f.fail(j, err)
	case !ok:
		f.reply(j, sip.Response{Code: 403, Headers: []byte(credentialsRight)})
	}
	return roaming, ok
}

// identify finds the terminal whose credentials j carries, for the
// address-of-record in From or To. It answers the request itself and returns nil
// when there is none: the same way whether the domain, the user or the password is
// wrong, so that nobody learns which exist.
func (f *front) identify(ctx context.Context, j *job, aor sip.HeaderID) (*tenancy.Terminal, *store.Tenant) {
	who, err := aorOf(&j.msg, aor)
	if err != nil {
		f.reply(j, sip.Response{Code: 400, Reason: "Bad Address-of-Record"})
		return nil, nil
	}
	realm := strings.ToLower(string(who.Host))
	company, err := f.store.Domain(ctx, realm)
	var terminals auth.Terminals // nil, not a nil *Tenant, for nobody's domain
	switch {
	case err == nil:
		terminals = company
	case !errors.Is(err, tenancy.ErrNotFound):
		f.fail(j, err)
		return nil, nil
	}
	terminal, verdict, err := f.guard.Verify(ctx, &j.msg, placeOf(&j.msg).addr, realm, terminals)
	if err != nil {
		f.fail(j, err)
		return nil, nil
	}
	f.metrics.verdicts.WithLabelValues(verdict.String()).Inc()
	if verdict != auth.Accepted {
		f.challenge(j, realm, verdict == auth.Stale)
		return nil, nil
	}
	switch owns, err := auth.Owns(ctx, terminal, who, company); {
	case err != nil:
		f.fail(j, err)
	case !owns:
		f.reply(j, sip.Response{Code: 403, Headers: []byte(credentialsRight)})
	default:
		return &terminal, company
	}
	return nil, nil
}

// aorOf is the address-of-record a request speaks for. A caller whose From is no
// SIP URI is looked for in the domain it calls.
func aorOf(m *sip.Message, id sip.HeaderID) (sip.URI, error) {
	a, err := sip.ParseNameAddr(m.Get(id))
	if err != nil {
		return sip.URI{}, err
	}
	u, err := sip.ParseURI(a.URI)
	if err == nil && len(u.Host) == 0 {
		var to sip.URI
		to, err = sip.ParseURI(m.URI)
		u.Host = to.Host
	}
	if err == nil && len(u.Host) == 0 {
		err = errors.New("core: no domain")
	}
	return u, err
}

func (f *front) challenge(j *job, realm string, stale bool) {
	r, header := sip.Response{Code: 407}, "Proxy-Authenticate"
	if j.msg.Is("REGISTER") {
		r.Code, header = 401, "WWW-Authenticate"
	}
	ask := f.guard.Challenge
	if knowsOnlyMD5(j.msg.Get(sip.UserAgent)) {
		ask = f.guard.ChallengeMD5
	}
	r.Headers = ask(make([]byte, 0, 384), header, realm, stale)
	f.reply(j, r)
}

func (f *front) fail(j *job, err error) {
	f.metrics.failed(err)
	f.reply(j, sip.Response{Code: 500})
}

// refuseBad answers what an edge should not have let through, if it can be answered.
func (f *front) refuseBad(j *job, err error) {
	var bad *sip.ScanError
	f.metrics.dropped.WithLabelValues("malformed").Inc()
	if errors.As(err, &bad) && bad.Answerable && !j.msg.Is("ACK") {
		f.reply(j, sip.Response{Code: bad.Code, Reason: bad.Reason})
	}
}

// reply answers without keeping anything of the request; that is why the To tag
// is computed from it (RFC 3261 §8.2.7).
func (f *front) reply(j *job, r sip.Response) {
	f.metrics.replies.WithLabelValues(strconv.Itoa(r.Code)).Inc()
	r.ToTag = f.tag(&j.msg)
	data := sip.Respond(make([]byte, 0, 1024), &j.msg, netip.AddrPort{}, r)
	err := f.flows.send(j.flow.Remote, data)
	if err != nil { // the connection is gone: the Via says where the edge listens (RFC 3261 §18.2.2)
		if to, ok := viaAddr(&j.msg); ok && to != j.flow.Remote {
			err = f.flows.send(to, data)
		}
	}
	if err != nil {
		f.metrics.dropped.WithLabelValues("send").Inc()
	}
}

func (f *front) tag(m *sip.Message) string {
	var h maphash.Hash
	h.SetSeed(f.tags)
	h.Write(m.Get(sip.CallID))
	h.Write(m.Tag(sip.From))
	h.Write(m.Get(sip.CSeq))
	return strconv.FormatUint(h.Sum64(), 36)
}

func viaAddr(m *sip.Message) (netip.AddrPort, bool) {
	v, err := sip.ParseVia(m.Topmost(sip.Via))
	if err != nil {
		return netip.AddrPort{}, false
	}
	ip, err := netip.ParseAddr(string(v.Host))
	if err != nil {
		return netip.AddrPort{}, false
	}
	if v.Port == 0 {
		v.Port = 5060
	}
	return netip.AddrPortFrom(ip, v.Port), true
}

// callerHeader tells the B2BUA whom credentials named. One that arrives is not
// ours and is taken out.
const callerHeader = "Lindero-Caller"

// deliver gives a request to the B2BUA, with the caller's name in it or without
// any; and, when not 0, with how many calls its user may have from elsewhere than
// the company's networks, of which this is one.
func (f *front) deliver(j *job, caller *tenancy.Terminal, roaming int) {
	forged := j.msg.Find(callerHeader) != nil
	if caller == nil && !forged {
		f.calls.Deliver(j.flow.Remote, j.raw)
		return
	}
	var e sip.Editor
	e.Reset(&j.msg)
	for i := range j.msg.Len() {
		if forged && strings.EqualFold(string(j.msg.Name(i)), callerHeader) {
			e.Remove(i)
		}
	}
	if caller != nil {
		name := fmt.Appendf(nil, "%d;user=%d;terminal=%d", caller.Company, caller.User, caller.ID)
		if roaming > 0 {
			name = fmt.Appendf(name, ";roaming=%d", roaming)
		}
		e.Append(callerHeader, name)
	}
	f.calls.Deliver(j.flow.Remote, e.AppendTo(make([]byte, 0, len(j.raw)+64)))
}

// source is where the edge saw the phone, from Lindero-Source.
func source(m *sip.Message) string {
	addr, _, _ := strings.Cut(string(m.Get(sip.LinderoSource)), ";")
	return addr
}
