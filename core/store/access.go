package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lindero/lindero/core/tenancy"
)

// Access says from where the company's people may call. The answer may be a few
// seconds old when another process changed it. It must not be written to.
func (t *Tenant) Access(ctx context.Context) (tenancy.Access, error) {
	a, err := t.s.accesses.get(t.id, func() (tenancy.Access, error) {
		a, text := tenancy.Access{}, ""
		err := t.s.read.row(ctx, []any{&a.Revision, &text}, accessSelect, t.id)
		a.Document = json.RawMessage(text)
		return a, err
	})
	if errors.Is(err, tenancy.ErrNotFound) {
		a, err = tenancy.Access{Document: json.RawMessage("{}")}, t.exists(ctx)
	}
	if err != nil {
		return tenancy.Access{}, fmt.Errorf("store: access: %w", err)
	}
	return a, nil
}

const accessSelect = `SELECT revision, document FROM accesses WHERE company_id = $1`

func (t *Tenant) exists(ctx context.Context) error {
	_, err := t.s.companies.get(t.id, func() (struct{}, error) {
		var id tenancy.CompanyID
		return struct{}{}, t.s.read.row(ctx, []any{&id}, `SELECT id FROM companies WHERE id = $1`, t.id)
	})
	return err
}

// SetAccess replaces the company's Access and returns the new one. When base is
// given and is not the revision there is, nothing changes and tenancy.ErrConflict
// is returned with the Access there is.
func (t *Tenant) SetAccess(ctx context.Context, who string, document json.RawMessage, base *uint64) (tenancy.Access, error) {
	var a tenancy.Access
	err := t.s.write.tx(ctx, func(tx *sql.Tx) error {
		// The company's row is locked first, so that changes queue up.
		var brand tenancy.BrandID
		err := tx.QueryRowContext(ctx, `UPDATE companies SET name = name WHERE id = $1 RETURNING brand_id`, t.id).Scan(&brand)
		if err != nil {
			return found(err)
		}
		var before string
		err = tx.QueryRowContext(ctx, accessSelect, t.id).Scan(&a.Revision, &before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		a.Document = json.RawMessage(before)
		if base != nil && *base != a.Revision {
			return tenancy.ErrConflict
		}
		a = tenancy.Access{Revision: a.Revision + 1, Document: document}
		_, err = tx.ExecContext(ctx, `INSERT INTO accesses (brand_id, company_id, revision, document) VALUES ($1, $2, $3, $4)
			ON CONFLICT (company_id) DO UPDATE SET revision = excluded.revision, document = excluded.document`,
			brand, t.id, int64(a.Revision), string(document))
		if err != nil {
			return err
		}
		return audit(ctx, tx, tenancy.Audit{At: now(), Who: who, Action: "access.put",
			Object: fmt.Sprintf("companies/%d/access", t.id), Before: json.RawMessage(before), After: document})
	})
	t.s.forget()
	if err != nil {
		return a, fmt.Errorf("store: set access: %w", err)
	}
	return a, nil
}
