package judge

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

func compile(t testing.TB, d policy.Document) *policy.Compiled {
	t.Helper()
	c, err := policy.Compile(d, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func country(t testing.TB, code string) geo.Country {
	t.Helper()
	c, err := geo.ParseCountry(code)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func entries(texts ...string) (list []policy.Prefix) {
	for _, s := range texts {
		list = append(list, policy.Prefix{Prefix: netip.MustParsePrefix(s)})
	}
	return list
}

func sip(from string) Packet { return Packet{Source: netip.MustParseAddr(from), Service: policy.SIP} }

func opening(from string) Packet {
	p := sip(from)
	p.TCP, p.Opens = true, true
	return p
}

// The clock of the tables below.
const tableNow = 1_000_000

type decideRow struct {
	p     Packet
	s     State
	at    geo.Country
	want  policy.Verdict
	class policy.Class
}

// decideAll holds Decide to rows, under a policy that has something of everything.
func decideAll(t *testing.T, rows map[string]decideRow) {
	t.Helper()
	pol := compile(t, policy.Document{
		Countries: policy.Countries{Deny: []geo.Country{country(t, "FR")}},
		Allow:     entries("192.0.2.0/24"),
		Deny:      entries("198.51.100.0/24", "2001:db8:66::/48"),
		Carriers:  entries("203.0.113.0/24"),
		Budgets:   policy.Budgets{Carrier: policy.Budget{Rate: 1, Burst: 2}},
	})
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			if row.s.Name == 0 {
				row.s.Name = 9 // no source is called 0
			}
			before := row.s
			var kept Source
			if row.s.Source != nil {
				kept = *row.s.Source
			}
			r, after := Decide(row.p, row.s, pol, row.at, true, tableNow)
			if r.Verdict != row.want || r.Class != row.class {
				t.Errorf("%v for class %v, want %v for %v", r.Verdict, r.Class, row.want, row.class)
			}
			if row.s != before || row.s.Source != nil && *row.s.Source != kept {
				t.Error("Decide changed what it was given")
			}
			if r.Verdict == policy.SourceBudget && (after.Around != before.Around || after.All != before.All) {
				t.Error("a source over its own budget costs others theirs")
			}
		})
	}
}

func source(c policy.Class, until uint32) *Source {
	return &Source{Class: c, Until: until, Bucket: Bucket{Stamp: tableNow, Tokens: 5000}}
}

