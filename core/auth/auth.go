// Package auth tells whose request this is: it offers digest challenges, checks
// the answers against a company's terminals, and refuses answers that are old or
// were used before (RFC 3261 §22, RFC 7616, RFC 8760). The arithmetic of digest is
// wire/sip/digest's, credentials are core/store's, and what the sender may then do
// is decided by core/front.go and the call logic.
package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
)

// Config says how a Guard keeps its nonces. The zero value of a limit means its default.
type Config struct {
	Key  []byte        // at least 16 bytes; LoadKey reads one. Who has it can make nonces, not passwords
	Life time.Duration // of a nonce; default 5 min
	Max  int           // nonces remembered as used; default 1 000 000, some 60 MB when full

	// Algorithms are offered in this order and no other is accepted; default
	// SHA-256, MD5.
	Algorithms []digest.Algorithm
}

// A Guard checks credentials. Its methods may be called from any goroutine.
type Guard struct {
	nonces *mint
	used   *ledger
	offers []digest.Algorithm
	dummy  [2]string // HA1 of nobody, by algorithm - 1

	accounts *accounts

	computed atomic.Uint64 // responses computed; a stranger's guess must cost one, like the owner's
}

// A Verdict is what credentials were worth.
type Verdict uint8

// The zero Verdict is a refusal, so that a forgotten one lets nobody in.
const (
	Wrong    Verdict = iota // no such terminal, wrong password, or not meant for this request
	None                    // the request carries no credentials for our realm
	Stale                   // right, but with a nonce that is too old or was used before
	Accepted                // the request was made by someone who knows the terminal's password
)

// String is the verdict's name in metrics.
func (v Verdict) String() string {
	return [...]string{Wrong: "wrong", None: "none", Stale: "stale", Accepted: "accepted"}[v]
}

// Terminals finds the terminals of one company, and where they are registered.
// Terminal returns tenancy.ErrNotFound for a username that none has.
type Terminals interface {
	Terminal(ctx context.Context, username string) (tenancy.Terminal, error)
	BindingsOf(ctx context.Context, terminal tenancy.TerminalID) ([]tenancy.Binding, error)
}

// New makes a Guard. Nonces made before it, by another process with the same key,
// count as stale: what they were used for is not known here.
func New(cfg Config) (*Guard, error) {
	if len(cfg.Key) < 16 {
		return nil, errors.New("auth: the key must have at least 16 bytes")
	}
	if cfg.Life <= 0 {
		cfg.Life = 5 * time.Minute
	}
	if cfg.Max <= 0 {
		cfg.Max = 1_000_000
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []digest.Algorithm{digest.SHA256, digest.MD5}
	}
	var nobody [48]byte
	if _, err := rand.Read(nobody[:]); err != nil {
		return nil, fmt.Errorf("auth: random: %w", err)
	}
	return &Guard{
		nonces: &mint{key: cfg.Key, life: cfg.Life},
		used:   newLedger(cfg.Life, cfg.Max, time.Now()),
		offers: slices.Clone(cfg.Algorithms),
		dummy:  [2]string{hex.EncodeToString(nobody[:16]), hex.EncodeToString(nobody[16:])},

		accounts: newAccounts(),
	}, nil
}

// LimitGuesses says how many wrong answers for one account, from wherever, in a
// window close the account for as long: then credentials count only from where it
// is registered. The defaults are 30 in 10 minutes.
func (g *Guard) LimitGuesses(wrong int, window time.Duration) { g.accounts.set(wrong, window) }

// Collectors are the Guard's metrics.
func (g *Guard) Collectors() []prometheus.Collector {
	return []prometheus.Collector{g.accounts.closings, g.accounts.refused}
}

// Verify checks the credentials that req carries for realm, a company's SIP
// domain: in Authorization for REGISTER, in Proxy-Authorization otherwise. from is
// where the edge saw the sender. company is nil when nobody has that domain; the
// verdict and the work are then those of a wrong password. The error is a failure
// of the database.
func (g *Guard) Verify(ctx context.Context, req *sip.Message, from netip.Addr, realm string, company Terminals) (tenancy.Terminal, Verdict, error) {
	id := sip.ProxyAuthorization
	if req.Is("REGISTER") {
		id = sip.Authorization
	}
	worth, now := None, time.Now()
	var wrong []account
	// A phone may answer both challenges; more than one answer each is a guess.
	for i, tries := req.Index(id), 0; i >= 0 && tries < 2; i = req.Next(i) {
		c, err := digest.ParseCredentials(req.Value(i))
		if err != nil || c.Realm != realm {
			continue
		}
		tries++
		d, id, v, err := g.check(ctx, req, from, c, company, now)
		if v == Accepted || err != nil {
			return d, v, err
		}
		if worth != Stale {
			worth = v
		}
		if id != 0 {
			wrong = append(wrong, id)
		}
	}
	if worth == Wrong {
		for _, id := range wrong {
			g.accounts.wrong(id, now)
		}
	}
	return tenancy.Terminal{}, worth, nil
}

