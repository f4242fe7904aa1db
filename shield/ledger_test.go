package shield

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// class is what the filter holds of an address.
func class(t *testing.T, f filter, a string) policy.Class {
	t.Helper()
	found := policy.Unknown
	if err := f.sources(func(k judge.Key, s judge.Source) {
		if k == judge.KeyOf(addr(a)) && s.Until > f.now().Seconds() {
			found = s.Class
		}
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func wantClass(t *testing.T, f filter, a string, want policy.Class) {
	t.Helper()
	if got := class(t, f, a); got != want {
		t.Errorf("%s is %v, want %v", a, got, want)
	}
}

func rules() policy.Bans { return policy.Default().Bans }

// accuse lets a source offend n times.
func accuse(l *ledger, a string, o Offence, proven bool, n int) {
	for range n {
		l.offended(event{source: addr(a), offence: o, proven: proven, detail: "a test"}, rules(), time.Now())
	}
}

func TestPromotionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		const phone = "192.0.2.7"
		l.promote(addr(phone), time.Time{}, time.Now())
		wantClass(t, l.filter, phone, policy.Known)
		l.promote(addr(phone), time.Now().Add(90*time.Minute), time.Now())
		wantClass(t, l.filter, phone, policy.Registered)
		l.promote(addr(phone), time.Time{}, time.Now())
		wantClass(t, l.filter, phone, policy.Registered) // Known makes it no less

		pass(50 * time.Minute)
		l.promote(addr(phone), time.Time{}, time.Now())
		pass(41 * time.Minute)
		l.lapse(time.Minute, time.Now())
		wantClass(t, l.filter, phone, policy.Known) // the registration is over, the challenge was answered 41 minutes ago
		pass(20 * time.Minute)
		wantClass(t, l.filter, phone, policy.Unknown)
		l.lapse(time.Minute, time.Now())
		if n := len(l.standings); n != 0 {
			t.Errorf("%d standings are kept for nobody", n)
		}
	})
}

func TestAnIPv6SourceIsItsSlash64(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	accuse(l, "2001:db8:1:2::1", BadCredentials, true, 5)
	accuse(l, "2001:db8:1:2:ffff::9", BadCredentials, true, 5)
	wantClass(t, l.filter, "2001:db8:1:2::77", policy.Ban)
	wantClass(t, l.filter, "2001:db8:1:3::1", policy.Unknown)
	if b := l.bans.list(time.Now()); len(b) != 1 || b[0].Prefix != pfx("2001:db8:1:2::/64") {
		t.Errorf("bans are %+v", b)
	}
}

func TestBansDoubleUpToADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		const guesser = "203.0.113.9"
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440} {
			want *= time.Minute
			accuse(l, guesser, BadCredentials, true, rules().Failures-1)
			if _, ok := l.bans.of(judge.KeyOf(addr(guesser)), time.Now()); ok {
				t.Fatalf("banned after %d failures", rules().Failures-1)
			}
			accuse(l, guesser, BadCredentials, true, 1)
			b, ok := l.bans.of(judge.KeyOf(addr(guesser)), time.Now())
			if !ok || b.Until.Sub(b.Since) != want {
				t.Fatalf("ban %d lasts %v, want %v", i, b.Until.Sub(b.Since), want)
			}
			pass(want + time.Second)
			wantClass(t, l.filter, guesser, policy.Unknown)
			l.lapse(time.Minute, time.Now())
		}
		pass(25 * time.Hour)
		accuse(l, guesser, BadCredentials, true, rules().Failures)
		if b, _ := l.bans.of(judge.KeyOf(addr(guesser)), time.Now()); b.Until.Sub(b.Since) != 10*time.Minute {
			t.Errorf("a ban long after the last one lasts %v", b.Until.Sub(b.Since))
		}
	})
}