// One row for each verdict that no budget makes, and for each rule that goes before another.
func TestDecide(t *testing.T) {
	es, fr := country(t, "ES"), country(t, "FR")
	rtp := Packet{Source: netip.MustParseAddr("198.18.0.1"), Service: policy.RTP, Port: 30000}
	ack := sip("198.18.0.1")
	ack.TCP, ack.Acks = true, true
	spent := Cell{Stamp: tableNow, Tag: 5, Tokens: 999}

	decideAll(t, map[string]decideRow{
		"a stranger":                    {p: sip("198.18.0.1"), at: es, want: policy.Passed},
		"over IPv6":                     {p: sip("2001:db8::1"), at: es, want: policy.Passed},
		"this network":                  {p: sip("0.1.2.3"), want: policy.Malformed},
		"multicast":                     {p: sip("224.0.0.1"), want: policy.Malformed},
		"reserved":                      {p: sip("255.255.255.255"), want: policy.Malformed},
		"loopback":                      {p: sip("127.0.0.1"), want: policy.Passed},
		"unspecified":                   {p: sip("::"), want: policy.Malformed},
		"IPv6 multicast":                {p: sip("ff02::1"), want: policy.Malformed},
		"IPv6 loopback":                 {p: sip("::1"), want: policy.Passed},
		"the key of another":            {p: sip("0:0:cb00:7109::"), want: policy.Malformed},
		"mapped on the wire":            {p: sip("::ffff:192.0.2.1"), want: policy.Malformed},
		"translated":                    {p: sip("64:ff9b::198.18.0.1"), want: policy.Passed},
		"allowed":                       {p: sip("192.0.2.1"), at: fr, s: State{Source: source(policy.Ban, 0)}, want: policy.Allowed},
		"denied":                        {p: sip("198.51.100.1"), at: es, s: State{Source: source(policy.Registered, 0)}, want: policy.Denied},
		"denied, IPv6":                  {p: sip("2001:db8:66::1"), want: policy.Denied},
		"a carrier":                     {p: sip("203.0.113.1"), at: fr, s: State{Source: source(policy.Ban, 0)}, want: policy.Passed, class: policy.Carrier},
		"a carrier over budget":         {p: sip("203.0.113.1"), s: State{Cell: spent, Tag: 5}, want: policy.SourceBudget, class: policy.Carrier},
		"another's cell":                {p: sip("203.0.113.1"), s: State{Cell: spent, Tag: 6}, want: policy.Passed, class: policy.Carrier},
		"banned":                        {p: sip("198.18.0.1"), s: State{Source: source(policy.Ban, 1001)}, want: policy.Banned, class: policy.Ban},
		"banned for ever":               {p: sip("198.18.0.1"), at: fr, s: State{Source: source(policy.Ban, 0)}, want: policy.Banned, class: policy.Ban},
		"a ban that ended":              {p: sip("198.18.0.1"), s: State{Source: source(policy.Ban, 1000)}, want: policy.Passed},
		"a forged ban and a connection": {p: opening("198.18.0.1"), s: State{Source: source(policy.Ban, 0)}, want: policy.Passed},
		"a proven ban and a connection": {p: opening("198.18.0.1"), s: State{Source: &Source{Class: policy.Ban, Proven: true}}, want: policy.Banned, class: policy.Ban},
		"its country":                   {p: sip("198.18.0.1"), at: fr, want: policy.CountryDenied},
		"a registered one's country":    {p: sip("198.18.0.1"), at: fr, s: State{Source: source(policy.Registered, 0)}, want: policy.CountryDenied, class: policy.Registered},
		"media of a call":               {p: rtp, at: es, s: State{Live: true}, want: policy.Leg},
		"media of a call, banned":       {p: rtp, at: es, s: State{Live: true, Source: source(policy.Ban, 0)}, want: policy.Banned, class: policy.Ban},
		"media of a call, its country":  {p: rtp, at: fr, s: State{Live: true}, want: policy.CountryDenied},
		"media of no call":              {p: rtp, at: fr, want: policy.NoLeg},
		"a connection":                  {p: ack, s: State{Cell: spent, Tag: 5}, want: policy.Connection},
		"a connection of the banned":    {p: ack, s: State{Source: &Source{Class: policy.Ban, Proven: true}}, want: policy.Banned, class: policy.Ban},
	})
}

