package policy

import (
	"fmt"
	"slices"
)

// A Verdict is how the border ended one packet; every packet gets exactly one. The
// number is the counter's index in the kernel, the name the metric label and the
// word people read. bpf/types.h has the same list; a test holds them together.
type Verdict uint8

// The verdicts. Up to Fragment packets pass, from Malformed on they are dropped.
const (
	Unclassified  Verdict = iota // no table to judge by: passed; a counter that must stay at zero
	NotOurs                      // not for a service of ours: passed unseen
	Passed                       // within its class's budget
	Allowed                      // the allow list names the source
	Connection                   // belongs to a TCP connection that was let in
	Leg                          // RTP to a port that a call has
	Fragment                     // a later fragment of a source that may speak
	Malformed                    // no packet a phone would send
	Denied                       // the deny list names the source
	Banned                       // the source is banned until a set time
	CountryDenied                // its country may not use this service
	NoLeg                        // RTP to a port that no call has
	SourceBudget                 // the source is over the budget of its class
	Neighbourhood                // its /24 or /48 is over the budget of unknown sources
	Strangers                    // all unknown sources together are over theirs
	HalfOpen                     // too many connections it began and did not finish
	Verdicts      = iota
)

// verdicts are the names and the words of each Verdict.
var verdicts = [Verdicts]struct{ name, words string }{
	Unclassified:  {"unclassified", "passed without a policy to judge by"},
	NotOurs:       {"not_ours", "passed: not for a service of ours"},
	Passed:        {"passed", "passed: within the budget of its class"},
	Allowed:       {"allowed", "passed: the allow list names the source"},
	Connection:    {"connection", "passed: part of a connection that was let in"},
	Leg:           {"leg", "passed: media of a call"},
	Fragment:      {"fragment", "passed: a later fragment of a source that may speak"},
	Malformed:     {"malformed", "dropped: no packet a phone would send"},
	Denied:        {"denied", "dropped: the deny list names the source"},
	Banned:        {"banned", "dropped: the source is banned"},
	CountryDenied: {"country_denied", "dropped: its country may not use this service"},
	NoLeg:         {"no_leg", "dropped: media to a port that no call has"},
	SourceBudget:  {"source_budget", "dropped: the source is over the budget of its class"},
	Neighbourhood: {"neighbourhood", "dropped: unknown sources of its network are over their budget"},
	Strangers:     {"strangers", "dropped: all unknown sources together are over their budget"},
	HalfOpen:      {"half_open", "dropped: too many connections that it began and did not finish"},
}

// Drops tells whether the verdict drops the packet.
func (v Verdict) Drops() bool { return v >= Malformed }

// String is the metric label.
func (v Verdict) String() string {
	if v >= Verdicts {
		return fmt.Sprintf("verdict_%d", uint8(v))
	}
	return verdicts[v].name
}

// Words says for a person what happened to the packet.
func (v Verdict) Words() string {
	if v >= Verdicts {
		return v.String()
	}
	return verdicts[v].words
}

// ParseVerdict reads a metric label.
func ParseVerdict(s string) (Verdict, error) {
	for v := range Verdict(Verdicts) {
		if verdicts[v].name == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("policy: %q is no verdict", s)
}

// MarshalText and UnmarshalText make a Verdict its name in JSON, also as a map key.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a name.
func (v *Verdict) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVerdict(string(text))
	return err
}

// A Service is what a port of ours is for.
type Service uint8

// The services. TURN and RTP are both "media" in a document.
const (
	NoService Service = iota
	SIP
	Web
	TURN
	RTP
	Services = iota
)

var services = [Services]struct{ name, people string }{
	NoService: {"none", "none"}, SIP: {"sip", "sip"}, Web: {"web", "web"}, TURN: {"turn", "media"}, RTP: {"rtp", "media"},
}

// String is the service's own name: sip, web, turn or rtp.
func (s Service) String() string {
	if s >= Services {
		return fmt.Sprintf("service_%d", uint8(s))
	}
	return services[s].name
}

// ForPeople is the name that documents and people use: sip, web or media.
func (s Service) ForPeople() string {
	if s >= Services {
		return s.String()
	}
	return services[s].people
}

// ParseService reads either name; media means TURN, where budgets apply.
func ParseService(s string) (Service, error) {
	for v := SIP; v < Services; v++ {
		if services[v].name == s || services[v].people == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("policy: %q is no service; there are sip, web and media", s)
}

// MarshalText makes a Service its own name in JSON.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads either name.
func (s *Service) UnmarshalText(text []byte) (err error) {
	*s, err = ParseService(string(text))
	return err
}

// A Class is what the shield thinks of a source (DESIGN §1).
type Class uint8

// The classes.
const (
	Unknown Class = iota
	Known
	Registered
	Carrier
	Ban
	Classes = iota
)

// classes are the names of each Class, in order.
func classes() []string { return []string{"unknown", "known", "registered", "carrier", "banned"} }

// String is the class's name.
func (c Class) String() string {
	if c >= Classes {
		return fmt.Sprintf("class_%d", uint8(c))
	}
	return classes()[c]
}

// ParseClass reads a name.
func ParseClass(s string) (Class, error) {
	if i := slices.Index(classes(), s); i >= 0 {
		return Class(i), nil
	}
	return 0, fmt.Errorf("policy: %q is no class", s)
}

// MarshalText makes a Class its name in JSON.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Class) UnmarshalText(text []byte) (err error) {
	*c, err = ParseClass(string(text))
	return err
}