// What a stranger did at an address before makes the first ban of the office that
// is there now no longer; the office's own repeats count.
func TestAnOfficesFirstBanIsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		const office = "203.0.113.9"
		key := judge.KeyOf(addr(office))
		for range 3 {
			accuse(l, office, BadCredentials, true, rules().Failures)
			l.lift(key, time.Now())
		}
		l.promote(addr(office), time.Now().Add(10*time.Hour), time.Now())
		for _, want := range []time.Duration{10 * time.Minute, 20 * time.Minute} {
			accuse(l, office, BadCredentials, true, 10*rules().Failures)
			b, ok := l.bans.of(key, time.Now())
			if reason := "100 wrong credentials in 10m (10 times the usual limit, as it has registrations): a test"; !ok || b.Until.Sub(b.Since) != want || b.Reason != reason {
				t.Fatalf("banned is %v, for %v, as %q", ok, b.Until.Sub(b.Since), b.Reason)
			}
			pass(want + time.Second)
		}
		s := state{Format: stateFormat}
		l.save(&s, time.Now())
		next := newLedger(newUser(), "edge-1", quiet())
		next.load(s, time.Now())
		if office, others := next.docket.proven.repeats[repeatKey{key, true}].times, next.docket.proven.repeats[repeatKey{key, false}].times; office != 2 || others != 3 {
			t.Errorf("after a restart %d bans of the office are counted, and %d of others", office, others)
		}
	})
}

func TestFailuresOfOldDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		for range 20 { // one a minute and a bit: 9 in ten minutes
			accuse(l, "203.0.113.9", BadCredentials, true, 1)
			pass(70 * time.Second)
		}
		wantClass(t, l.filter, "203.0.113.9", policy.Unknown)
	})
}

func TestWhoIsBannedOnWhatEvidence(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		offence    Offence
		proven     bool
		n          int
		registered bool
		rules      func(*policy.Bans)
		want       policy.Class
	}{
		"a guesser over a connection":           {BadCredentials, true, 10, false, nil, policy.Ban},
		"one failure too few":                   {BadCredentials, true, 9, false, nil, policy.Unknown},
		"a guesser by datagrams":                {BadCredentials, false, 10, false, nil, policy.Ban},
		"a registered source, forged":           {BadCredentials, false, 100, true, nil, policy.Registered},
		"a registered source, not forged":       {BadCredentials, true, 100, true, nil, policy.Ban},
		"an office with a phone of old":         {BadCredentials, true, 99, true, nil, policy.Registered},
		"an office's odd gateway":               {Malformed, true, 499, true, nil, policy.Registered},
		"an office's odder gateway":             {Malformed, true, 500, true, nil, policy.Ban},
		"a scanner in an office":                {Scanner, true, 1, true, nil, policy.Ban},
		"a storm of malformed messages":         {Malformed, true, 50, false, nil, policy.Ban},
		"a few malformed messages":              {Malformed, true, 49, false, nil, policy.Unknown},
		"a scanner":                             {Scanner, true, 1, false, nil, policy.Ban},
		"a scanner by datagrams":                {Scanner, false, 3, false, nil, policy.Ban},
		"two marked datagrams, maybe forged":    {Scanner, false, 2, false, nil, policy.Unknown},
		"a scanner where scanners may be":       {Scanner, true, 5, false, func(b *policy.Bans) { b.Scanners = &no }, policy.Unknown},
		"a scanner with a registered's address": {Scanner, false, 100, true, nil, policy.Registered},
		"an offence nobody knows":               {Offence(99), true, 1000, false, nil, policy.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(newUser(), "edge-1", quiet())
			now := time.Now()
			if c.registered {
				l.promote(addr("203.0.113.9"), now.Add(time.Hour), now)
			}
			r := rules()
			if c.rules != nil {
				c.rules(&r)
			}
			for range c.n {
				l.offended(event{source: addr("203.0.113.9"), offence: c.offence, proven: c.proven}, r, now)
			}
			wantClass(t, l.filter, "203.0.113.9", c.want)
		})
	}
}

func TestForgedEvidenceDoesNotAddUpToProof(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	accuse(l, "203.0.113.9", BadCredentials, false, 9)
	accuse(l, "203.0.113.9", BadCredentials, true, 1)
	wantClass(t, l.filter, "203.0.113.9", policy.Unknown)
}

