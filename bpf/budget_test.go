package bpf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/bpf/frame"
)

// times runs a frame n times; every run has to end alike.
func times(t *testing.T, s *Shield, n int, f frame.Frame, v shieldVerdict) {
	t.Helper()
	want := verdict{f.Bytes(), pass, v, 0}
	if v >= shieldVerdictVERDICT_MALFORMED {
		want.action = drop
	}
	for i := range n {
		if judged(t, s, want); t.Failed() {
			t.Fatalf("packet %d of %d", i+1, n)
		}
	}
}

func TestSourceBudget(t *testing.T) {
	const passed, spent = shieldVerdictVERDICT_PASSED, shieldVerdictVERDICT_SOURCE_BUDGET
	for name, c := range map[string]struct {
		from  string
		burst int
		rate  uint64 // a second
	}{
		"a stranger":                {"192.0.2.9", 3, 5},
		"an IPv6 stranger":          {"2001:db8:9::9", 3, 5},
		"a known source":            {"192.0.2.54", 4, 50},
		"a registered source":       {"192.0.2.55", 5, 200},
		"a carrier by exact state":  {"192.0.2.56", 6, 1000},
		"a carrier by list":         {"198.18.0.77", 6, 1000},
		"a stranger whose ban ends": {"192.0.2.52", 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := trial(t)
			f := to(c.from, 5060)
			times(t, s, c.burst, f, passed)
			times(t, s, 3, f, spent)
			s.SetClock(1_000_000 + 1000/c.rate - 1)
			if c.rate < 1000 {
				times(t, s, 1, f, spent)
			}
			s.SetClock(1_000_000 + 1000/c.rate)
			times(t, s, 1, f, passed)
			times(t, s, 1, f, spent)
			f.Fragment = &frame.Fragment{Offset: 9}
			times(t, s, 1, f, spent)
			s.SetClock(1_900_000)
			times(t, s, c.burst, f, shieldVerdictVERDICT_FRAGMENT)
			times(t, s, 1, f, spent)
		})
	}
}

// The hosts of a /64 share a budget, those of two do not.
func TestSixtyFour(t *testing.T) {
	s := trial(t)
	for i := range 3 {
		times(t, s, 1, to(fmt.Sprintf("2001:db8:9:9::%d", i+1), 5060), shieldVerdictVERDICT_PASSED)
	}
	times(t, s, 1, to("2001:db8:9:9::9", 5060), shieldVerdictVERDICT_SOURCE_BUDGET)
	times(t, s, 1, to("2001:db8:9:a::9", 5060), shieldVerdictVERDICT_PASSED)
}

func TestNeighbourhood(t *testing.T) {
	s := trial(t)
	p := rules()
	p.Around.Burst = 10
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		times(t, s, 1, to(fmt.Sprintf("192.0.2.%d", 100+i), 5060), shieldVerdictVERDICT_PASSED)
		times(t, s, 1, to(fmt.Sprintf("2001:db8:4:%d::1", i), 5060), shieldVerdictVERDICT_PASSED)
	}
	times(t, s, 2, to("192.0.2.110", 5060), shieldVerdictVERDICT_NEIGHBOURHOOD)
	times(t, s, 2, to("2001:db8:4:11::1", 5060), shieldVerdictVERDICT_NEIGHBOURHOOD)
	times(t, s, 1, to("192.0.3.110", 5060), shieldVerdictVERDICT_PASSED)
	times(t, s, 1, to("2001:db8:5:11::1", 5060), shieldVerdictVERDICT_PASSED)
	times(t, s, 1, to("192.0.2.54", 5060), shieldVerdictVERDICT_PASSED) // known ones have no neighbours
}

