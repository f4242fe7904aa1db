package shield

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

func TestWhatTheLedgerKnowsOutlivesIt(t *testing.T) {
	now := time.Now()
	l := newLedger(newUser(), "edge-1", quiet())
	l.promote(addr("192.0.2.1"), now.Add(time.Hour), now)
	l.promote(addr("192.0.2.2"), time.Time{}, now)
	l.promote(addr("2001:db8:5:6::1"), time.Time{}, now)
	accuse(l, "203.0.113.9", Scanner, true, 1)
	accuse(l, "203.0.113.10", Scanner, true, 1)
	l.took(l.untold(10, now)[:1], now)
	l.replaceBans(map[judge.Key]protocol.Ban{
		judge.KeyOf(addr("203.0.113.1")): {Prefix: pfx("203.0.113.1/32"), Since: now, Until: now.Add(time.Hour), Reason: "core", Proven: true},
		judge.KeyOf(addr("203.0.113.2")): {Prefix: pfx("203.0.113.2/32"), Since: now, Until: now.Add(time.Hour), Reason: "core", Proven: true},
	}, now)
	l.lift(judge.KeyOf(addr("203.0.113.2")), now.Add(time.Millisecond))
	l.banHere(judge.KeyOf(addr("203.0.113.3")), protocol.Ban{Prefix: pfx("203.0.113.3/32"), Since: now, Until: now.Add(time.Hour), Proven: true}, now)

	s := state{Format: stateFormat}
	l.save(&s, now)
	path := filepath.Join(t.TempDir(), "state.json")
	if err := s.write(path); err != nil {
		t.Fatal(err)
	}
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", at.Mode(), err)
	}
	read, err := readState(path)
	if err != nil {
		t.Fatal(err)
	}
	next := newLedger(newUser(), "edge-1", quiet())
	if odd := next.load(read, now); odd != 0 {
		t.Errorf("%d odd entries", odd)
	}
	if err := next.adopt(now); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]policy.Class{
		"192.0.2.1": policy.Registered, "192.0.2.2": policy.Known, "2001:db8:5:6::9": policy.Known,
		"203.0.113.9": policy.Ban, "203.0.113.10": policy.Ban, "203.0.113.1": policy.Ban,
		"203.0.113.2": policy.Unknown, "203.0.113.3": policy.Ban, "192.0.2.3": policy.Unknown,
	} {
		wantClass(t, next.filter, a, want)
	}
	if got, want := len(next.untold(10, now)), 1; got != want {
		t.Errorf("core has yet to be told of %d bans, want %d", got, want)
	}
	// The second ban of a source is twice as long, also after a restart.
	key := judge.KeyOf(addr("203.0.113.9"))
	next.lift(key, now)
	accuse(next, "203.0.113.9", Scanner, true, 1)
	if b, _ := next.bans.of(key, time.Now()); b.Until.Sub(b.Since) != 20*time.Minute {
		t.Errorf("the second ban lasts %v", b.Until.Sub(b.Since))
	}
}

func TestADamagedStateIsPutAsideAndTheBuiltInPolicyHolds(t *testing.T) {
	good := `{"format":1,"policy":{"version":7,"document":{"deny":[{"prefix":"203.0.113.0/24"}]},"author":"ana","made":"2026-01-02T03:04:05Z"}}`
	for name, c := range map[string]struct {
		text    string
		version uint64
		aside   bool
	}{
		"a good one":              {good, 7, false},
		"cut short":               {good[:len(good)/2], 0, true},
		"empty":                   {"", 0, true},
		"of zeros":                {strings.Repeat("\x00", 4096), 0, true},
		"of another format":       {strings.Replace(good, `"format":1`, `"format":9`, 1), 0, true},
		"with a policy of faults": {strings.Replace(good, "203.0.113.0/24", "203.0.113.77/24", 1), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			if err := os.WriteFile(cfg.State, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			g := guard(t, cfg)
			if got := g.force.Load().compiled.Version; got != c.version {
				t.Errorf("policy %d is in force, want %d", got, c.version)
			}
			if got := !g.Admit(addr("203.0.113.8"), policy.SIP, false); got != (c.version == 7) {
				t.Errorf("what policy 7 denies is dropped: %v", got)
			}
			if _, err := os.Stat(cfg.State + ".damaged"); (err == nil) != c.aside {
				t.Errorf("put aside: %v, want %v", err == nil, c.aside)
			}
		})
	}
}