func TestABanForDatagramsBecomesOneForAllOnProof(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	now := time.Now()
	key := judge.KeyOf(addr("203.0.113.9"))
	l.replaceBans(map[judge.Key]protocol.Ban{key: {Prefix: pfx("203.0.113.9/32"), Since: now, Until: now.Add(5 * time.Hour), By: "edge-2"}}, now)
	accuse(l, "203.0.113.9", BadCredentials, false, 100)
	if b, _ := l.bans.of(key, now); b.Proven || b.By != "edge-2" {
		t.Errorf("after more forged evidence: %+v", b)
	}
	accuse(l, "203.0.113.9", BadCredentials, true, 10)
	if b, _ := l.bans.of(key, now); !b.Proven || b.By != "edge-1" {
		t.Errorf("after proof: %+v", b)
	}
	if b, _ := l.bans.of(key, now.Add(time.Hour)); b.Proven || b.By != "edge-2" {
		t.Errorf("when the proven one is over: %+v", b)
	}
}

// Who answered a challenge is not banned by what anybody can forge, wherever that
// was seen, and also not when a registration comes and goes meanwhile.
func TestForgedEvidenceDoesNotReachWhoAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		const phone = "203.0.113.9"
		l.promote(addr(phone), time.Time{}, time.Now())
		pass(time.Second)
		for _, o := range []Offence{BadCredentials, Malformed, Scanner} {
			accuse(l, phone, o, false, 1000)
		}
		wantClass(t, l.filter, phone, policy.Known)
		l.replaceBans(map[judge.Key]protocol.Ban{judge.KeyOf(addr(phone)): {Prefix: pfx(phone + "/32"), Since: time.Now(), Until: time.Now().Add(time.Hour), By: "edge-2"}}, time.Now())
		wantClass(t, l.filter, phone, policy.Known)
		pass(time.Second)
		l.promote(addr(phone), time.Now().Add(time.Minute), time.Now())
		wantClass(t, l.filter, phone, policy.Registered)
		pass(time.Minute)
		l.lapse(time.Minute, time.Now())
		wantClass(t, l.filter, phone, policy.Known)
		accuse(l, phone, Scanner, true, 1)
		wantClass(t, l.filter, phone, policy.Ban)
	})
}

// Marked datagrams that come seldom are no scan.
func TestMarkedDatagramsOfOldDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newUser(), "edge-1", quiet())
		for range 10 {
			accuse(l, "203.0.113.9", Scanner, false, 2)
			pass(time.Duration(rules().Window))
		}
		wantClass(t, l.filter, "203.0.113.9", policy.Unknown)
	})
}

func TestABannedSourceStaysBanned(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	accuse(l, "203.0.113.9", BadCredentials, false, 10)
	now := time.Now()
	l.promote(addr("203.0.113.9"), time.Time{}, now)
	l.promote(addr("203.0.113.9"), now.Add(time.Hour), now.Add(time.Second))
	wantClass(t, l.filter, "203.0.113.9", policy.Ban)
	if !l.lift(judge.KeyOf(addr("203.0.113.9")), now) {
		t.Error("there was no ban to lift")
	}
	wantClass(t, l.filter, "203.0.113.9", policy.Registered) // what it earned meanwhile
}

func TestStrangersFillNoTable(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	now := time.Now()
	for i := range maxStrikes + 10_000 {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) // 65536 of them, then again as IPv6
		if i >= 1<<16 {
			a = netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i-1<<16))
		}
		l.offended(event{source: a, offence: BadCredentials}, rules(), now)
		for range forgedMarks {
			l.offended(event{source: a, offence: Scanner}, rules(), now)
		}
	}
	if n := len(l.docket.forged.strikes); n > maxStrikes {
		t.Errorf("%d counts of offences", n)
	}
	if n := len(l.docket.forged.repeats); n > maxRepeats {
		t.Errorf("%d counts of bans", n)
	}
	if n := len(l.bans.here); n != crowded {
		t.Errorf("%d bans, want %d", n, crowded)
	}
	if l.full == 0 {
		t.Error("nothing says that there was no room")
	}
}