func TestDecideByBudgets(t *testing.T) {
	const now = tableNow
	empty, spent := Bucket{Stamp: now}, Cell{Stamp: now, Tag: 5, Tokens: 999}
	later := sip("198.18.0.1")
	later.Later = true

	decideAll(t, map[string]decideRow{
		"half open":                            {p: opening("198.18.0.1"), s: State{HalfOpen: HalfOpen{now, 64}}, want: policy.HalfOpen},
		"half open, some forgotten":            {p: opening("198.18.0.1"), s: State{HalfOpen: HalfOpen{now - 4000, 64}}, want: policy.Passed},
		"half open does not stop whom we know": {p: opening("198.18.0.1"), s: State{HalfOpen: HalfOpen{now, 64}, Source: &Source{Class: policy.Registered, Bucket: Bucket{Tokens: 5000}}}, want: policy.Passed, class: policy.Registered},
		"half open does not stop others":       {p: sip("198.18.0.1"), s: State{HalfOpen: HalfOpen{now, 64}}, want: policy.Passed},
		"known":                                {p: sip("198.18.0.1"), s: State{Source: source(policy.Known, 0), Cell: spent, Tag: 5}, want: policy.Passed, class: policy.Known},
		"known, spent":                         {p: sip("198.18.0.1"), s: State{Source: &Source{Class: policy.Known, Bucket: empty}}, want: policy.SourceBudget, class: policy.Known},
		"known, spent a while ago":             {p: sip("198.18.0.1"), s: State{Source: &Source{Class: policy.Known, Bucket: Bucket{Stamp: now - 20}}}, want: policy.Passed, class: policy.Known},
		"known no longer":                      {p: sip("198.18.0.1"), s: State{Source: source(policy.Known, 1000), Cell: spent, Tag: 5}, want: policy.SourceBudget},
		"known another second":                 {p: sip("198.18.0.1"), s: State{Source: source(policy.Known, 1001), Cell: spent, Tag: 5}, want: policy.Passed, class: policy.Known},
		"a carrier promoted":                   {p: sip("198.18.0.1"), s: State{Source: source(policy.Carrier, 0)}, want: policy.Passed, class: policy.Carrier},
		"a stranger over budget":               {p: sip("198.18.0.1"), s: State{Cell: spent, Tag: 5}, want: policy.SourceBudget},
		"a minute later":                       {p: sip("198.18.0.1"), s: State{Cell: Cell{now - 60_000, 5, 0}, Tag: 5}, want: policy.Passed},
		"its neighbours":                       {p: sip("198.18.0.1"), s: State{Around: both(empty)}, want: policy.Neighbourhood},
		"too many strangers":                   {p: sip("198.18.0.1"), s: State{All: empty}, want: policy.Strangers},
		"loud neighbours, half the rest":       {p: sip("198.18.0.1"), s: State{Around: both(Bucket{now, 99_000}), All: Bucket{now, 3_000_999}}, want: policy.Strangers},
		"and a packet more":                    {p: sip("198.18.0.1"), s: State{Around: both(Bucket{now, 99_000}), All: Bucket{now, 3_001_000}}, want: policy.Passed},
		"loud neighbours, returning":           {p: sip("198.18.0.1"), s: State{Cell: Cell{now - 9, 5, 9000}, Tag: 5, Around: both(Bucket{now, 99_000}), All: Bucket{now, 2_001_000}}, want: policy.Passed},
		"quiet neighbours":                     {p: sip("198.18.0.1"), s: State{Around: both(Bucket{now, 100_000}), All: Bucket{now, 1_001_000}}, want: policy.Passed},
		"quiet neighbours, at the floor":       {p: sip("198.18.0.1"), s: State{Around: both(Bucket{now, 100_000}), All: Bucket{now, 1_000_999}}, want: policy.Strangers},
		"the reserve":                          {p: sip("198.18.0.1"), s: State{Cell: Cell{now - 9, 5, 9000}, Tag: 5, All: Bucket{now, 1000}}, want: policy.Passed},
		"refused before":                       {p: sip("198.18.0.1"), s: State{Name: 9, Refused: 7<<48 | 9<<32 | 8<<16 | 6, All: Bucket{now, 1000}}, want: policy.Passed},
		"others were":                          {p: sip("198.18.0.1"), s: State{Name: 9, Refused: 7<<48 | 5<<32 | 8<<16 | 6, All: Bucket{now, 1_000_999}}, want: policy.Strangers},
		"refused before, none left":            {p: sip("198.18.0.1"), s: State{Name: 9, Refused: 9, All: Bucket{now, 999}}, want: policy.Strangers},
		"one full bucket is enough":            {p: sip("198.18.0.1"), s: State{Around: [2]Bucket{empty, {}}, All: Bucket{now, 1_001_000}}, want: policy.Passed},
		"be it either":                         {p: sip("198.18.0.1"), s: State{Around: [2]Bucket{{}, empty}, All: Bucket{now, 1_001_000}}, want: policy.Passed},
		"a later fragment":                     {p: later, want: policy.Fragment},
		"a later fragment too many":            {p: later, s: State{Cell: spent, Tag: 5}, want: policy.SourceBudget},
		"a later fragment, known":              {p: later, s: State{Source: source(policy.Known, 0)}, want: policy.Fragment, class: policy.Known},
	})
}

func TestWithoutPolicyOrTable(t *testing.T) {
	pol := compile(t, policy.Document{Countries: policy.Countries{Unknown: policy.Deny}})
	if r, _ := Decide(sip("198.18.0.1"), State{}, pol, geo.Unknown, true, 1); r.Verdict != policy.CountryDenied {
		t.Errorf("an unknown country: %v", r.Verdict)
	}
	if r, _ := Decide(sip("198.18.0.1"), State{}, pol, geo.Unknown, false, 1); r.Verdict != policy.Passed {
		t.Errorf("without a table: %v", r.Verdict)
	}
	if r, _ := Decide(sip("198.18.0.1"), State{}, nil, 7, true, 1); r.Verdict != policy.Unclassified || r.Country != 7 {
		t.Errorf("without a policy: %+v", r)
	}
}

