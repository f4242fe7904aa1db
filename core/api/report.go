package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// What one Report may hold. A node that has more keeps it for the next.
const (
	maxReport   = 8 << 20 // bytes
	maxCounters = geo.Countries * policy.Verdicts
	maxSeen     = 20_000
	maxBanned   = 1000
	maxAnswers  = 256
	maxDevices  = 64
	maxPhrase   = 300 // bytes
	maxEnded    = 1000
	maxRelays   = 256
)

// MaxNodeName is how long a node's name may be. The patterns of watch and report say
// what ValidNode does.
const MaxNodeName = 64

// ValidNode tells whether a node can have the name.
func ValidNode(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return name != "" && len(name) <= MaxNodeName
}

// speedOver is over how long packets a second are measured, at least.
const speedOver = 900 * time.Millisecond

type watchInput struct {
	Node string `path:"node" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" doc:"The node's name."`
	Body body[protocol.Watch]
}

type ordersOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// watch is the call that core holds until there is something for the node to do.
func (a *API) watch(ctx context.Context, in *watchInput) (*ordersOutput, error) {
	var f faults
	w := in.Body.lenient(&f)
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := a.speaks(ctx, in.Node); err != nil {
		return nil, err
	}
	f.check(len(w.Instance) <= maxInstance, "body.instance", "at most %d bytes", maxInstance)
	if err := f.err(); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	c.patience(protocol.Hold + writeLimit)
	a.metrics.watching.Inc()
	defer a.metrics.watching.Dec()
	orders, err := a.nodes.watch(ctx, c.speaker(in.Node, w.Instance), w, a.board.look)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("this core has more nodes than it can serve")
	}
	c.patience(writeLimit)
	return &ordersOutput{"application/json", orders}, nil
}

// speaks refuses a node that goes by a name its token is not for.
func (a *API) speaks(ctx context.Context, node string) error {
	token := callOf(ctx).token
	if token.speaksFor(node) {
		return nil
	}
	a.metrics.refused.WithLabelValues("node").Inc()
	return huma.Error403Forbidden(fmt.Sprintf("the token of %s speaks for %s and not for %s", token.Name, strings.Join(token.Nodes, ", "), node))
}

type reportInput struct {
	Node string `path:"node" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" doc:"The node's name."`
	Body body[protocol.Report]
}

// report takes what a node sees.
func (a *API) report(ctx context.Context, in *reportInput) (*struct{}, error) {
	var f faults
	r := in.Body.lenient(&f)
	checkSizes(&f, r)
	if err := f.err(); err != nil {
		return nil, err
	}
	if err := a.speaks(ctx, in.Node); err != nil {
		return nil, err
	}
	who := callOf(ctx).speaker(in.Node, r.Instance)
	clock, err := a.nodes.hello(who, r.Now)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("this core has more nodes than it can serve")
	}
	for i := range r.Banned {
		r.Banned[i] = clock.Ours(r.Banned[i])
	}
	checkBanned(&f, r.Banned)
	if err := f.err(); err != nil {
		return nil, err
	}
	shown, err := a.nodes.heard(who, r)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("this core has more nodes than it can serve")
	}
	a.tellOf(who)
	a.sources.saw(r.Seen, time.Now())
	for _, e := range r.Answers {
		a.asks.answered(who.nodeKey, shown, e.ID, e)
	}
	for _, c := range r.Calls {
		a.lookups.answered(who.nodeKey, shown, c.ID, c.Sessions)
	}
	if err := a.takeBans(ctx, in.Node, r.Banned); err != nil {
		return nil, err
	}
	return nil, a.takeEnded(ctx, clock, r.Ended)
}

// tellOf logs what an operator should set right at a node, when it changed.
func (a *API) tellOf(who speaker) {
	switch notes, news := a.nodes.news(who); {
	case news && len(notes) > 0:
		a.log.Warn("a node wants attention", "node", who.name, "at", who.from, "notes", strings.Join(notes, "; "))
	case news:
		a.log.Info("a node wants no attention any more", "node", who.name, "at", who.from)
	}
}

func checkSizes(f *faults, r protocol.Report) {
	for name, is := range map[string]struct{ n, most int }{
		"counters": {len(r.Counters), maxCounters}, "seen": {len(r.Seen), maxSeen}, "banned": {len(r.Banned), maxBanned},
		"answers": {len(r.Answers), maxAnswers}, "devices": {len(r.Devices), maxDevices},
		"role": {len(r.Role), maxPhrase}, "mode": {len(r.Mode), maxPhrase}, "reason": {len(r.Reason), maxPhrase},
		"table_version": {len(r.TableVersion), maxPhrase}, "instance": {len(r.Instance), maxInstance},
		"relay": {len(r.Relay), maxPhrase}, "ended": {len(r.Ended), maxEnded}, "calls": {len(r.Calls), maxAnswers},
	} {
		f.check(is.n <= is.most, "body."+name, "%d; at most %d", is.n, is.most)
	}
	if r.Anchoring != nil {
		f.check(len(r.Anchoring.Relays) <= maxRelays, "body.anchoring.relays", "%d; at most %d", len(r.Anchoring.Relays), maxRelays)
	}
	for i, c := range r.Calls {
		f.check(len(c.Sessions) <= protocol.MaxCallIDs, fmt.Sprintf("body.calls[%d].sessions", i), "%d; at most %d", len(c.Sessions), protocol.MaxCallIDs)
	}
	for i, d := range r.Devices {
		f.check(len(d) <= maxPhrase, fmt.Sprintf("body.devices[%d]", i), "at most %d bytes", maxPhrase)
	}
}