func TestCoresListIsTheTruth(t *testing.T) {
	now := time.Now()
	from := func(p string, proven bool) protocol.Ban {
		return protocol.Ban{Prefix: pfx(p), Reason: "core says so", Since: now, Until: now.Add(time.Hour), By: "ana", Proven: proven}
	}
	l := newLedger(newUser(), "edge-1", quiet())
	hear := func(bans ...protocol.Ban) {
		m, odd := banMap(bans, now)
		if odd > 0 {
			t.Fatalf("%d odd bans", odd)
		}
		l.replaceBans(m, now)
	}
	hear(from("203.0.113.1/32", true), from("203.0.113.2/32", true), from("2001:db8:9::/64", true))
	wantClass(t, l.filter, "203.0.113.1", policy.Ban)
	wantClass(t, l.filter, "2001:db8:9::5", policy.Ban)
	hear(from("203.0.113.2/32", true))
	wantClass(t, l.filter, "203.0.113.1", policy.Unknown)
	wantClass(t, l.filter, "203.0.113.2", policy.Ban)

	// Lifted here: stays so until core bans it anew.
	l.lift(judge.KeyOf(addr("203.0.113.2")), now.Add(time.Second))
	hear(from("203.0.113.2/32", true), from("203.0.113.3/32", true))
	wantClass(t, l.filter, "203.0.113.2", policy.Unknown)
	again := from("203.0.113.2/32", true)
	again.Since = now.Add(time.Minute)
	hear(again)
	wantClass(t, l.filter, "203.0.113.2", policy.Ban)

	// An operator's ban here is not core's to end.
	b := from("203.0.113.5/32", true)
	if !l.banHere(judge.KeyOf(addr("203.0.113.5")), b, now) {
		t.Fatal("no room")
	}
	hear()
	wantClass(t, l.filter, "203.0.113.5", policy.Ban)

	// Another node's forged evidence does not reach a registered source.
	l.promote(addr("203.0.113.6"), now.Add(time.Hour), now)
	later := from("203.0.113.6/32", false)
	later.Since = now.Add(time.Second)
	hear(later)
	wantClass(t, l.filter, "203.0.113.6", policy.Registered)
}

func TestOwnBansLastUntilCoreHasThem(t *testing.T) {
	now := time.Now()
	l := newLedger(newUser(), "edge-1", quiet())
	key := judge.KeyOf(addr("203.0.113.9"))
	accuse(l, "203.0.113.9", Scanner, true, 1)
	told := l.untold(10, now)
	if len(told) != 1 || told[0].By != "edge-1" || told[0].Reason == "" {
		t.Fatalf("core is told %+v", told)
	}
	before := l.told(now) // core is asked now, before it took the ban
	l.took(told, now)
	l.replaceBans(map[judge.Key]protocol.Ban{}, now) // and answers with a list from before
	l.settle(before, now)
	wantClass(t, l.filter, "203.0.113.9", policy.Ban)
	if again := l.untold(10, now); len(again) != 0 {
		t.Errorf("core is told again: %+v", again)
	}
	// Asked after it took the ban, it has it or somebody lifted it.
	l.replaceBans(map[judge.Key]protocol.Ban{key: told[0]}, now)
	l.settle(l.told(now), now)
	wantClass(t, l.filter, "203.0.113.9", policy.Ban)
	l.replaceBans(map[judge.Key]protocol.Ban{}, now)
	wantClass(t, l.filter, "203.0.113.9", policy.Unknown)

	accuse(l, "203.0.113.10", Scanner, true, 1)
	l.took(l.untold(10, now), now)
	l.settle(l.told(now.Add(settleAfter/2)), now) // core gathers bans before it lists them
	wantClass(t, l.filter, "203.0.113.10", policy.Ban)
	l.settle(l.told(now.Add(settleAfter)), now) // core's list did not change: it was lifted at once
	wantClass(t, l.filter, "203.0.113.10", policy.Unknown)
}

// However many sources a stranger forges, there is room for bans that are founded,
// and for those of operators.
func TestForgedBansLeaveRoom(t *testing.T) {
	now := time.Now()
	l := newBanlist()
	put := func(first byte, n int, proven bool, o origin) (taken int) {
		for i := range n {
			a := netip.AddrFrom4([4]byte{198, first, byte(i >> 8), byte(i)})
			if l.put(judge.KeyOf(a), ban{Ban: protocol.Ban{Since: now, Until: now.Add(time.Hour), Proven: proven}, origin: o}) {
				taken++
			}
		}
		return taken
	}
	for _, got := range []struct{ is, want int }{
		{put(18, maxBans, false, untold), crowded},
		{put(19, maxBans, true, untold), maxBans / 8},
		{put(20, maxBans, true, local), maxBans / 8},
		{put(20, maxBans/8, true, local), maxBans / 8}, // which it has already
		{len(l.here), maxBans},
	} {
		if got.is != got.want {
			t.Errorf("%d, want %d", got.is, got.want)
		}
	}
}

