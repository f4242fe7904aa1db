package policy

import (
	"fmt"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/geo/trie"
)

// ListValue is what the list trie holds: the action in the top bits, the rule's
// index in Compiled.Rules in the lower 24.
type ListValue uint32

// What a list says of an address.
const (
	ListNone ListValue = iota << 24
	ListAllow
	ListCarrier
	ListDeny
)

// Action is the value without its rule: one of ListNone, ListAllow, ListCarrier and ListDeny.
func (v ListValue) Action() ListValue { return v &^ (1<<24 - 1) }

// Kernel is the action as the kernel's table has it: 0 to 3, in the same order.
func (v ListValue) Kernel() uint8 { return uint8(v >> 24) }

// Index is the rule's place in Compiled.Rules.
func (v ListValue) Index() int { return int(v & (1<<24 - 1)) }

// A Compiled is a policy as it is enforced. It is constant.
type Compiled struct {
	Version   uint64
	Deny      [Services][4]uint64 // bit c of word c/64: packets of country c for the service are dropped
	Budgets   [Classes]Budget     // of each source, by class; Rate and Burst filled in
	Around    Budget              // a neighbourhood
	All       Budget              // strangers, per service, transport and family of addresses
	HalfOpen  uint32
	Lists     *trie.Trie[uint32]      // values are ListValue
	Actions   *trie.Trie[uint8]       // Lists without rules, for the kernel: much smaller, since equal parts are stored once; values are ListValue.Kernel
	Rules     []Rule                  // what Lists points into; index 0 is no rule
	Countries [Services]CountryChoice // what Deny was made of, for explanations
	Until     time.Time               // when an entry expires next, so it must be compiled again; zero: never
	Bans      Bans                    // filled in
}

// A Rule is one list entry for explanations.
type Rule struct {
	List   string // allow, carriers or deny
	Prefix Prefix
}

// String is "deny 203.0.113.0/24 (office of X)".
func (r Rule) String() string { return r.List + " " + entry(r.Prefix.Prefix, r.Prefix.Note) }

// A CountryChoice is the Countries that a service has, and its path in the document.
type CountryChoice struct {
	Path string
	Countries
}

// MaxListWords is the room for lists in the kernel's table; package bpf has the same
// number.
const MaxListWords = 1 << 18

// listRoots are small: most packets come from addresses that no list has anything
// about, which a small root says from the processor's nearest caches.
var listRoots = trie.Roots{V4: 12, V6: 12}

// Compile makes the enforceable form of a document, without the entries that are
// over at now. It fails, with Faults, on a document that Validate refuses and on
// lists that the kernel's table has no room for.
func Compile(d Document, version uint64, now time.Time) (*Compiled, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	d = d.Filled()
	c := &Compiled{
		Version: version,
		Budgets: [Classes]Budget{
			Unknown: d.Budgets.Unknown, Known: d.Budgets.Known, Registered: d.Budgets.Registered, Carrier: d.Budgets.Carrier,
		},
		Around:   d.Budgets.Neighbourhood,
		All:      d.Budgets.Strangers,
		HalfOpen: d.Budgets.HalfOpen,
		Bans:     d.Bans,
	}
	for s := SIP; s < Services; s++ {
		c.Countries[s] = CountryChoice{"countries", d.Countries}
		if own, ok := d.Services[s.ForPeople()]; ok {
			c.Countries[s] = CountryChoice{"services." + s.ForPeople(), own}
		}
		c.Deny[s] = c.Countries[s].denied()
	}
	if err := c.compileLists(d, now); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Compiled) compileLists(d Document, now time.Time) error {
	n := len(d.Allow) + len(d.Deny) + len(d.Carriers)
	c.Rules = append(make([]Rule, 0, n+1), Rule{})
	actions := make([]trie.Entry[uint8], 0, n)
	rules := make([]trie.Entry[uint32], 0, n)
	for _, l := range d.lists() {
		for _, p := range l.entries {
			if p.Expires != nil {
				if !p.Expires.After(now) {
					continue
				}
				if c.Until.IsZero() || p.Expires.Before(c.Until) {
					c.Until = *p.Expires
				}
			}
			prefix := Plain(p.Prefix)
			actions = append(actions, trie.Entry[uint8]{Prefix: prefix, Value: l.value.Kernel()})
			rules = append(rules, trie.Entry[uint32]{Prefix: prefix, Value: uint32(l.value) | uint32(len(c.Rules))})
			c.Rules = append(c.Rules, Rule{l.name, p})
		}
	}
	var err error
	if c.Actions, err = trie.Build(listRoots, actions); err != nil {
		return fmt.Errorf("policy: lists: %w", err)
	}
	if n := len(c.Actions.Words); n > MaxListWords {
		return Faults{{listsPath, fmt.Sprintf("take %d words of the kernel's table, which has %d; join neighbouring prefixes, or shorten IPv6 ones", n, MaxListWords)}}
	}
	if c.Lists, err = trie.Build(listRoots, rules); err != nil {
		return fmt.Errorf("policy: lists: %w", err)
	}
	return nil
}

// Denies tells whether a country may not use a service.
func (c *Compiled) Denies(s Service, country geo.Country) bool {
	return c.Deny[s][country/64]>>(country%64)&1 != 0
}

// CountryRule says as a phrase what decided about a country's use of a service.
func (c *Compiled) CountryRule(s Service, country geo.Country) string {
	return c.Countries[s].phrase(c.Countries[s].Path, country)
}

// CountryChange says what to write to let a country use a service that it may not.
func (c *Compiled) CountryChange(s Service, country geo.Country) string {
	return c.Countries[s].change(c.Countries[s].Path, country)
}

// Rule is the list entry that a ListValue points to; the zero Rule for none.
func (c *Compiled) Rule(v ListValue) Rule { return c.Rules[v.Index()] }
