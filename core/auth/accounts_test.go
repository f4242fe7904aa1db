package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip/digest"
)

// A street is a Guard and a company whose terminal 101 is registered at home.
type street struct {
	t     *testing.T
	guard *Guard
	company
	asked int
}

func newStreet(t *testing.T, wrong int, window time.Duration, homes ...string) *street {
	s := &street{t: t, guard: newGuard(t, Config{})}
	s.guard.LimitGuesses(wrong, window)
	for _, h := range homes {
		s.bindings = append(s.bindings, tenancy.Binding{Terminal: 7, Source: h})
	}
	s.company.asked = &s.asked
	return s
}

// try is what credentials from somewhere are worth.
func (s *street) try(from, user, password string) Verdict {
	s.t.Helper()
	_, ch := challenges(s.t, s.guard)
	c := digest.Answer(ch, "REGISTER", "sip:a.test", user, password, "c", 1)
	at, _ := netip.ParseAddr(from)
	d, v, err := s.guard.Verify(s.t.Context(), message(s.t, "REGISTER", "sip:a.test", header(c)), at, realm, s.company)
	if err != nil {
		s.t.Fatal(err)
	}
	if (v == Accepted) != (d.ID == 7) {
		s.t.Errorf("verdict %v with terminal %d", v, d.ID)
	}
	return v
}

func (s *street) counted() (closings, refused float64) {
	s.t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(s.guard.Collectors()...)
	families, err := reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	by := map[string]float64{}
	for _, f := range families {
		by[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	return by["lindero_core_accounts_closed_total"], by["lindero_core_accounts_refused_total"]
}

func somewhere(i int) string { return fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250) }

// 500 addresses guess at one account, each too seldom to be banned. Even the one
// that has the password by then is not let in; the account's phone is all the time.
func TestGuessesFromManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, 30, 10*time.Minute, "203.0.113.5:5060")
		for i := range 500 {
			password := fmt.Sprint("guess", i)
			if i == 400 {
				password = "secret"
			}
			computed := s.guard.computed.Load()
			if v := s.try(somewhere(i), "101", password); v != Wrong {
				t.Fatalf("guess %d is %v", i, v)
			}
			if n := s.guard.computed.Load() - computed; n != 1 {
				t.Fatalf("guess %d: %d responses computed", i, n)
			}
			if i%50 == 0 {
				if v := s.try("203.0.113.5", "101", "secret"); v != Accepted {
					t.Errorf("after %d guesses the phone is %v", i, v)
				}
			}
		}
		if closings, refused := s.counted(); closings != 1 || refused != 470 {
			t.Errorf("closed %v times, refused %v; want 1 and 470", closings, refused)
		}
		if s.asked != 1 {
			t.Errorf("the database was asked %d times for bindings", s.asked)
		}
		<-time.After(10 * time.Minute)
		if v := s.try(somewhere(1), "101", "secret"); v != Accepted {
			t.Errorf("when the time is over: %v", v)
		}
	})
}

func TestWhoMayUseAClosedAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, 3, time.Minute, "203.0.113.5:5060", "[2001:db8:1:2::9]:40000", "nonsense")
		for i := range 3 {
			s.try(somewhere(i), "101", "guess")
		}
		for from, want := range map[string]Verdict{
			"203.0.113.5": Accepted, "::ffff:203.0.113.5": Accepted, "2001:db8:1:2::7": Accepted, // its /64
			"203.0.113.6": Wrong, "2001:db8:1:3::9": Wrong, "": Wrong,
		} {
			if v := s.try(from, "101", "secret"); v != want {
				t.Errorf("from %q: %v, want %v", from, v, want)
			}
		}
		if v := s.try("203.0.113.5", "101", "wrong"); v != Wrong {
			t.Errorf("at home, with a wrong password: %v", v)
		}
	})
}

// Where phones are is asked again now and then: one that registered from elsewhere
// since is at home there.
func TestHomesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, 1, time.Hour, "203.0.113.5:5060")
		s.try(guest.String(), "101", "guess")
		if v := s.try(guest.String(), "101", "secret"); v != Wrong {
			t.Fatal(v)
		}
		s.bindings = append(s.bindings, tenancy.Binding{Source: netip.AddrPortFrom(guest, 5060).String()})
		if v := s.try(guest.String(), "101", "secret"); v != Wrong {
			t.Errorf("at once: %v", v)
		}
		<-time.After(homesFor)
		if v := s.try(guest.String(), "101", "secret"); v != Accepted {
			t.Errorf("later: %v", v)
		}
	})
}

// Success does not forgive what others guess, and what comes slowly is let be.
func TestWhatIsCounted(t *testing.T) {
	for name, row := range map[string]struct {
		each   time.Duration
		right  bool // the phone registers between
		closed bool
	}{
		"quickly":                   {time.Second, false, true},
		"quickly, a phone between":  {time.Second, true, true},
		"slowly":                    {7 * time.Minute, false, false},
		"over the end of a window":  {70 * time.Second, false, true},
		"just slower than too many": {130 * time.Second, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStreet(t, 6, 10*time.Minute)
				for i := range 20 {
					s.try(somewhere(i), "101", "guess")
					if row.right {
						s.try("203.0.113.5", "101", "secret")
					}
					<-time.After(row.each)
				}
				closings, _ := s.counted()
				if closed := closings > 0; closed != row.closed {
					t.Errorf("closed %v times", closings)
				}
			})
		})
	}
}

// Stale answers and phones without credentials are no guesses; nor does anybody
// learn from the guard which names exist.
func TestNamesThatNobodyHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, 5, time.Minute)
		for range 20 {
			if v := verify(t, s.guard); v != None {
				t.Fatal(v)
			}
		}
		if closings, _ := s.counted(); closings != 0 {
			t.Error("a phone without credentials closed an account")
		}
		for i := range 10 {
			if v := s.try(somewhere(i), "nobody", "guess"); v != Wrong {
				t.Fatal(v)
			}
		}
		if closings, refused := s.counted(); closings != 1 || refused != 5 {
			t.Errorf("a name that nobody has: closed %v times, refused %v", closings, refused)
		}
		if s.asked != 1 {
			t.Errorf("for a name that nobody has the database was asked %d times, for one that exists once", s.asked)
		}
		for i := range 5 * nobodies {
			s.try(somewhere(i%50), fmt.Sprint("nobody", i), "guess")
		}
		if n := len(s.guard.accounts.of); n > nobodies {
			t.Errorf("%d accounts are remembered for names that nobody has", n)
		}
	})
}

func TestTheTableOfAccountsIsBounded(t *testing.T) {
	a := newAccounts()
	a.set(2, time.Minute)
	now := time.Unix(1e9, 0)
	a.wrong(1, now)
	a.wrong(1, now)
	for id := range account(maxAccounts * 2) {
		a.wrong(id+2, now)
	}
	if n := len(a.of); n > maxAccounts {
		t.Errorf("%d accounts are remembered", n)
	}
	if t1 := a.of[1]; t1 == nil || !now.Before(t1.closedUntil) {
		t.Error("a closed account was forgotten to make room")
	}
}

func TestBindingsCannotBeRead(t *testing.T) {
	s := newStreet(t, 1, time.Minute)
	s.try(guest.String(), "101", "guess")
	broken := errors.New("gone")
	_, err := s.guard.accounts.refuses(t.Context(), 7, guest, company{err: broken}, time.Now())
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if no, err := s.guard.accounts.refuses(t.Context(), 7, guest, nil, time.Now()); err != nil || !no {
		t.Errorf("without a company: %v %v", no, err)
	}
}
