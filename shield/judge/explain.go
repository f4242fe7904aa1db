package judge

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// Facts are a ruling with its reasons. They are what Decide would do with the
// packet, found by asking Decide.
type Facts struct {
	Ruling
	Rule    string   // what decided, as a phrase
	Budget  *Left    // the budget that decided, or would next; nil: none applies
	BanEnds *uint32  // second of the shield's clock; nil: not banned, 0: never
	Change  []string // what would change the verdict, one phrase each
}

// Left is what is left in a budget before the packet.
type Left struct {
	Of      string  // whose
	Packets float64 // whole and broken ones
	Rate    uint32  // packets a second that come in
	Burst   uint32
}

// Explain says what Decide would do with p and why, and changes nothing.
func Explain(p Packet, s State, pol *policy.Compiled, country geo.Country, table bool, now Millis) Facts {
	p.Source = p.Source.Unmap()
	r, _ := Decide(p, s, pol, country, table, now)
	f := Facts{Ruling: r}
	if pol == nil {
		f.Rule = "no policy is in force"
		return f
	}
	x := explainer{&p, &s, pol, country, table, now}
	switch r.Verdict {
	case policy.Malformed:
		f.Rule = fmt.Sprintf("%v can be nobody's address", p.Source)
	case policy.NoLeg:
		f.Rule = fmt.Sprintf("no call has port %d", p.Port)
		f.Change = []string{"a call that is given the port"}
	case policy.Allowed:
		f.Rule = pol.Rule(r.List).String()
		f.Change = []string{x.without(r.List)}
	case policy.Denied:
		f.Rule = pol.Rule(r.List).String()
		f.Change = []string{x.without(r.List), x.allow()}
	case policy.Banned:
		ends := s.Source.Until
		f.BanEnds = &ends
		f.Rule, f.Change = x.banned()
	case policy.CountryDenied:
		f.Rule = pol.CountryRule(p.Service, country)
		f.Change = []string{pol.CountryChange(p.Service, country), x.allow()}
	case policy.Leg:
		f.Rule = fmt.Sprintf("a call has port %d", p.Port)
		f.Change = []string{"the end of the call"}
	case policy.Connection:
		f.Rule = "a connection that was let in is not counted against any budget"
	case policy.HalfOpen:
		f.Rule = fmt.Sprintf("%d connections begun and not finished; at most %d", s.HalfOpen.forget(now).Count, pol.HalfOpen)
		f.Change = []string{"finish the connections, or wait: one is forgotten every 4 s", "a higher budgets.half_open"}
	default:
		x.budget(&f)
	}
	return f
}

type explainer struct {
	p       *Packet
	s       *State
	pol     *policy.Compiled
	country geo.Country
	table   bool
	now     Millis
}

// allow is a phrase for the change that always helps.
func (x explainer) allow() string {
	return fmt.Sprintf("an entry of allow that holds %v", single(x.p.Source))
}