// check does the same work whether the terminal exists or not. id is the account
// for which the answer was wrong, 0 when it was not, or was not looked at.
func (g *Guard) check(ctx context.Context, req *sip.Message, from netip.Addr, c digest.Credentials, company Terminals, now time.Time) (_ tenancy.Terminal, id account, _ Verdict, _ error) {
	n, fresh := g.nonces.read(c.Nonce, c.Realm, now)
	d, known, err := find(ctx, company, c.Username)
	if err != nil {
		return tenancy.Terminal{}, 0, Wrong, err
	}
	id = g.accounts.account(d, known, c.Realm, c.Username)
	refused, err := g.accounts.refuses(ctx, id, from, company, now)
	if err != nil {
		return tenancy.Terminal{}, 0, Wrong, fmt.Errorf("auth: %w", err)
	}
	ha1 := g.dummy[c.Algorithm-digest.MD5]
	switch {
	case known && c.Algorithm == digest.MD5:
		ha1 = d.HA1MD5
	case known && c.Algorithm == digest.SHA256:
		ha1 = d.HA1SHA
	}
	g.computed.Add(1)
	right := c.Check(ha1, string(req.Method))
	switch {
	case refused:
		return tenancy.Terminal{}, 0, Wrong, nil
	case !right || !known || !meant(req, c) || !slices.Contains(g.offers, c.Algorithm):
		return tenancy.Terminal{}, id, Wrong, nil
	case !fresh || !g.used.take(n, c.QOP, c.NC, now):
		return tenancy.Terminal{}, 0, Stale, nil
	}
	return d, 0, Accepted, nil
}

func find(ctx context.Context, company Terminals, username string) (tenancy.Terminal, bool, error) {
	if company == nil || !utf8.ValidString(username) {
		return tenancy.Terminal{}, false, nil
	}
	d, err := company.Terminal(ctx, username)
	if errors.Is(err, tenancy.ErrNotFound) {
		return tenancy.Terminal{}, false, nil
	}
	if err != nil {
		return tenancy.Terminal{}, false, fmt.Errorf("auth: %w", err)
	}
	return d, true, nil
}

// meant tells whether credentials were computed for this request: their URI names
// the same host, or the realm, and the same user if it names one. It is no
// closer, because phones differ in parameters and ports, and some (sipp is one)
// write the address of the edge they send to.
func meant(req *sip.Message, c digest.Credentials) bool {
	have, err := sip.ParseURI([]byte(c.URI))
	if err != nil {
		return false
	}
	want, err := sip.ParseURI(req.URI)
	if err != nil {
		return false
	}
	host := string(have.Host)
	_, literal := have.Addr()
	if !literal && !strings.EqualFold(host, string(want.Host)) && !strings.EqualFold(host, c.Realm) {
		return false
	}
	return have.User == nil || string(have.User) == string(want.User)
}

// Challenge prints, at the end of dst, the header lines that ask for credentials:
// one for each algorithm, the preferred one first (RFC 8760 §2.4). header is
// WWW-Authenticate or Proxy-Authenticate; stale tells the phone that its password
// was right.
func (g *Guard) Challenge(dst []byte, header, realm string, stale bool) []byte {
	return g.challenge(dst, header, realm, stale, g.offers)
}

// ChallengeMD5 is Challenge for a phone that cannot pass over an algorithm it does
// not know: it asks for MD5 only, if that is offered at all.
func (g *Guard) ChallengeMD5(dst []byte, header, realm string, stale bool) []byte {
	if !slices.Contains(g.offers, digest.MD5) {
		return g.Challenge(dst, header, realm, stale)
	}
	return g.challenge(dst, header, realm, stale, []digest.Algorithm{digest.MD5})
}

func (g *Guard) challenge(dst []byte, header, realm string, stale bool, offers []digest.Algorithm) []byte {
	c := digest.Challenge{Realm: realm, Nonce: g.nonces.make(realm, time.Now()), QOP: true, Stale: stale}
	for _, c.Algorithm = range offers {
		dst = append(append(dst, header...), ": "...)
		dst = append(c.Append(dst), "\r\n"...)
	}
	return dst
}
