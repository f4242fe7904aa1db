package policy

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
)

func country(t testing.TB, code string) geo.Country {
	t.Helper()
	c, err := geo.ParseCountry(code)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func countries(t testing.TB, codes string) (list []geo.Country) {
	t.Helper()
	for code := range strings.FieldsSeq(codes) {
		list = append(list, country(t, code))
	}
	return list
}

func prefixes(texts ...string) (list []Prefix) {
	for _, s := range texts {
		list = append(list, Prefix{Prefix: netip.MustParsePrefix(s)})
	}
	return list
}

func TestTheEmptyDocumentIsTheDefault(t *testing.T) {
	var d Document
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	if changes := Diff(d, Default()); changes != nil {
		t.Errorf("an empty document differs from the default: %v", changes)
	}
	c, err := Compile(d, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for s := SIP; s < Services; s++ {
		for _, country := range append(geo.All(), geo.Unknown) {
			if c.Denies(s, country) {
				t.Errorf("the default keeps %v out of %v", country, s)
			}
		}
	}
	if got, want := c.Budgets[Unknown], (Budget{Rate: 5, Burst: 20}); got != want {
		t.Errorf("unknown sources: %v, want %v", got, want)
	}
}

func TestFaults(t *testing.T) {
	p := func(s string) []Prefix { return prefixes(s) }
	long := strings.Repeat("x", MaxNote+1)
	all := geo.All()
	for name, row := range map[string]struct {
		d    Document
		want string // faults joined by " | ", each its beginning
	}{
		"an action":             {Document{Countries: Countries{Default: "drop"}}, `countries.default: "drop"; allow or deny`},
		"nobody by default":     {Document{Countries: Countries{Default: Deny}}, `countries: would keep out every one of the`},
		"nobody by deny":        {Document{Countries: Countries{Deny: all}}, `countries: would keep out every one of the`},
		"nobody for a service":  {Document{Services: map[string]Countries{"web": {Default: Deny}}}, `services.web: would keep out`},
		"nobody, and meant":     {Document{Countries: Countries{Default: Deny, Nobody: true}}, ``},
		"nobody, not true":      {Document{Countries: Countries{Nobody: true}}, `countries.nobody: is true, yet`},
		"in both lists":         {Document{Countries: Countries{Allow: all[:2], Deny: all[1:2]}}, `countries.allow[1]: `},
		"twice":                 {Document{Countries: Countries{Deny: []geo.Country{all[0], all[0]}}}, `countries.deny[1]: `},
		"unknown in a list":     {Document{Countries: Countries{Deny: []geo.Country{0}}}, `countries.deny[0]: ZZ is no country`},
		"no service":            {Document{Services: map[string]Countries{"rtp": {}}}, `services.rtp: is no service`},
		"host bits":             {Document{Deny: p("203.0.113.9/24")}, `deny[0].prefix: 203.0.113.9/24 has bits beyond its length; 203.0.113.0/24 or 203.0.113.9/32?`},
		"no prefix":             {Document{Allow: make([]Prefix, 1)}, `allow[0].prefix: is missing`},
		"in two lists":          {Document{Allow: p("192.0.2.0/24"), Deny: p("192.0.2.0/24")}, `deny[0].prefix: 192.0.2.0/24 stands at allow[0] already`},
		"the same, mapped":      {Document{Allow: p("192.0.2.0/24"), Carriers: p("::ffff:192.0.2.0/120")}, `carriers[0].prefix: 192.0.2.0/24 stands at allow[0]`},
		"half mapped":           {Document{Allow: p("::ffff:0:0/90")}, `allow[0].prefix: `},
		"twice in a list":       {Document{Deny: prefixes("2001:db8::/32", "2001:db8::/32")}, `deny[1].prefix: `},
		"longer in the other":   {Document{Allow: p("192.0.2.0/25"), Deny: p("192.0.2.0/24")}, ``},
		"a long note":           {Document{Allow: []Prefix{{Prefix: p("192.0.2.0/24")[0].Prefix, Note: long}}}, `allow[0].note: 301 bytes`},
		"a note of two lines":   {Document{Allow: []Prefix{{Prefix: p("192.0.2.0/24")[0].Prefix, Note: "a\nb"}}}, `allow[0].note: must be one line`},
		"both budgets":          {Document{Budgets: Budgets{Known: Budget{Rate: 1, Burst: 1, Unlimited: true}}}, `budgets.known: is unlimited and`},
		"a rate alone":          {Document{Budgets: Budgets{Known: Budget{Rate: 1}}}, `budgets.known.burst: is missing`},
		"nothing after a burst": {Document{Budgets: Budgets{Known: Budget{Burst: 1}}}, ``},
		"too much":              {Document{Budgets: Budgets{Unknown: Budget{Rate: MaxRate + 1, Burst: 1001}}}, `budgets.unknown.burst: 1001 packets; at most 1000 | budgets.unknown.rate: `},
		"half open":             {Document{Budgets: Budgets{HalfOpen: MaxHalfOpen + 1}}, `budgets.half_open: `},
		"bans":                  {Document{Bans: Bans{Failures: -1, Window: 1, Duration: MaxBan + 1}}, `bans.duration: | bans.failures: -1 | bans.window: 1ns; 1s to 24h`},
		"several at once":       {Document{Countries: Countries{Default: "x", Unknown: "y"}, Deny: make([]Prefix, 2)}, `countries.default | countries.unknown | deny[0].prefix | deny[1].prefix`},
	} {
		t.Run(name, func(t *testing.T) {
			err := row.d.Validate()
			var faults Faults
			if row.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.As(err, &faults) {
				t.Fatalf("error %v is no Faults", err)
			}
			want := strings.Split(row.want, " | ")
			if len(faults) != len(want) {
				t.Fatalf("faults %q, want %q", faults, want)
			}
			for i, f := range faults {
				if !strings.HasPrefix(f.String(), strings.TrimSpace(want[i])) {
					t.Errorf("fault %q, want %q", f, want[i])
				}
			}
			if _, err := Compile(row.d, 1, time.Now()); err == nil {
				t.Error("it compiles all the same")
			}
		})
	}
}

func TestTooManyEntries(t *testing.T) {
	list := make([]Prefix, MaxEntries+1)
	for i := range list {
		list[i].Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)
	}
	list[MaxEntries].Prefix = netip.MustParsePrefix("203.0.113.0/24")
	if err := (Document{Deny: list}).Validate(); err == nil || !strings.Contains(err.Error(), "at most 50000") {
		t.Errorf("50,001 entries: %v", err)
	}
	if err := (Document{Deny: list[:MaxEntries]}).Validate(); err != nil {
		t.Errorf("50,000 entries: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	past := time.Unix(1000, 0)
	d := Document{
		Countries: Countries{Allow: countries(t, "ES PT")},
		Services:  map[string]Countries{"web": {Default: Deny, Allow: countries(t, "ES"), Deny: countries(t, "FR")}},
		Deny:      prefixes("::/0"),
		Allow:     []Prefix{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Expires: &past}},
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	w := d.Warnings(time.Unix(1000, 0))
	want := []string{"countries.allow: has no effect", "services.web.deny: has no effect", "allow: 1 entry expired", "deny[::/0]: holds every address"}
	if len(w) != len(want) {
		t.Fatalf("warnings %q", w)
	}
	for i := range want {
		if !strings.HasPrefix(w[i], want[i]) {
			t.Errorf("warning %q, want %q", w[i], want[i])
		}
	}
	if w := Default().Warnings(past); w != nil {
		t.Errorf("the default warns: %q", w)
	}
}

func TestJSON(t *testing.T) {
	text := `{
		"countries": {"default": "deny", "allow": ["pt", "ES"]},
		"services": {"media": {}},
		"allow": [{"prefix": "198.51.100.0/24", "note": "office"}, {"prefix": "192.0.2.1/32", "expires": "2026-12-01T10:00:00+01:00"}],
		"budgets": {"carrier": {"rate": 9, "burst": 10}},
		"bans": {"window": "5m", "scanners": false}
	}`
	d, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	form, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseJSON(form)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.JSON()
	if err != nil || string(second) != string(form) {
		t.Errorf("the canonical form is not its own: %v\n%s\n%s", err, form, second)
	}
	if !reflect.DeepEqual(again, d.Canonical()) {
		t.Errorf("read again: %+v\nwant %+v", again, d.Canonical())
	}
	for _, want := range []string{`"window": "5m"`, `"scanners": false`, `"expires": "2026-12-01T09:00:00Z"`, `"default": "deny"`, `"half_open": 64`} {
		if !strings.Contains(string(form), want) {
			t.Errorf("no %s in %s", want, form)
		}
	}
	slices.Reverse(d.Allow)
	slices.Reverse(d.Countries.Allow)
	if turned, _ := d.JSON(); string(turned) != string(form) {
		t.Error("the order of lists changes the canonical form")
	}

	v := Version{Number: 7, Document: d, Author: "ana", Made: time.Unix(1e9, 0).UTC()}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back Version
	if err := DecodeJSON(data, &back); err != nil || !reflect.DeepEqual(back.Document.Canonical(), d.Canonical()) || back.Number != 7 {
		t.Errorf("a version read back: %+v, %v", back, err)
	}
}

func TestJSONIsReadStrictly(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"a misspelt key":       {`{"contries": {}}`, "contries"},
		"a key deep inside":    {`{"countries": {"alow": []}}`, "alow"},
		"a key twice":          {`{"deny": [], "deny": []}`, `"deny" stands twice`},
		"twice, deep inside":   {`{"services": {"sip": {"default": "deny", "Default": "allow"}}}`, `stands twice`},
		"something behind":     {`{} {}`, "follows"},
		"nothing":              {``, "EOF"},
		"an open document":     {`{"deny": [`, "EOF"},
		"a country":            {`{"countries": {"deny": ["Q9"]}}`, "Q9"},
		"a prefix":             {`{"deny": [{"prefix": "203.0.113.9"}]}`, "203.0.113.9"},
		"a duration":           {`{"bans": {"window": "5"}}`, "no duration"},
		"a negative number":    {`{"budgets": {"half_open": -1}}`, "half_open"},
		"the same key in two":  {`{"services": {"sip": {"deny": []}, "web": {"deny": []}}}`, ""},
		"strings that repeat":  {`{"allow": [{"prefix": "192.0.2.0/24", "note": "prefix"}]}`, ""},
		"values like keys":     {`{"countries": {"default": "allow", "unknown": "allow"}}`, ""},
		"nothing but the null": {`null`, ""},
		"a service of null":    {`{"services": {"sip": null}}`, "services.sip: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseJSON([]byte(row.text))
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range Verdict(Verdicts) {
		got, err := ParseVerdict(v.String())
		if err != nil || got != v || seen[v.String()] {
			t.Errorf("verdict %d is %q, read as %v, %v", v, v, got, err)
		}
		if passes := strings.HasPrefix(v.Words(), "passed"); passes == v.Drops() {
			t.Errorf("%v: %q, and Drops is %v", v, v.Words(), v.Drops())
		}
		seen[v.String()] = true
	}
	for c := range Class(Classes) {
		if got, err := ParseClass(c.String()); err != nil || got != c {
			t.Errorf("class %d is %q, read as %v, %v", c, c, got, err)
		}
	}
	for s := SIP; s < Services; s++ {
		if got, err := ParseService(s.String()); err != nil || got != s {
			t.Errorf("service %d is %q, read as %v, %v", s, s, got, err)
		}
	}
	if s, err := ParseService("media"); err != nil || s != TURN || RTP.ForPeople() != "media" {
		t.Errorf("media is %v, %v", s, err)
	}
	for _, bad := range []error{new(Verdict).UnmarshalText([]byte("x")), new(Service).UnmarshalText([]byte("none")), new(Class).UnmarshalText(nil)} {
		if bad == nil {
			t.Error("a name of nothing is read")
		}
	}
	for _, want := range []string{"10m", "24h", "1m30s", "1h30m", "1s", "0s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(want)); err != nil || d.String() != want {
			t.Errorf("duration %v, %v; want %q", d, err, want)
		}
	}
}
