package api

import (
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// words are what the API's description says of types that live elsewhere, by
// schema and field. The types themselves stay free of it.
const words = `
Document.countries      which countries may use a service
Document.services       countries for sip, web or media alone, instead of countries
Document.allow          pass whatever else is said: offices, monitors, push services
Document.deny           dropped
Document.carriers       class carrier: no country rule, no ban, a carrier's budget
Document.budgets        what sources may send
Document.bans           when the edge bans by itself
Countries.default       allow or deny: countries that neither list names; default allow
Countries.unknown       allow or deny: addresses that no database places; default allow
Countries.allow         two-letter codes; of effect when default is deny
Countries.deny          two-letter codes
Countries.nobody        true when letting in no country at all is meant
Prefix.prefix           such as 203.0.113.0/24; of entries that hold an address the longest decides
Prefix.note             why, for whoever asks
Prefix.expires          no longer in force from then on
Budgets.unknown         of each source that proved nothing; default 5/s, burst 20
Budgets.known           of each source that answered a challenge; default 50/s, burst 200
Budgets.registered      of each source with a registration; default 200/s, burst 1000
Budgets.carrier         of each carrier; default unlimited
Budgets.neighbourhood   of all unknown sources of one IPv4 /24 or IPv6 /48; default 50/s, burst 200
Budgets.strangers       of all unknown sources, per service and transport; default 2000/s, burst 4000
Budgets.half_open       connections a source may begin and not finish; default 64
Budget.rate             packets a second
Budget.burst            packets at once
Budget.unlimited        instead of rate and burst
Bans.failures           wrong credentials of one source within the window; default 10
Bans.malformed          malformed messages of one source within the window; default 50
Bans.window             such as 10m, which is the default
Bans.duration           of the first ban, doubled with each repeat up to 24h; default 10m
Bans.scanners           whether scanners are banned at sight; default true
Bans.account            wrong credentials for one account within the window, whatever the source; default 30
Version.version         counted up; 0 is the built-in policy
Version.author          whose token put it
Change.path             such as countries.allow[ES] or deny[203.0.113.0/24]
Change.before           empty: absent
Change.after            empty: absent
Access.countries        from where the company's people may call
Access.networks         authorised networks: when there are any, everybody else is kept out
Access.road_warrior     calls at one time that may come from elsewhere, 0 to 3
Network.prefix          such as 203.0.113.0/24
Network.note            whose it is
Ban.prefix              one IPv4 address or one IPv6 /64
Ban.reason              a phrase for a person
Ban.by                  name of the node or of the operator's token
Ban.proven              the evidence came over a connection; else only datagrams are dropped
Watch.policy_version    that the node has in force; 0: none yet
Watch.made              when that version was made, which tells it from one of the same number in a database that was put back; absent: the number alone counts
Watch.bans_revision     as core gave it; empty: none yet
Orders.policy           absent: no change
Orders.bans             all bans in force; absent: no change
Orders.questions        to be answered in a report, soon
Report.counters         totals since the filter was attached
Report.seen             sources noticed since the last report
Report.banned           bans this node made since the last report that was taken
Report.answers          to questions
Report.relay            of this process; absent: none, and nothing of calls is asked
Report.anchoring        how the edge of this process chooses a relay; absent: no edge is here
Report.ended            last words on calls that ended since the last report that was taken
Report.calls            to questions about calls
Orders.calls            what the node's relay is asked about calls, to be answered in a report, soon
CallsQuestion.call_ids  of SIP, as the edge told the relay
CallsQuestion.history   with the last five minutes of each leg
Anchoring.inside        where core reaches the edge
Anchoring.relays        the preferred first; the first that answers is taken
Stream.kind             audio, video or image
Stream.legs             from who offered the session, and from who answered
Leg.tag                 of the side it comes from
Leg.interface           the relay's, by name
Leg.local               where it arrives
Leg.remote              where it comes from; empty: nobody proved to be there yet
Leg.path                kernel or user space
Leg.mos                 1 to 4.5; absent: too few packets, or no codec that can be judged
Leg.history             the last five minutes, oldest first; only when one call is asked for
Leg.wrong_source        packets from elsewhere, dropped
Point.lost              of the packets that should have come, 0 to 1
Point.rate              packets a second
Seen.packets            estimated from samples
Explanation.node        who answered; core when no node did
Explanation.rule        the rule that decided, as a phrase
Explanation.budget_left packets; absent: no budget applies
Explanation.change      what would change it, one phrase each
Explanation.mode        who judges: native, generic or user; core when no node answered
Audit.action            such as policy.put, policy.rollback, ban.put, ban.lift, access.put
Audit.object            such as policy, bans/203.0.113.9/32 or companies/7/access
Audit.before            null: it was not there
Audit.after             null: it is gone
`

// describe writes the words into the description. One that fits nothing is an error,
// so that they do not grow old.
func describe(doc *huma.OpenAPI) error {
	all := doc.Components.Schemas.Map()
	for line := range strings.Lines(strings.TrimSpace(words)) {
		name, text, _ := strings.Cut(line, " ")
		schema, field, _ := strings.Cut(name, ".")
		if all[schema] == nil || all[schema].Properties[field] == nil {
			return fmt.Errorf("api: its description: no field %s", name)
		}
		p := all[schema].Properties[field]
		if p.Ref != "" {
			// A $ref stands for the whole; OpenAPI 3.1 lets words stand beside it.
			p = &huma.Schema{Ref: p.Ref, Description: p.Description}
			all[schema].Properties[field] = p
		}
		p.Description = strings.TrimSpace(text)
	}
	return nil
}
