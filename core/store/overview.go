package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// Companies lists the companies of all brands, by name.
func (p *Platform) Companies(ctx context.Context) ([]tenancy.Company, error) {
	var all []tenancy.Company
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		c, err := scanCompany(r.Scan)
		all = append(all, c)
		return err
	}, `SELECT id, brand_id, name, domain, ring_ms FROM companies ORDER BY name, id`)
	if err != nil {
		return nil, fmt.Errorf("store: companies: %w", err)
	}
	return all, nil
}

// Registrations gives each the live registrations of all companies, in no order,
// until it returns an error. It is the platform's own look at who is behind an
// address: a rule for all is judged by all whom it would meet.
func (p *Platform) Registrations(ctx context.Context, each func(tenancy.Registration) error) error {
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		var g tenancy.Registration
		if err := r.Scan(&g.Company, &g.User, &g.Terminal, &g.Source); err != nil {
			return err
		}
		return each(g)
	}, `SELECT companies.name, users.name, terminals.username, bindings.source
		FROM bindings
		JOIN companies ON companies.id = bindings.company_id
		JOIN users ON users.company_id = bindings.company_id AND users.id = bindings.user_id
		JOIN terminals ON terminals.company_id = bindings.company_id AND terminals.id = bindings.terminal_id
		WHERE bindings.expires > $1`, time.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("store: registrations: %w", err)
	}
	return nil
}
