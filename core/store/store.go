// Package store keeps the four levels of tenancy, the bindings of phones and the
// records of calls in SQLite or PostgreSQL, behind one portable set of queries.
// Nothing can be asked of a Store itself but handles: rows of a company are
// reached only through a Tenant, so no query can forget whose they are. It
// decides nothing about SIP (core/registrar, core/b2bua) and holds no rule of who
// may see what.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// Sizes and life of the caches in front of what every REGISTER and INVITE asks.
// What this process changes is seen at once, what another changes after cacheLife.
const (
	cacheLife = 3 * time.Second
	cacheSize = 8192
)

// A Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	// Static after Open.
	read   *pool // PostgreSQL: the same as write
	write  *pool // SQLite: one connection, so that writers queue here and not inside the database
	unique func(error) bool

	domains   *cache[string, tenancy.CompanyID]
	terminals *cache[terminalKey, tenancy.Terminal]
	accesses  *cache[tenancy.CompanyID, tenancy.Access]
	companies *cache[tenancy.CompanyID, struct{}] // that there is one
}

// Open opens the database at url, sqlite:PATH or postgres://…, brings its schema
// up to date and checks that it answers. A SQLite file is made when absent, readable
// by its owner alone.
//
// SQLite runs in WAL mode with synchronous=NORMAL: what a method returned nil for
// survives the death of the process; the last moments before a loss of power may
// be missing, never torn.
func Open(ctx context.Context, url string) (*Store, error) {
	s := &Store{
		domains:   newCache[string, tenancy.CompanyID](cacheSize, cacheLife),
		terminals: newCache[terminalKey, tenancy.Terminal](cacheSize, cacheLife),
		accesses:  newCache[tenancy.CompanyID, tenancy.Access](cacheSize, cacheLife),
		companies: newCache[tenancy.CompanyID, struct{}](cacheSize, cacheLife),
	}
	var err error
	switch scheme, rest, _ := strings.Cut(url, ":"); scheme {
	case "sqlite":
		err = s.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = s.openPostgres(ctx, url)
	default:
		return nil, errors.New("store: the database must be sqlite:PATH or postgres://…")
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the database. Nothing may be called after it.
func (s *Store) Close() error {
	var errs []error
	for _, p := range []*pool{s.read, s.write} {
		if p != nil {
			errs = append(errs, p.close())
		}
		if s.read == s.write {
			break
		}
	}
	return errors.Join(errs...)
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.db.PingContext(ctx); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return nil
}

// Platform is the handle of the whole platform.
func (s *Store) Platform() *Platform { return &Platform{s} }

// Brand is the handle of one brand. It does not say whether the brand exists.
func (s *Store) Brand(id tenancy.BrandID) *Brand { return &Brand{s, id} }

// Tenant is the handle of one company. It does not say whether the company exists.
func (s *Store) Tenant(id tenancy.CompanyID) *Tenant { return &Tenant{s, id} }

// Domain is the handle of the company that owns a SIP domain, in whatever case,
// or tenancy.ErrNotFound.
func (s *Store) Domain(ctx context.Context, domain string) (*Tenant, error) {
	domain = strings.ToLower(domain)
	if !storable(domain) {
		return nil, fmt.Errorf("store: domain: %w", tenancy.ErrNotFound)
	}
	id, err := s.domains.get(domain, func() (id tenancy.CompanyID, err error) {
		err = s.read.row(ctx, []any{&id}, `SELECT id FROM companies WHERE domain = $1`, domain)
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("store: domain: %w", err)
	}
	return s.Tenant(id), nil
}
