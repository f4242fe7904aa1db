package auth

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
)

// accounts stops guesses at one account that come from many addresses, which no
// ban of a source sees. An account with too many wrong answers is closed for a
// while: credentials count only when they come from where a terminal of the account
// is registered, so its phones stay in use. Everybody else is answered as if the
// password was wrong, with the same work. What guessers answer right meanwhile is
// not looked at, and nothing that anybody does opens the account earlier.
//
// Names that no terminal has are counted too, a few together, so that nobody can
// tell by trying which exist; that also bounds the table by the terminals there are.
type accounts struct {
	limit  atomic.Int64 // wrong answers in window that close an account
	window atomic.Int64 // time.Duration; an account is closed for as long
	seed   maphash.Seed

	closings prometheus.Counter
	refused  prometheus.Counter

	mu sync.Mutex // guards the field below and what it points to
	of map[account]*tries
}

// An account is a terminal's ID, or less than 0 for names that none has.
type account int64

const (
	nobodies    = 1024    // accounts for names that none has
	maxAccounts = 1 << 17 // tried at one time; beyond, some are forgotten
	homesFor    = 10 * time.Second
)

// tries are the wrong answers for one account in this window and the one before.
type tries struct {
	began       time.Time // of this window
	now, before int
	closedUntil time.Time
	homes       []netip.Prefix // where its terminals are registered, while it is closed
	homesRead   time.Time
}

func newAccounts() *accounts {
	a := &accounts{
		seed: maphash.MakeSeed(), of: map[account]*tries{},
		closings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lindero_core_accounts_closed_total", Help: "Accounts closed for a while because of wrong credentials from wherever."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lindero_core_accounts_refused_total", Help: "Credentials for a closed account that were not looked at, since its phones are elsewhere."}),
	}
	a.set(30, 10*time.Minute)
	return a
}

func (a *accounts) set(limit int, window time.Duration) {
	a.limit.Store(int64(max(limit, 1)))
	a.window.Store(int64(max(window, time.Second)))
}

// account is what wrong answers for a name are counted by.
func (a *accounts) account(d tenancy.Terminal, known bool, realm, username string) account {
	var h maphash.Hash // for everybody, so that it takes everybody the time
	h.SetSeed(a.seed)
	h.WriteString(realm)
	h.WriteByte(0)
	h.WriteString(username)
	if nobody := -1 - account(h.Sum64()%nobodies); !known {
		return nobody
	}
	return account(d.ID)
}

// wrong counts a wrong answer and closes the account when there were too many.
func (a *accounts) wrong(id account, now time.Time) {
	limit, window := a.limit.Load(), time.Duration(a.window.Load())
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of[id]
	if t == nil {
		a.makeRoom(now, window)
		t = &tries{began: now}
		a.of[id] = t
	}
	if now.Before(t.closedUntil) {
		return // from where it is registered; the others are not looked at
	}
	switch gone := now.Sub(t.began); {
	case gone >= 2*window:
		t.began, t.before, t.now = now, 0, 0
	case gone >= window:
		t.began, t.before, t.now = t.began.Add(window), t.now, 0
	}
	t.now++
	// Of the window before, the part that is less than a window ago.
	past := float64(t.before) * (1 - float64(now.Sub(t.began))/float64(window))
	if float64(t.now)+past < float64(limit) {
		return
	}
	a.closings.Inc()
	*t = tries{began: now, closedUntil: now.Add(window)}
}

// makeRoom forgets, when there are too many, accounts that were left alone, and
// when that is not enough any that is not closed. It is called with mu held.
func (a *accounts) makeRoom(now time.Time, window time.Duration) {
	if len(a.of) < maxAccounts {
		return
	}
	for id, t := range a.of {
		if now.Sub(t.began) >= 2*window && !now.Before(t.closedUntil) {
			delete(a.of, id)
		}
	}
	for id, t := range a.of {
		if len(a.of) < maxAccounts*7/8 {
			return
		}
		if !now.Before(t.closedUntil) {
			delete(a.of, id)
		}
	}
}

// refuses tells whether credentials for the account must not count, because it is
// closed and none of its terminals is registered where they come from. The error
// is a failure of the database, which is asked now and then at most.
func (a *accounts) refuses(ctx context.Context, id account, from netip.Addr, company Terminals, now time.Time) (bool, error) {
	a.mu.Lock()
	t := a.of[id]
	if t == nil || !now.Before(t.closedUntil) {
		a.mu.Unlock()
		return false, nil
	}
	homes, fresh := t.homes, !t.homesRead.IsZero() && now.Sub(t.homesRead) < homesFor
	a.mu.Unlock()
	if !fresh && company != nil {
		bindings, err := company.BindingsOf(ctx, tenancy.TerminalID(max(id, 0)))
		if err != nil {
			return true, err
		}
		homes = homesOf(bindings)
		a.mu.Lock()
		t.homes, t.homesRead = homes, now
		a.mu.Unlock()
	}
	if slices.Contains(homes, home(from)) {
		return false, nil
	}
	a.refused.Inc()
	return true, nil
}

func homesOf(bindings []tenancy.Binding) (homes []netip.Prefix) {
	for _, b := range bindings {
		if at, err := netip.ParseAddrPort(b.Source); err == nil {
			homes = append(homes, home(at.Addr()))
		}
	}
	return homes
}

// home is an IPv4 address or an IPv6 /64, in which a phone changes its address as
// it likes. The zero Prefix, of no address, is nobody's home.
func home(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // fails for no address, and p is zero then
	return p
}