// A ban for which core had no room stays in force where it was made.
func TestABanWithoutRoomAtCoreStays(t *testing.T) {
	now := time.Now()
	l := newLedger(newUser(), "edge-1", quiet())
	list := map[judge.Key]protocol.Ban{}
	for i := range crowded {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		list[judge.KeyOf(a)] = protocol.Ban{Prefix: netip.PrefixFrom(a, 32), Since: now, Until: now.Add(time.Hour)}
	}
	accuse(l, "203.0.113.9", Scanner, true, 1)
	l.took(l.untold(10, now), now)
	l.replaceBans(list, now)
	l.settle(l.told(now.Add(settleAfter)), now)
	wantClass(t, l.filter, "203.0.113.9", policy.Ban)
}

func TestTheFilterIsMadeToSayWhatTheLedgerDoes(t *testing.T) {
	now := time.Now()
	l := newLedger(newUser(), "edge-1", quiet())
	l.promote(addr("192.0.2.1"), now.Add(time.Hour), now)
	l.promote(addr("192.0.2.2"), time.Time{}, now)
	accuse(l, "203.0.113.9", Scanner, true, 1)
	clock := l.filter.now().Seconds()
	// What may have become of it: lost, shortened by a clock that stood still, left over, another process's.
	l.filter.drop(judge.KeyOf(addr("192.0.2.1")))
	l.filter.put(judge.KeyOf(addr("203.0.113.9")), judge.Source{Class: policy.Ban, Until: clock + 5})
	l.filter.put(judge.KeyOf(addr("192.0.2.3")), judge.Source{Class: policy.Known, Until: 1})
	l.filter.put(judge.KeyOf(addr("192.0.2.4")), judge.Source{Class: policy.Known, Until: clock + 100})
	l.reconcile(now)
	wantClass(t, l.filter, "192.0.2.1", policy.Registered)
	wantClass(t, l.filter, "192.0.2.2", policy.Known)
	wantClass(t, l.filter, "192.0.2.4", policy.Known)
	n := 0
	l.filter.sources(func(k judge.Key, s judge.Source) {
		n++
		if k == judge.KeyOf(addr("203.0.113.9")) && (s.Until < clock+500 || !s.Proven) {
			t.Errorf("the ban ends at %d, the clock says %d", s.Until, clock)
		}
	})
	if n != 4 {
		t.Errorf("the filter has %d sources, want 4", n)
	}
}

// pass lets a bubble's clock go on.
func pass(d time.Duration) { <-time.After(d) }

// Forged sources, however many, take nothing from what is counted on evidence that
// could not be forged: neither strikes nor how often somebody was banned.
func TestForgedStrikesTakeNoPlaceOfProvenOnes(t *testing.T) {
	l := newLedger(newUser(), "edge-1", quiet())
	const guessers = 20
	guesser := func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }
	for i := range guessers {
		accuse(l, guesser(i), BadCredentials, true, rules().Failures-1)
	}
	for i := range 3 * maxStrikes {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		l.offended(event{source: a, offence: Malformed, detail: "forged"}, rules(), time.Now())
	}
	for i := range guessers {
		accuse(l, guesser(i), BadCredentials, true, 1)
		if _, banned := l.bans.of(judge.KeyOf(addr(guesser(i))), time.Now()); !banned {
			t.Fatalf("%s has %d wrong credentials and is not banned", guesser(i), rules().Failures)
		}
	}
	for i := range 2 * maxRepeats {
		l.docket.of(false).sentence(repeatKey{judge.Key(i + 1<<24), false}, time.Minute, time.Now())
	}
	for i := range guessers {
		if d := l.docket.of(true).sentence(repeatKey{judge.KeyOf(addr(guesser(i))), false}, time.Minute, time.Now()); d != 2*time.Minute {
			t.Fatalf("the second ban of %s lasts %v", guesser(i), d)
		}
	}
}