func TestASaveThatFailsLeavesTheOldState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := (state{Format: stateFormat}).write(path); err != nil {
		t.Fatal(err)
	}
	if err := (state{}).write(filepath.Join(dir, "gone", "state.json")); err == nil {
		t.Error("written into a folder that is not there")
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (state{}).write(filepath.Join(dir, "taken")); err == nil {
		t.Error("a folder was replaced")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*new*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := readState(path); err != nil {
		t.Error(err)
	}
}

// Whatever the file holds, a guard starts, and what it holds in the end it can
// write and read again.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"format":1,"bans":[{"prefix":"203.0.113.9/32","since":"2026-01-02T03:04:05Z","until":"2999-01-02T03:04:05Z","origin":1}],
		"core":[{"prefix":"2001:db8::/64","until":"2999-01-02T03:04:05Z"}],"lifted":[{"prefix":"2001:db8::/64"}],
		"repeats":[{"prefix":"203.0.113.9/32","times":9223372036854775807,"ended":"2999-01-02T03:04:05Z"}],
		"sources":[{"p":"192.0.2.1/32","k":9999999999,"r":9999999999},{"p":"192.0.2.0/24","k":1}]}`))
	f.Add([]byte(`{"format":1,"policy":{"version":7,"document":{"deny":[{"prefix":"203.0.113.0/24"}]}}}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "state.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		s, first, err := loadState(path, now, quiet())
		if err != nil || first.compiled == nil {
			t.Fatalf("no policy: %v", err)
		}
		l := newLedger(newUser(), "edge-1", quiet())
		l.load(s, now)
		if err := l.adopt(now); err != nil {
			t.Fatal(err)
		}
		accuse(l, "203.0.113.9", Scanner, true, 1)
		next := state{Format: stateFormat, Policy: &first.version}
		l.save(&next, now)
		if err := next.write(path); err != nil {
			t.Fatal(err)
		}
		again, _, err := loadState(path, now, quiet())
		if err != nil || len(again.Bans) != len(next.Bans) || len(again.Sources) != len(next.Sources) || again.Policy == nil {
			t.Fatalf("what was written reads as %+v, %v", again, err)
		}
	})
}

// A state that was saved while the machine's clock was ahead trusts nobody for longer
// than anybody can be trusted, and bans nobody for longer than was meant.
func TestAStateOfAClockAheadIsBounded(t *testing.T) {
	now := time.Now()
	ahead := now.Add(1000 * time.Hour)
	l := newLedger(newUser(), "edge-1", quiet())
	l.promote(addr("192.0.2.1"), ahead.Add(time.Hour), ahead)
	l.promote(addr("192.0.2.2"), time.Time{}, ahead)
	l.offended(event{source: addr("203.0.113.9"), offence: Scanner, proven: true}, rules(), ahead)
	var s state
	l.save(&s, ahead)
	next := newLedger(newUser(), "edge-1", quiet())
	next.load(s, now)
	for a, most := range map[string]time.Duration{"192.0.2.1": longestRegistration, "192.0.2.2": knownFor} {
		st := next.standings[judge.KeyOf(addr(a))]
		if _, until := st.class(now); until.After(now.Add(most)) || st.since.After(now) {
			t.Errorf("%s is trusted until %v, since %v; it is %v", a, until, st.since, now)
		}
	}
	if b, ok := next.bans.of(judge.KeyOf(addr("203.0.113.9")), now); !ok || b.Until.After(now.Add(time.Duration(rules().Duration))) || b.Since.After(now) {
		t.Errorf("banned %v: %+v", ok, b)
	}
	for _, r := range next.docket.of(true).repeats {
		if r.ended.After(now.Add(longestBan)) {
			t.Errorf("a repeat counts until %v", r.ended)
		}
	}
}