// What all strangers share goes first to whom the shield has not seen; the last of
// it is kept for sources that return and neighbourhoods that are quiet.
func TestStrangers(t *testing.T) {
	s := trial(t)
	p := rules()
	p.All = Budget{Rate: 0, Burst: 40}
	p.Around = Budget{Rate: 0, Burst: 1000}
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	next := 0
	fresh := func() frame.Frame { next++; return to(fmt.Sprintf("198.19.%d.%d", next/200, next%200+1), 5060) }
	phone := to("192.0.2.9", 5060)
	times(t, s, 1, phone, shieldVerdictVERDICT_PASSED)
	for range 29 { // 10 are left, a quarter: the floor of a new source in a quiet neighbourhood
		times(t, s, 1, fresh(), shieldVerdictVERDICT_PASSED)
	}
	for range 3 {
		times(t, s, 1, fresh(), shieldVerdictVERDICT_STRANGERS)
	}
	again := fresh()
	key := keyOf(again.Source.String())
	times(t, s, 1, again, shieldVerdictVERDICT_STRANGERS)
	l, err := s.Look(key, key&^255)
	if err != nil || l.Cell != 0 || l.Refused != mix64(key^s.Seed())>>48 {
		t.Errorf("who was refused left %+v, %v; want its name", l, err)
	}
	times(t, s, 3, again, shieldVerdictVERDICT_PASSED)
	times(t, s, 1, again, shieldVerdictVERDICT_SOURCE_BUDGET)
	times(t, s, 2, phone, shieldVerdictVERDICT_PASSED)
	times(t, s, 1, phone, shieldVerdictVERDICT_SOURCE_BUDGET)
	s.SetClock(1_059_000)
	times(t, s, 1, phone, shieldVerdictVERDICT_PASSED)
	s.SetClock(1_059_000 + 60_000)
	times(t, s, 1, phone, shieldVerdictVERDICT_STRANGERS) // forgotten
	tcp := to("192.0.2.9", 5060, frame.SYN)
	times(t, s, 1, tcp, shieldVerdictVERDICT_PASSED) // another bucket
}

func TestHalfOpen(t *testing.T) {
	s := trial(t)
	syn, ack := to("192.0.2.9", 5060, frame.SYN), to("192.0.2.9", 5060, frame.ACK)
	times(t, s, 2, syn, shieldVerdictVERDICT_PASSED)
	times(t, s, 3, syn, shieldVerdictVERDICT_HALF_OPEN)
	times(t, s, 1, ack, shieldVerdictVERDICT_CONNECTION)
	times(t, s, 1, syn, shieldVerdictVERDICT_PASSED)
	times(t, s, 1, syn, shieldVerdictVERDICT_HALF_OPEN)
	times(t, s, 1, to("192.0.2.9", 5060, frame.ACK, frame.RST), shieldVerdictVERDICT_CONNECTION) // completes nothing
	times(t, s, 1, syn, shieldVerdictVERDICT_HALF_OPEN)
	s.SetClock(1_000_000 + 3999)
	times(t, s, 1, syn, shieldVerdictVERDICT_HALF_OPEN)
	s.SetClock(1_000_000 + 4000)
	times(t, s, 1, syn, shieldVerdictVERDICT_PASSED)
	times(t, s, 1, syn, shieldVerdictVERDICT_HALF_OPEN)
	times(t, s, 3, to("203.0.113.9", 5060, frame.SYN), shieldVerdictVERDICT_ALLOWED)
}

// Without a policy everything passes, and is seen to.
func TestUnclassified(t *testing.T) {
	s := trial(t)
	if err := s.maps.Policies.Delete(uint32(0)); err != nil {
		t.Fatal(err)
	}
	judged(t, s, verdict{to("198.51.100.9", 5060).Bytes(), pass, shieldVerdictVERDICT_UNCLASSIFIED, elsewhere})
}