func single(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// without says what ends a list entry.
func (x explainer) without(v policy.ListValue) string {
	r := x.pol.Rule(v)
	s := fmt.Sprintf("take %v out of %s", r.Prefix.Prefix, r.List)
	if r.Prefix.Expires != nil {
		s += fmt.Sprintf("; it ends by itself at %s", r.Prefix.Expires.UTC().Format(time.RFC3339))
	}
	return s
}

func (x explainer) banned() (rule string, change []string) {
	rule, change = "banned", []string{"lift the ban"}
	if until := x.s.Source.Until; until != 0 {
		left := time.Duration(Millis(until)*1000-x.now) * time.Millisecond
		rule = fmt.Sprintf("banned for another %v", left.Round(time.Second))
		change = append(change, "wait until it ends")
	}
	if !x.s.Source.Proven {
		change = append(change, "come over TCP, TLS or WebSocket: the ban is for datagrams, whose source can be forged")
	}
	return rule, append(change, x.allow())
}

// budget explains the verdicts that a budget made.
func (x explainer) budget(f *Facts) {
	b := x.pol.Budgets[f.Class]
	name := f.Class.String()
	of := "a source of class " + name
	src := exact(x.p, x.s.Source, x.now)
	listed := f.List.Action() == policy.ListCarrier
	if listed {
		src = nil
	}
	switch {
	case b.Unlimited:
	case src != nil && f.Class != policy.Unknown:
		f.Budget = left(of, src.Bucket.refill(b, x.now).Tokens, b)
	default:
		b.Burst = min(b.Burst, cellBurst)
		cell, _ := x.s.Cell.refill(x.s.Tag, b, x.now)
		f.Budget = left(of, cell.Tokens, b)
	}
	switch f.Verdict {
	case policy.Neighbourhood:
		f.Budget = left("the unknown sources of its "+around(x.p.Source), x.s.around(x.pol.Around, x.now), x.pol.Around)
		f.Change = []string{"a higher budgets.neighbourhood"}
	case policy.Strangers:
		f.Budget = left("all unknown sources", x.s.All.full(x.pol.All, x.now).refill(x.pol.All, x.now).Tokens, x.pol.All)
		f.Change = []string{"try again: the last of the budget is kept for sources that come back within a minute", "a higher budgets.strangers"}
	case policy.SourceBudget:
		f.Change = []string{"a higher budgets." + name}
	}
	if f.Budget == nil {
		f.Rule = of + " has no budget"
	} else {
		f.Rule = fmt.Sprintf("%s may send %d packets a second, %d at once; %.1f are left", f.Budget.Of, f.Budget.Rate, f.Budget.Burst, f.Budget.Packets)
	}
	if f.Verdict == policy.Strangers {
		f.Rule += x.kept()
	}
	if listed {
		f.Rule = x.pol.Rule(f.List).String() + ": " + f.Rule
		f.Change = append(f.Change, x.without(f.List))
	}
	x.more(f)
}

// kept says what of the strangers' budget is not for the source, and why: what is
// known of it, and how its neighbourhood stands.
func (x explainer) kept() string {
	own := x.pol.Budgets[policy.Unknown]
	_, returning := x.s.Cell.refill(x.s.Tag, own, x.now)
	who := "is new here"
	if returning == 1 || x.s.Refused.again(x.s.Name) {
		who, returning = "comes back", 1
	}
	near := shared(x.pol.Around)
	tokens := x.s.around(near, x.now)
	where := "whatever its " + around(x.p.Source) + " sends"
	if !x.pol.Around.Unlimited {
		where = fmt.Sprintf("its %s has %.1f of %d packets left", around(x.p.Source), float64(tokens)/packet, near.Burst)
	}
	return fmt.Sprintf("; the last %d are not for this source: it %s, and %s", kept(x.pol.All, quietAt(tokens, near), returning)/packet, who, where)
}

// more adds what changes a verdict of a budget whoever's it is.
func (x explainer) more(f *Facts) {
	if f.Verdict.Drops() {
		if f.Budget.Rate > 0 {
			f.Change = append([]string{"wait: packets come in"}, f.Change...)
		}
		if f.Class == policy.Unknown {
			f.Change = append(f.Change, "answer a challenge or register: known and registered sources have budgets of their own")
		}
		f.Change = append(f.Change, x.allow())
		return
	}
	if f.Budget != nil {
		f.Change = append(f.Change, "sending more than the budget")
	}
	if x.table && x.country != geo.Unknown && f.List == 0 {
		f.Change = append(f.Change, fmt.Sprintf("denying %v to %s", x.country, x.p.Service.ForPeople()))
	}
}

func around(a netip.Addr) string {
	if a.Is4() {
		p, _ := a.Prefix(24)
		return p.String()
	}
	p, _ := a.Prefix(48)
	return p.String()
}

func left(of string, tokens uint32, b policy.Budget) *Left {
	return &Left{Of: of, Packets: float64(tokens) / packet, Rate: b.Rate, Burst: b.Burst}
}