func TestUnlimitedBudgets(t *testing.T) {
	free := policy.Budget{Unlimited: true}
	pol := compile(t, policy.Document{Budgets: policy.Budgets{Unknown: free}})
	if r, after := Decide(sip("198.18.0.1"), State{All: Bucket{1, 0}}, pol, 0, false, 1); r.Verdict != policy.Passed || after != (State{All: Bucket{1, 0}}) {
		t.Errorf("unknown without a budget: %v %+v", r.Verdict, after)
	}
	pol = compile(t, policy.Document{Budgets: policy.Budgets{Unknown: policy.Budget{Burst: 1}, Neighbourhood: free, Strangers: free}})
	s, passed := State{}, 0
	for i := range 100_000 { // each a stranger of one neighbourhood, 100 a millisecond
		s.Cell = Cell{}
		r, after := Decide(sip("198.18.0.1"), s, pol, 0, false, Millis(1+i/100))
		if s = after; r.Verdict == policy.Passed {
			passed++
		}
	}
	if passed != 100_000 {
		t.Errorf("neighbours and strangers without budgets: %d passed", passed)
	}
}

// In whatever span of time a source gets no more than its burst and what came in.
func TestBucketsGiveNoMoreThanTheirBudget(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		b := policy.Budget{Rate: rng.Uint32N(50), Burst: 1 + rng.Uint32N(20)}
		pol := compile(t, policy.Document{Budgets: policy.Budgets{Unknown: b, Known: b}})
		s := State{Tag: 1}
		if rng.IntN(2) == 0 {
			s.Source = &Source{Class: policy.Known, Bucket: Bucket{Tokens: ^uint32(0)}}
		}
		now := Millis(rng.Uint64N(1 << 34))
		start, passed := now, uint64(0)
		for range 500 {
			now += Millis(rng.Uint64N(200))
			if now-start >= returningIn/2 && s.Source == nil {
				break // a cell is forgotten after a minute without packets, and starts full
			}
			r, after := Decide(sip("198.18.0.1"), s, pol, 0, false, now)
			s = after
			if r.Verdict == policy.Passed {
				passed++
			}
			tokens := after.Cell.Tokens
			if s.Source != nil {
				tokens = s.Source.Bucket.Tokens
			}
			if uint64(tokens) > uint64(b.Burst)*1000 {
				t.Fatalf("%v: %d thousandths", b, tokens)
			}
			if most := uint64(b.Burst)*1000 + uint64(now-start)*uint64(b.Rate); passed*1000 > most {
				t.Fatalf("%v: %d passed in %d ms", b, passed, now-start)
			}
		}
	}
}

// The clock's low 32 bits begin anew every 49 days; nobody notices. Nor does it
// matter when the clock started.
func TestTheClockMayWrap(t *testing.T) {
	pol := compile(t, policy.Document{Budgets: policy.Budgets{HalfOpen: 3, Strangers: policy.Budget{Rate: 20, Burst: 40}}})
	run := func(start Millis) (verdicts []policy.Verdict) {
		rng := rand.New(rand.NewPCG(9, 9))
		e := NewEngine(1)
		e.SetPolicy(pol)
		if err := e.PutSource(KeyOf(netip.MustParseAddr("198.18.0.9")), Source{Class: policy.Known, Until: uint32(start/1000 + 20)}); err != nil {
			t.Fatal(err)
		}
		now := start
		for range 5000 {
			now += Millis(rng.Uint64N(20))
			p := sip("198.18.0.1")
			p.Source = netip.AddrFrom4([4]byte{198, 18, byte(rng.Uint32N(3)), byte(rng.Uint32N(12))})
			p.TCP = rng.Uint32N(3) == 0
			p.Opens = p.TCP && rng.Uint32N(4) != 0
			p.Acks = p.TCP && !p.Opens
			verdicts = append(verdicts, e.Judge(p, now).Verdict)
		}
		return verdicts
	}
	want := run(1_000_000)
	for _, start := range []Millis{1<<32 - 17_000, 1<<40 + 2_000, 1<<33 - 1000} {
		for i, v := range run(start) {
			if v != want[i] {
				t.Fatalf("started at %d, packet %d is %v, otherwise %v", start, i, v, want[i])
			}
		}
	}
}

// both are a neighbourhood's buckets that nobody but it charges.
func both(b Bucket) [2]Bucket { return [2]Bucket{b, b} }
