package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a Document.
const (
	MaxEntries      = 50_000 // of allow, deny and carriers together
	MaxNote         = 300    // bytes of a note
	MaxRate         = 1_000_000
	MaxBurst        = 4_000_000
	MaxUnknownBurst = 1000 // what 20 bits of thousandths hold
	MaxHalfOpen     = 1_000_000
	MaxBan          = Duration(24 * time.Hour)
)

// listsPath is the path of faults that all lists have together.
const listsPath = "allow, deny, carriers"

// A Fault is one thing wrong with a document, at a path a person can follow.
type Fault struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// String is "path: message".
func (f Fault) String() string { return f.Path + ": " + f.Message }

// Faults is the error of Validate: all of them.
type Faults []Fault

// Error is a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

func (f *Faults) check(ok bool, path, format string, args ...any) {
	if !ok {
		*f = append(*f, Fault{path, fmt.Sprintf(format, args...)})
	}
}

// err is f in order of paths, or nil.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return f
}

// Validate reports every fault at once, as Faults.
func (d Document) Validate() error {
	var f Faults
	d.Countries.validate(&f, "countries", false)
	for _, name := range slices.Sorted(maps.Keys(d.Services)) {
		f.check(name == "sip" || name == "web" || name == "media", "services."+name, "is no service; there are sip, web and media")
		d.Services[name].validate(&f, "services."+name, false)
	}
	n := len(d.Allow) + len(d.Deny) + len(d.Carriers)
	f.check(n <= MaxEntries, listsPath, "%d entries; at most %d", n, MaxEntries)
	seen := make(map[netip.Prefix]string, n)
	for _, l := range d.lists() {
		for i, p := range l.entries {
			checkPrefix(&f, seen, fmt.Sprintf("%s[%d]", l.name, i), p.Prefix, p.Note)
		}
	}
	d.Budgets.validate(&f)
	d.Bans.validate(&f)
	return f.err()
}

// Warnings are the parts of a valid document that have no effect, or a wide one.
func (d Document) Warnings(now time.Time) []string {
	w := d.Countries.warnings("countries")
	for _, name := range slices.Sorted(maps.Keys(d.Services)) {
		w = append(w, d.Services[name].warnings("services."+name)...)
	}
	for _, l := range d.lists() {
		old := 0
		for _, p := range l.entries {
			if p.Prefix.Bits() == 0 {
				w = append(w, fmt.Sprintf("%s[%v]: holds every address of its family", l.name, p.Prefix))
			}
			if p.Expires != nil && !p.Expires.After(now) {
				old++
			}
		}
		if old > 0 {
			w = append(w, fmt.Sprintf("%s: %s expired and no longer in force", l.name, count(old, "entry")))
		}
	}
	return w
}

// A list is one of a document's lists of prefixes.
type list struct {
	name    string
	value   ListValue
	entries []Prefix
}

func (d Document) lists() []list {
	return []list{{"allow", ListAllow, d.Allow}, {"carriers", ListCarrier, d.Carriers}, {"deny", ListDeny, d.Deny}}
}

// checkPrefix adds the faults of one list entry; seen is where prefixes stood before.
func checkPrefix(f *Faults, seen map[netip.Prefix]string, path string, p netip.Prefix, note string) {
	checkNote(f, path+".note", note)
	if !p.IsValid() {
		f.check(false, path+".prefix", "is missing")
		return
	}
	if p.Addr().Is4In6() && p.Bits() < 96 {
		f.check(false, path+".prefix", "%v is half IPv4 and half IPv6; write IPv4 prefixes plainly", p)
		return
	}
	f.check(p.Masked() == p, path+".prefix", "%v has bits beyond its length; %v or %v/%d?", p, p.Masked(), p.Addr(), p.Addr().BitLen())
	p = Plain(p).Masked()
	if before, ok := seen[p]; ok {
		f.check(false, path+".prefix", "%v stands at %s already", p, before)
		return
	}
	seen[p] = path
}

func checkNote(f *Faults, path, note string) {
	f.check(len(note) <= MaxNote, path, "%d bytes; at most %d", len(note), MaxNote)
	control := strings.ContainsFunc(note, unicode.IsControl)
	f.check(utf8.ValidString(note) && !control, path, "must be one line of text")
}

// Plain is p with IPv4 in IPv6 written as IPv4.
func Plain(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func (b Budgets) validate(f *Faults) {
	b.Unknown.validate(f, "budgets.unknown", MaxUnknownBurst)
	b.Known.validate(f, "budgets.known", MaxBurst)
	b.Registered.validate(f, "budgets.registered", MaxBurst)
	b.Carrier.validate(f, "budgets.carrier", MaxBurst)
	b.Neighbourhood.validate(f, "budgets.neighbourhood", MaxBurst)
	b.Strangers.validate(f, "budgets.strangers", MaxBurst)
	f.check(b.HalfOpen <= MaxHalfOpen, "budgets.half_open", "%d; at most %d", b.HalfOpen, MaxHalfOpen)
}

func (b Budget) validate(f *Faults, path string, burst uint32) {
	if b == (Budget{}) {
		return // the default
	}
	if b.Unlimited {
		f.check(b.Rate == 0 && b.Burst == 0, path, "is unlimited and has a rate or burst; one of both")
		return
	}
	f.check(b.Rate <= MaxRate, path+".rate", "%d packets a second; at most %d", b.Rate, MaxRate)
	f.check(b.Burst >= 1, path+".burst", "is missing; with a rate alone nothing would pass")
	f.check(b.Burst <= burst, path+".burst", "%d packets; at most %d", b.Burst, burst)
}

func (b Bans) validate(f *Faults) {
	for path, n := range map[string]int{"bans.failures": b.Failures, "bans.malformed": b.Malformed, "bans.account": b.Account} {
		f.check(n >= 0 && n <= 1_000_000, path, "%d; 1 to 1000000, or nothing for the default", n)
	}
	for path, d := range map[string]Duration{"bans.window": b.Window, "bans.duration": b.Duration} {
		f.check(d == 0 || d >= Duration(time.Second) && d <= MaxBan, path, "%v; 1s to 24h", d)
	}
}

// count prints "1 entry" and "2 entries".
func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		what = what[:len(what)-1] + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// entry prints a list entry with its note.
func entry(p netip.Prefix, note string) string {
	if note == "" {
		return p.String()
	}
	return fmt.Sprintf("%v (%s)", p, note)
}
