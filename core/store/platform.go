package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/lindero/lindero/core/tenancy"
)

// A Platform is the handle of what belongs to no brand.
type Platform struct{ s *Store }

// Setting is the value kept under name, or tenancy.ErrNotFound.
func (p *Platform) Setting(ctx context.Context, name string) (value string, err error) {
	err = p.s.read.row(ctx, []any{&value}, `SELECT value FROM settings WHERE name = $1`, name)
	if err != nil {
		return "", fmt.Errorf("store: setting: %w", err)
	}
	return value, nil
}

// SetSetting keeps value under name.
func (p *Platform) SetSetting(ctx context.Context, name, value string) error {
	_, err := p.s.write.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("store: set setting: %w", err)
	}
	return nil
}

// Brands lists all brands, by name.
func (p *Platform) Brands(ctx context.Context) ([]tenancy.Brand, error) {
	var all []tenancy.Brand
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		var b tenancy.Brand
		defer func() { all = append(all, b) }()
		return r.Scan(&b.ID, &b.Name)
	}, `SELECT id, name FROM brands ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("store: brands: %w", err)
	}
	return all, nil
}

// CreateBrand makes a brand, or returns tenancy.ErrExists.
func (p *Platform) CreateBrand(ctx context.Context, b tenancy.Brand) (tenancy.Brand, error) {
	err := p.s.write.tx(ctx, func(tx *sql.Tx) (err error) {
		b, err = createBrand(ctx, tx, b)
		return err
	})
	if err != nil {
		return tenancy.Brand{}, fmt.Errorf("store: create brand: %w", p.s.taken(err))
	}
	return b, nil
}

// A Founding is a brand with its first company and all that is in it. Ids in it
// are ignored; those of users are given by their place.
type Founding struct {
	Brand   tenancy.Brand
	Company tenancy.Company
	Members []Member
	Others  []tenancy.Extension // that lead to no user
}

// A Member is a user with a terminal and the number it is called by.
type Member struct {
	User     tenancy.User
	Terminal tenancy.Terminal
	Number   string
}

// Found makes everything in f at once, on a platform that has no brand yet;
// otherwise it changes nothing and returns tenancy.ErrExists.
func (p *Platform) Found(ctx context.Context, f Founding) (tenancy.Company, error) {
	var c tenancy.Company
	err := p.s.write.tx(ctx, func(tx *sql.Tx) (err error) {
		c, err = foundAll(ctx, tx, f)
		return err
	})
	p.s.forget()
	if err != nil {
		return tenancy.Company{}, fmt.Errorf("store: found: %w", p.s.taken(err))
	}
	return c, nil
}

func foundAll(ctx context.Context, tx *sql.Tx, f Founding) (tenancy.Company, error) {
	var none tenancy.Company
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM brands`).Scan(&n); err != nil {
		return none, err
	}
	if n > 0 {
		return none, tenancy.ErrExists
	}
	b, err := createBrand(ctx, tx, f.Brand)
	if err != nil {
		return none, err
	}
	f.Company.Brand = b.ID
	c, err := createCompany(ctx, tx, f.Company)
	if err != nil {
		return none, err
	}
	for _, m := range f.Members {
		u, err := createUser(ctx, tx, c.ID, m.User)
		if err != nil {
			return none, err
		}
		m.Terminal.User = u.ID
		if _, err := createTerminal(ctx, tx, c.ID, m.Terminal); err != nil {
			return none, err
		}
		f.Others = append(f.Others, tenancy.Extension{Number: m.Number, Kind: tenancy.ToUser, User: u.ID})
	}
	for _, e := range f.Others {
		if _, err := createExtension(ctx, tx, c.ID, e); err != nil {
			return none, err
		}
	}
	return c, nil
}

func createBrand(ctx context.Context, tx *sql.Tx, b tenancy.Brand) (tenancy.Brand, error) {
	err := tx.QueryRowContext(ctx, `INSERT INTO brands (name) VALUES ($1) RETURNING id`, b.Name).Scan(&b.ID)
	return b, err
}

// A Brand is the handle of one brand: its companies are made here.
type Brand struct {
	s  *Store
	id tenancy.BrandID
}

// CreateCompany makes a company of this brand; its domain is kept in lower case.
// A name taken in the brand or a domain taken on the platform is
// tenancy.ErrExists, a brand that is not there tenancy.ErrNotFound.
func (b *Brand) CreateCompany(ctx context.Context, c tenancy.Company) (tenancy.Company, error) {
	c.Brand = b.id
	err := b.s.write.tx(ctx, func(tx *sql.Tx) (err error) {
		c, err = createCompany(ctx, tx, c)
		return err
	})
	b.s.forget()
	if err != nil {
		return tenancy.Company{}, fmt.Errorf("store: create company: %w", b.s.taken(err))
	}
	return c, nil
}

func createCompany(ctx context.Context, tx *sql.Tx, c tenancy.Company) (tenancy.Company, error) {
	c.Domain = strings.ToLower(c.Domain)
	err := tx.QueryRowContext(ctx, `INSERT INTO companies (brand_id, name, domain, ring_ms)
		SELECT id, $2, $3, CAST($4 AS BIGINT) FROM brands WHERE id = $1 RETURNING id`,
		c.Brand, c.Name, c.Domain, c.RingTime.Milliseconds()).Scan(&c.ID)
	return c, found(err)
}

// Companies lists the companies of this brand, by name.
func (b *Brand) Companies(ctx context.Context) ([]tenancy.Company, error) {
	var all []tenancy.Company
	err := b.s.read.rows(ctx, func(r *sql.Rows) error {
		c, err := scanCompany(r.Scan)
		all = append(all, c)
		return err
	}, `SELECT id, brand_id, name, domain, ring_ms FROM companies WHERE brand_id = $1 ORDER BY name`, b.id)
	if err != nil {
		return nil, fmt.Errorf("store: companies: %w", err)
	}
	return all, nil
}

// forget empties the caches after a change of what they hold.
func (s *Store) forget() {
	s.domains.forget()
	s.terminals.forget()
	s.accesses.forget()
	s.companies.forget()
}