func checkBanned(f *faults, bans []protocol.Ban) {
	for i, b := range bans {
		at := fmt.Sprintf("body.banned[%d]", i)
		_, ok := oneSource(b.Prefix)
		f.check(ok, at+".prefix", "%s", wantsOneSource)
		latest := time.Now().Add(maxBanFor) // JSON has no word for a time past the year 9999
		f.check(b.Since.After(time.Unix(0, 0)) && b.Since.Before(latest) && !b.Until.IsZero() && b.Until.Before(latest), at,
			"since and until must be times, and both within a year")
	}
}

// takeBans keeps the bans that a node made. Other nodes hear of them within
// pollEvery or so: they come in storms.
func (a *API) takeBans(ctx context.Context, node string, bans []protocol.Ban) error {
	if len(bans) == 0 {
		return nil
	}
	all := make([]tenancy.Ban, len(bans))
	for i, b := range bans {
		prefix, _ := oneSource(b.Prefix)
		all[i] = tenancy.Ban{Prefix: prefix, Reason: oneLine(b.Reason), Since: b.Since, Until: b.Until, By: node, Proven: b.Proven}
	}
	n, err := a.store.Platform().TakeBans(ctx, all)
	a.metrics.bansTaken.Add(float64(n))
	if errors.Is(err, tenancy.ErrFull) {
		a.metrics.bansRefused.Inc()
		return nil // the node has them in force itself; asking again would not help
	}
	if err != nil {
		return a.failed(ctx, "ban", err)
	}
	return nil
}

// heard keeps what the node says of itself, and its counters. shown is how people
// read its name.
func (n *nodes) heard(s speaker, r protocol.Report) (shown string, err error) {
	counters := make(map[cell]uint64, len(r.Counters))
	for _, c := range r.Counters {
		country, errC := geo.ParseCountry(c.Country)
		verdict, errV := policy.ParseVerdict(c.Verdict)
		if errC == nil && errV == nil { // a newer node may have words of its own
			counters[cell{country, verdict}] += c.Packets
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.node(s)
	if err != nil {
		return "", err
	}
	r.Counters, r.Seen, r.Banned, r.Answers = nil, nil, nil, nil
	r.Ended, r.Calls = nil, nil
	d.report, d.reported = r, true
	d.measure(counters)
	return d.shown(d.rivals(n.byName[s.name], time.Now())), nil
}

// measure compares counters with those of a second ago or more. A filter that was
// attached anew counts from zero: what it lost is no traffic.
func (d *node) measure(counters map[cell]uint64) {
	d.counters = counters
	took := time.Since(d.measured)
	if d.measured.IsZero() {
		d.measured, d.then = time.Now(), counters
		return
	}
	if took < speedOver {
		return
	}
	d.speed = make(map[cell]float64, len(counters))
	for c, packets := range counters {
		if before := d.then[c]; packets > before {
			d.speed[c] = float64(packets-before) / took.Seconds()
		}
	}
	d.measured, d.then = time.Now(), counters
}

// maxBanFor is how long a ban may be: for ever is what the policy's deny list is for.
const maxBanFor = 366 * 24 * time.Hour

const wantsOneSource = "wants one IPv4 address or one IPv6 /64; more than one source is for the policy's deny list"

// oneSource is the prefix of what the shield counts as one source, written plainly.
func oneSource(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	p = policy.Plain(p)
	is4 := p.Addr().Is4() && p.Bits() == 32
	is6 := p.Addr().Is6() && !p.Addr().Is4In6() && p.Bits() == 64 && p.Masked() == p
	return p, is4 || is6
}

// sourceOf is the address by which a source is known: itself, or its /64's first.
func sourceOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, err := a.Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return a
}

// prefixOf is oneSource of an address.
func prefixOf(a netip.Addr) netip.Prefix {
	a = sourceOf(a)
	if a.Is6() {
		return netip.PrefixFrom(a, 64)
	}
	return netip.PrefixFrom(a, 32)
}

// oneLine is text as it may stand in a list: a line, not too long.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if len(s) > maxPhrase {
		s = strings.ToValidUTF8(s[:maxPhrase], "")
	}
	return s
}

func (a *API) nodeRoutes(h huma.API) {
	route(a, h, huma.Operation{
		OperationID: "watch", Method: http.MethodPost, Path: protocol.WatchPath, Tags: []string{"nodes"}, MaxBodyBytes: smallBody, Metadata: isHeld(),
		Summary:     "Wait for something to do",
		Description: "Held for up to 25 seconds; answered at once when the policy or the bans are others than the node has, or somebody asks it something.",
		Responses:   answers[protocol.Orders](h, "What is new; {} for nothing."),
	}, Node, a.watch)
	route(a, h, huma.Operation{
		OperationID: "report", Method: http.MethodPost, Path: protocol.ReportPath, Tags: []string{"nodes"}, MaxBodyBytes: maxReport,
		Summary: "Tell what the node sees", DefaultStatus: http.StatusNoContent,
	}, Node, a.report)
}
