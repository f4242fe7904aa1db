package shield

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// Explain says what would happen to the source's next packet and why, without
// changing anything. The next packet is a datagram, for the web a connection.
func (g *Guard) Explain(a netip.Addr, service policy.Service) protocol.Explanation {
	a = clean(a)
	at, f, table := g.post.Load(), g.force.Load(), g.table.Load()
	packet := judge.Packet{Source: a, Service: service, TCP: service == policy.Web, Opens: service == policy.Web}
	e := protocol.Explanation{
		Node: g.node, Mode: at.mode, Address: a, Service: service.ForPeople(),
		PolicyVersion: f.version.Number, TableVersion: table.Info().Version, Country: table.Country(a).String(),
		Class: policy.Unknown.String(), Verdict: policy.Unclassified.String(),
	}
	ban, banned := g.ledger.banOf(judge.KeyOf(a), time.Now())
	if banned {
		e.BanEnds, e.BanReason = &ban.Until, ban.Reason
	}
	views, err := at.look(packet)
	switch {
	case err != nil:
		e.Rule = "the filter cannot be read: " + err.Error()
		return e
	case len(views) == 0:
		e.Rule = "nothing is judged: " + at.reason
		e.Change = []string{"another mode than " + at.mode + " in the configuration"}
		return e
	}
	facts, where := explain(packet, views, f.compiled, table)
	e.Verdict, e.Drops, e.Class = facts.Verdict.String(), facts.Verdict.Drops(), facts.Class.String()
	e.Rule, e.Change = facts.Rule, facts.Change
	if facts.Budget != nil {
		e.BudgetLeft, e.BudgetRate = &facts.Budget.Packets, facts.Budget.Rate
	}
	switch {
	case banned && facts.Verdict == policy.Banned:
		e.Rule = fmt.Sprintf("banned by %s until %s: %s", ban.By, policy.When(ban.Until), ban.Reason)
	case banned && !ban.Proven && facts.List.Action() == policy.ListNone && (packet.TCP || facts.Class != policy.Unknown):
		e.Change = append(e.Change, ban.Spared(facts.Class))
	}
	if where != "" && e.Drops {
		e.Rule += " (on " + where + ")"
	}
	return e
}

// explain asks what each device's filter would say, and takes the first that
// drops; where is its device.
func explain(p judge.Packet, views []view, c *policy.Compiled, t *geo.Table) (facts judge.Facts, where string) {
	for i, v := range views {
		v.state.Live = true // for RTP: of a port that a call has
		f := judge.Explain(p, v.state, c, t.Country(p.Source), t != nil, v.now)
		if i == 0 || f.Verdict.Drops() {
			facts, where = f, v.device
		}
		if f.Verdict.Drops() {
			break
		}
	}
	return facts, where
}

// banOf is the ban of a source, for explanations.
func (l *ledger) banOf(k judge.Key, now time.Time) (protocol.Ban, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bans.of(k, now)
}