// Without a country table no country is denied, not even the unknown one.
func TestNoTable(t *testing.T) {
	s := trial(t)
	p := rules()
	p.Deny[1][0] = 1
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	times(t, s, 1, to("192.0.2.9", 5060), shieldVerdictVERDICT_COUNTRY_DENIED)
	for range 2 { // also when there is none
		if err := s.ClearCountries(); err != nil {
			t.Fatal(err)
		}
	}
	times(t, s, 1, to("192.0.2.9", 5060), shieldVerdictVERDICT_PASSED)
	times(t, s, 1, to("198.51.100.9", 5060), shieldVerdictVERDICT_PASSED)
}

// The policy that Open puts into force lets everybody in, however much they send.
func TestFirstPolicy(t *testing.T) {
	privilege(t)
	s, err := Open(Options{Clock: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetServices([]Port{{First: 5060, Last: 5060, Service: 1}, {TCP: true, First: 5060, Last: 5060, Service: 1}}); err != nil {
		t.Fatal(err)
	}
	times(t, s, 50, to("192.0.2.9", 5060), shieldVerdictVERDICT_PASSED)
	times(t, s, 50, to("192.0.2.9", 5060, frame.SYN), shieldVerdictVERDICT_PASSED)
	given, err := Open(Options{Clock: true, Policy: &Policy{}})
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	if err := given.SetServices([]Port{{First: 5060, Last: 5060, Service: 1}}); err != nil {
		t.Fatal(err)
	}
	times(t, given, 1, to("192.0.2.9", 5060), shieldVerdictVERDICT_SOURCE_BUDGET)
}

// Unlimited budgets of neighbourhoods and strangers never end.
func TestUnlimited(t *testing.T) {
	s := trial(t)
	p := rules()
	p.Around, p.All = Budget{Rate: Unlimited}, Budget{Rate: Unlimited}
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	f := to("198.19.0.1", 5060).Bytes()
	for i := range 5000 {
		f[28], f[29] = byte(i>>8), byte(i)
		if a, err := s.Test(f); err != nil || a != pass {
			t.Fatalf("packet %d: action %d, %v", i, a, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := trial(t)
	err := s.SetCountries(Trie{Words: make([]uint64, 1<<20+7)})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "7 more than") {
		t.Errorf("a table too large by 7: %v", err)
	}
	err = s.SetPolicy(Policy{Lists: Trie{Words: make([]uint64, 1<<18+9)}})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "9 more than") {
		t.Errorf("a list too large by 9: %v", err)
	}
	if err := s.SetPolicy(Policy{Lists: Trie{Root4: make([]uint32, 7)}}); err == nil {
		t.Error("a root of 7 entries is taken")
	}
	if err := s.SetPolicy(Policy{All: Budget{Rate: 1, Burst: maxBurst + 1}}); err == nil {
		t.Error("a burst that overflows is taken")
	}
	for _, p := range []Port{{First: 2, Last: 1, Service: 1}, {Service: 5}, {}, {TCP: true, Service: 4}} {
		if err := s.SetServices([]Port{p}); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	times(t, s, 1, to("192.0.2.9", 5060), shieldVerdictVERDICT_PASSED) // what was in force still is
}

func TestFull(t *testing.T) {
	s := trial(t)
	room := s.maps.Sources.MaxEntries()
	var err error
	for i := range uint64(room) + 1 {
		if err = s.PutSource(1<<40|i, Source{Class: 1}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("error is %v", err)
	}
	n := 0
	if err := s.Sources(func(uint64, Source) { n++ }); err != nil || n != int(room) {
		t.Errorf("%d sources of %d, %v", n, room, err)
	}
	if err := errors.Join(s.PutSource(1<<40, Source{Class: 2}), s.DeleteSource(1<<40), s.DeleteSource(1<<40), s.PutSource(1, Source{Class: 1})); err != nil {
		t.Error(err)
	}
}

// A source keeps its bucket when it is changed.
func TestPutKeepsBucket(t *testing.T) {
	s := trial(t)
	times(t, s, 4, to("192.0.2.54", 5060), shieldVerdictVERDICT_PASSED)
	if err := s.PutSource(keyOf("192.0.2.54"), Source{Class: 1, Until: 4000}); err != nil {
		t.Fatal(err)
	}
	times(t, s, 1, to("192.0.2.54", 5060), shieldVerdictVERDICT_SOURCE_BUDGET)
	if err := s.PutSource(keyOf("192.0.2.54"), Source{Class: 0}); err == nil {
		t.Error("an unknown source is put")
	}
}

// Look finds what the program wrote: both hash alike.
func TestLook(t *testing.T) {
	s := trial(t)
	times(t, s, 2, to("192.0.2.9", 5060), shieldVerdictVERDICT_PASSED)
	times(t, s, 1, to("192.0.2.9", 5060, frame.SYN), shieldVerdictVERDICT_PASSED)
	key := keyOf("192.0.2.9")
	l, err := s.Look(key, key&^255)
	if err != nil {
		t.Fatal(err)
	}
	want := Surroundings{
		Now:      1_000_000,
		Cell:     1_000_000 | mix64(key^s.Seed())>>52<<32,
		Around:   [2][2]uint32{{1_000_000, 197_000}, {1_000_000, 197_000}},
		HalfOpen: [2]uint32{1_000_000, 1},
	}
	want.All[2], want.All[3] = [2]uint32{1_000_000, 3_998_000}, [2]uint32{1_000_000, 3_999_000}
	if l != want {
		t.Errorf("sees %+v, want %+v", l, want)
	}
	if l, err = s.Look(keyOf("192.0.2.53"), 0); err != nil || l.Source == nil || *l.Source != (Source{Class: 4, Proven: true, Until: 1001, Stamp: 0, Tokens: math.MaxUint32}) && l.Source.Class != 4 {
		t.Errorf("sees %+v, %v", l.Source, err)
	}
}

// Samples are the first of a kind and then one of 64, with what is known of them.
func TestSamples(t *testing.T) {
	s := trial(t)
	drain := func() (got []Sample) {
		if err := s.Samples(func(m Sample) { got = append(got, m) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	drain()
	run := func(n int, f []byte) {
		for range n {
			if _, err := s.Test(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(65*len(s.memory.rings), to("198.51.100.9", 5060).Bytes())
	total := uint32(0)
	for _, m := range drain() {
		total += m.Weight
		m.Weight = 0
		want := Sample{Source: netip.MustParseAddr("198.51.100.9"), Country: elsewhere, Verdict: uint8(shieldVerdictVERDICT_COUNTRY_DENIED), Service: 1}
		if m != want {
			t.Errorf("sample is %+v, want %+v", m, want)
		}
	}
	if total < 65 || total > uint32(65*len(s.memory.rings)) {
		t.Errorf("the samples stand for %d packets of %d", total, 65*len(s.memory.rings))
	}
	run(1, to("2001:db8:55:1::5", 5060).Bytes())
	got := drain()
	if len(got) != 1 || got[0] != (Sample{Source: netip.MustParseAddr("2001:db8:55:1::5"), Verdict: uint8(shieldVerdictVERDICT_BANNED), Service: 1, Class: 4, Weight: 1}) {
		t.Errorf("samples are %+v", got)
	}
	run(2000*64*len(s.memory.rings), to("192.0.2.9", 22).Bytes())
	if got := drain(); len(got) < 1023 || len(got) > 1024*len(s.memory.rings) {
		t.Errorf("%d samples of a flood", len(got))
	}
}

func TestVerdictNames(t *testing.T) {
	names, err := VerdictNames()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 16 || names[0] != "unclassified" || names[1] != "not_ours" || names[15] != "half_open" {
		t.Errorf("names are %v", names)
	}
}

// The kernel's clock goes on, in steps of a tick.
func TestNow(t *testing.T) {
	privilege(t)
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	start := s.Now()
	for s.Now() == start {
	}
	if step := s.Now() - start; step > 1000 {
		t.Errorf("a step of %d ms", step)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.SetLeg(1, true)
	if _, err := s.Test(make([]byte, 64)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
